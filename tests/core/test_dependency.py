"""Dependencies: what counts as down, what is settled, and the graph of all that is declared."""

from collections.abc import Mapping

import pytest

from pitcrew.core.dependency import (
    SETTLE_S,
    Dependency,
    below,
    circles,
    explained,
    fallen,
    graph_of,
    remarks,
    unknown,
)
from pitcrew.core.deviation import Health
from pitcrew.core.resource import ServiceKey
from tests.core.scene import at, declared

DB = ServiceKey("default/db")


@pytest.mark.parametrize(
    ("one", "down", "good"),
    [
        (Dependency(service=DB, health=Health.UNHEALTHY), True, False),
        (Dependency(service=DB, health=Health.STOPPED), True, False),
        (Dependency(service=DB, health=Health.STOPPED, completed=True), False, False),
        (Dependency(service=DB, health=Health.UNHEALTHY, circular=True), False, False),
        (Dependency(service=DB, health=Health.STARTING), False, False),
        (Dependency(service=DB, health=Health.UNKNOWN), False, False),
        (Dependency(service=DB), False, False),
        (Dependency(service=DB, health=Health.HEALTHY), False, True),
    ],
    ids=str,
)
def test_only_what_is_known_not_to_work_is_down(one: Dependency, down: bool, good: bool) -> None:
    assert (one.down, one.good) == (down, good)


@pytest.mark.parametrize(
    ("one", "settled"),
    [
        (Dependency(service=DB, health=Health.HEALTHY, healthy_since=at(0)), True),
        (Dependency(service=DB, health=Health.HEALTHY, healthy_since=at(1)), False),
        (Dependency(service=DB, health=Health.UNHEALTHY), False),
        (Dependency(service=DB, health=Health.UNKNOWN), False),
        (Dependency(service=DB), True),
    ],
)
def test_what_was_down_is_waited_for_until_it_is_healthy_for_a_while_or_withdrawn(
    one: Dependency, settled: bool
) -> None:
    assert one.settled(at(SETTLE_S)) is settled


def test_it_reads_as_a_sentence() -> None:
    down = Dependency(service=DB, health=Health.UNHEALTHY, incident="db-1, phase Verifying")
    assert str(down) == "default/db is Unhealthy (db-1, phase Verifying)"
    assert str(Dependency(service=DB)) == "default/db is not declared here"
    assert fallen([down], ()) == f"it depends on what is down now: {down}"
    assert fallen([down], ("default/db",)) == ""


def test_where_nobody_looks_everything_is_unknown() -> None:
    service = declared(dependsOn=[{"name": "db"}, {"name": "db", "namespace": "shop"}])
    assert [(one.service, one.health) for one in unknown(service)] == [
        ("default/db", Health.UNKNOWN),
        ("shop/db", Health.UNKNOWN),
    ]
    assert graph_of([service]) == {"default/victim": ("default/db", "shop/db")}


def graph(**edges: str) -> Mapping[ServiceKey, tuple[ServiceKey, ...]]:
    return {ServiceKey(name): tuple(map(ServiceKey, on.split())) for name, on in edges.items()}


CHAIN = graph(web="api", api="db cache", db="", cache="")
RING = graph(a="b", b="c", c="a", d="a")


def test_what_lies_below_a_service_is_found_through_others_and_in_circles() -> None:
    assert below(CHAIN, ServiceKey("web")) == {"api", "db", "cache"}
    assert below(RING, ServiceKey("d")) == {"a", "b", "c"}
    assert circles(CHAIN) == ()
    assert circles(RING) == (("a", "b", "c"),)


@pytest.mark.parametrize(
    ("edges", "failing", "told"),
    [
        (CHAIN, "web api db", "web api"),
        (CHAIN, "web db", ""),
        (CHAIN, "api cache", "api"),
        (RING, "a b c", ""),
        (RING, "a d", "d"),
        (CHAIN, "", ""),
    ],
)
def test_a_failing_service_is_explained_by_a_failing_dependency(
    edges: Mapping[ServiceKey, tuple[ServiceKey, ...]], failing: str, told: str
) -> None:
    assert explained(edges, set(map(ServiceKey, failing.split()))) == set(told.split())


def test_circles_and_undeclared_services_are_remarked_on() -> None:
    assert remarks(CHAIN) == ()
    assert remarks(graph(a="b x", b="a")) == (
        "a depends on x, which is not declared there",
        "a, b depend on each other in turn: while they fail none of them waits for another",
    )
