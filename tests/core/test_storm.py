"""Storms as a table: how many, how close together, and what ends one."""

from datetime import UTC, datetime, timedelta

import pytest

from pitcrew.core.record import Entry, Head, Instant, parse, seal
from pitcrew.core.resource import ServiceKey
from pitcrew.core.storm import Spell, Storm, began, ended, forecast, from_record, told

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


def spells(*seconds: float | None, well: int = 0, unseen: int = 0) -> list[Spell]:
    """Services that began to deviate at these seconds (None: their beginning was not seen), and others."""
    at = [None if one is None else NOW + timedelta(seconds=one) for one in seconds]
    deviating = [Spell(service=f"default/s{place}", deviates=True, began_at=one) for place, one in enumerate(at)]
    others = [Spell(service=f"default/w{place}", deviates=False) for place in range(well)]
    return [*deviating, *others, *(Spell(service=f"default/u{place}", deviates=None) for place in range(unseen))]


def failing(*seconds: float) -> list[Spell]:
    """Services whose last answer was bad, below their thresholds."""
    return [
        Spell(service=f"default/f{at}", deviates=False, failing=True, began_at=NOW + timedelta(seconds=at))
        for at in seconds
    ]


def now(found: list[Spell], lasting: Storm | None = None) -> Storm | None:
    return forecast(lasting, found, services_min=3, window_s=60)


@pytest.mark.parametrize(
    ("found", "storms"),
    [
        pytest.param(spells(0, 1, 2), True, id="all of three"),
        pytest.param(spells(0, 1), False, id="all of two"),
        pytest.param(spells(0, 1, 2, well=3), True, id="half of six"),
        pytest.param(spells(0, 1, 2, well=4), False, id="fewer than half"),
        pytest.param(spells(0, 30, 60), True, id="just within the window"),
        pytest.param(spells(0, 30, 61), False, id="one after another"),
        pytest.param(spells(-500, 0, 30, 60), True, id="three within a window, one before"),
        pytest.param(spells(None, None, None), False, id="never seen well"),
        pytest.param(spells(0, 1, unseen=3), False, id="what cannot be told does not count"),
        pytest.param([], False, id="nothing declared"),
        pytest.param([*spells(0), *failing(1, 2)], True, id="one deviates, and others are about to"),
        pytest.param(failing(0, 1, 2), False, id="all are only about to"),
    ],
)
def test_a_storm_begins_when_enough_services_begin_to_deviate_together(found: list[Spell], storms: bool) -> None:
    assert (now(found) is not None) is storms


def needing(service: str, *others: str, deviates: bool = True) -> Spell:
    """A service that began to deviate and depends on others."""
    return Spell(service=service, deviates=deviates, began_at=NOW, depends_on=tuple(map(ServiceKey, others)))


NEED_DB = [needing(name, "db") for name in ("a", "b", "c")]
DB_FAILS = [needing("db"), needing("a", "db"), needing("b", "db"), needing("c", "b")]


@pytest.mark.parametrize(
    ("found", "storms"),
    [
        pytest.param(DB_FAILS, False, id="one, and all that need it"),
        pytest.param([*NEED_DB, needing("db", deviates=False)], True, id="all that need one which is well"),
        pytest.param([*DB_FAILS, needing("x"), needing("y")], True, id="one, all that need it, and as many others"),
        pytest.param([needing("a", "c"), needing("b", "a"), needing("c", "b")], True, id="a circle explains nothing"),
    ],
)
def test_who_fails_because_of_another_makes_no_storm(found: list[Spell], storms: bool) -> None:
    assert (now(found) is not None) is storms
    lasting = Storm(services=tuple(one.service for one in found), declared=len(found), since=NOW)
    assert (now(found, lasting) is not None) is storms


def test_a_storm_names_who_deviates_and_since_when() -> None:
    storm = now(spells(5, 0, 9, well=1))
    assert storm == Storm(services=("default/s0", "default/s1", "default/s2"), declared=4, since=NOW)
    assert "3 of 4 services deviate" in str(storm)


LASTING = Storm(services=("default/s0", "default/s1", "default/s2"), declared=4, since=NOW)


@pytest.mark.parametrize(
    ("found", "lasts"),
    [
        pytest.param(spells(0, 1, 2, well=1), True, id="as it was"),
        pytest.param(spells(0, 1, well=2), True, id="half deviate"),
        pytest.param(spells(0, well=3), False, id="fewer than half"),
        pytest.param(spells(0, 1), False, id="too few are declared"),
        pytest.param([*failing(0, 1), *spells(well=2)], True, id="half are about to"),
        pytest.param(spells(None, None, None, well=1), True, id="after a restart"),
        pytest.param(
            [Spell(service=name, deviates=None) for name in (*LASTING.services, "default/w0")], True, id="unseen"
        ),
    ],
)
def test_a_storm_ends_when_fewer_than_half_are_known_to_deviate(found: list[Spell], lasts: bool) -> None:
    assert (now(found, LASTING) is not None) is lasts


def test_who_joins_is_named_and_the_beginning_stays() -> None:
    storm = now(spells(0, 1, 2, 300), LASTING)
    assert storm is not None
    assert (len(storm.services), storm.since) == (4, NOW)


@pytest.mark.parametrize("entry", [began(LASTING), ended(LASTING, ["default/s0"])], ids=["began", "ended"])
def test_a_record_of_a_storm_is_read_back_and_told(entry: Entry) -> None:
    line = seal(entry, Instant(at=NOW, boot="b", boottime_ns=1), Head())
    record = parse(line)
    assert from_record(record) == LASTING
    assert "3 of 4 services" in told(record.type, LASTING)
