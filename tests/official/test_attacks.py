"""Attacks on the Official through its command: a Driver with a good token that lies, replays, repeats and forges."""

import json
import os
import signal
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from pitcrew.core.action import Irreversible, RemoveFile, Restart, RestoreFile, undo_of
from pitcrew.core.observation import Absent, Blind, Outcome, RuntimeState
from pitcrew.core.policy import Case, Tries
from pitcrew.core.proposal import Plan
from pitcrew.core.record import Json
from pitcrew.core.resource import Level
from pitcrew.core.review import Given
from pitcrew.official.permits import PERMITS_PER_PLAN
from tests.official.running import Driver, Served, Site, permits
from tests.official.split import CLAIM, sealed, sick

Attack = Callable[[Driver], Iterator[Given]]


def restart(driver: Driver, incident: str = "i-1", **changes: Any) -> Plan:
    action = Restart(grace_s=10)
    undo = undo_of(action, driver.service.spec.remediation.actions)
    assert isinstance(undo, Irreversible)
    return driver.plan(incident, action=action, undo=None, irreversible=undo.reason, **changes)


def lies_about_risk(driver: Driver) -> Iterator[Given]:
    """The service is critical to others; whatever is told, its restart is more than Low."""
    plan = restart(driver)
    for facts in ({"diagnosis": CLAIM}, {"diagnosis": CLAIM, "risk": {"level": "Low", "score": 0, "factors": {}}}):
        yield driver.permit(plan, driver.case(plan, facts=facts))


def lies_about_history(driver: Driver) -> Iterator[Given]:
    """The same restart for the fourth incident within the hour, each of them told to be the first."""
    for number in range(3):
        assert driver.permit(restart(driver, f"i-{number}")).permit is not None
    for number in range(3, 6):
        plan = restart(driver, f"i-{number}")
        yield driver.permit(plan, driver.case(plan, facts={"diagnosis": CLAIM, "history": {"same_cause": 0}}))


def lies_about_the_cause(driver: Driver) -> Iterator[Given]:
    """A cause that the rules do not find in the look, with all confidence, as if rules had found it, and no doubt."""
    plan = driver.plan()
    for cause in ("Died", "OutOfMemory", "Hang", "Unknown", "NoSuchCause"):
        claim = {"cause": cause, "confidence": 100, "by": "Rules", "summary": ""}
        yield driver.permit(plan, driver.case(plan, facts={"diagnosis": claim}, doubt=""))
    yield driver.permit(plan, driver.case(plan, facts={}))


def lies_about_tries(driver: Driver) -> Iterator[Given]:
    """One attempt is declared, and was permitted."""
    assert driver.permit(driver.plan()).permit is not None
    for attempt in range(2, 6):
        plan = restart(driver, attempt=attempt)
        yield driver.permit(plan, driver.case(plan, tries=Tries(effects=0, plans=1)))


def lies_about_the_policy(driver: Driver) -> Iterator[Given]:
    """A plan under a policy that nobody declared, and one for another declaration, action, or undo."""
    for lie in (
        {"policy_digest": "0" * 64},
        {"target_digest": "0" * 64},
        {"action": RemoveFile(path="/etc/passwd"), "undo": RestoreFile(path="/etc/passwd")},
        {"undo": RestoreFile(path="/etc/shadow")},
        {"service": "default/nobody"},
    ):
        plan = driver.plan(**lie)
        yield driver.permit(plan, driver.case(plan, driver.sealed(driver.seen(driver.plan()))))


def replays_an_old_look(driver: Driver) -> Iterator[Given]:
    """Looks that were sealed rightly: too long ago, ahead of time, and from before the last permit of the target."""
    plan, now = driver.plan(), datetime.now(UTC)
    for at in (now - timedelta(seconds=61), now - timedelta(days=1), now + timedelta(minutes=1)):
        yield driver.permit(plan, driver.case(plan, driver.sealed(driver.seen(plan, at))))
    before = driver.sealed(driver.seen(plan))
    assert driver.permit(plan).permit is not None
    again = restart(driver)
    yield driver.permit(again, driver.case(again, before))


def brings_a_look_of_others(driver: Driver) -> Iterator[Given]:
    """Sealed for another service, another target, another declaration, by another Mechanic, or with another key."""
    plan, key = driver.plan(), driver.served.site.key
    seen = driver.seen(plan)
    other = driver.served.site.services["neighbour"]
    looks = (
        sealed(replace(seen, service=other.key), other, key),
        sealed(replace(seen, service=other.key), driver.service, key),
        sealed(seen, other, key),
        sealed(driver.seen(plan, target_id="id-of-neighbour"), driver.service, key),
        sealed(driver.seen(plan, instance="run-2"), driver.service, key),
        sealed(seen, driver.service, key, mechanic="web2"),
        sealed(seen, driver.service, Ed25519PrivateKey.generate()),
        seen,
    )
    for one in looks:
        yield driver.permit(plan, driver.case(plan, one))


def alters_a_sealed_look(driver: Driver) -> Iterator[Given]:
    """Each field of a look is changed after it was sealed."""
    plan = driver.plan()
    data = driver.wanted(plan, driver.case(plan))
    for path in _leaves(data["case"]["seen"]):
        changed = json.loads(json.dumps(data))
        _bend(changed["case"]["seen"], path)
        yield driver.served.wanted(changed)


def _leaves(value: Json, at: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from _leaves(inner, (*at, name))
    elif isinstance(value, list) and value:
        for number, inner in enumerate(value):
            yield from _leaves(inner, (*at, number))
    else:
        yield at


def _bend(data: Any, path: tuple[str | int, ...]) -> None:
    for step in path[:-1]:
        data = data[step]
    old = data[path[-1]]
    match old:
        case bool():
            new: object = not old
        case int():
            new = old + 1
        case str():
            new = old[:-1] + ("0" if not old.endswith("0") else "1") if old else "x"
        case None:
            new = 1
        case _:
            new = ["x"]
    data[path[-1]] = new


def shows_a_healthy_service(driver: Driver) -> Iterator[Given]:
    """Sealed looks at a service that is well, cannot be seen, is gone, or is in no state for the action."""
    plan = driver.plan()
    seen = driver.seen(plan)
    well = tuple(sick(one.probe, one.at, Outcome.SUCCESS) for one in seen.probes)
    for one in (
        replace(seen, probes=well),
        replace(seen, probes=()),
        replace(seen, sight=Blind(reason="Away", detail="refused")),
        replace(seen, sight=Absent(detail="no such container")),
        driver.seen(plan, state=RuntimeState.PAUSED),
        driver.seen(plan, state=RuntimeState.EXITED, exit_code=0),
    ):
        yield driver.permit(plan, driver.case(plan, driver.sealed(one)))


def asks_again_and_again(driver: Driver) -> Iterator[Given]:
    """One plan has a handful of permits, for crashes; the Mechanic carries it out once whatever it has."""
    plan = driver.plan()
    for _ in range(PERMITS_PER_PLAN):
        assert driver.permit(plan).permit is not None
    for _ in range(10):
        yield driver.permit(plan)


def names_a_new_incident_each_time(driver: Driver) -> Iterator[Given]:
    """The budget of two is spent, whatever the next incident is called and whatever the target's own id is now."""
    for number in range(2):
        assert driver.permit(driver.plan(f"i-{number}")).permit is not None
    for number in range(2, 12):
        yield driver.permit(driver.plan(f"other-{number}"))
    for number in range(3):
        yield driver.permit(driver.plan(f"new-{number}", target_id=f"made-anew-{number}"))


def renames_the_service(driver: Driver) -> Iterator[Given]:
    """Another service on the same container, as after one was removed and declared anew."""
    assert driver.permit(driver.plan()).permit is not None
    renamed = driver.served.driver("renamed")
    for number in range(3):
        yield renamed.permit(renamed.plan(f"renamed-{number}"))


def hurries_past_the_cooldown(driver: Driver) -> Iterator[Given]:
    """An action of another incident lies a moment back."""
    assert driver.permit(driver.plan("i-1")).permit is not None
    yield driver.permit(driver.plan("i-2"))


def breaks_the_spelling(driver: Driver) -> Iterator[Given]:
    """Extra fields, keys that stand twice, numbers that are none, and what has to be bent into its type."""
    plan = driver.plan()
    data = driver.wanted(plan, driver.case(plan))
    for path in (
        ("extra",),
        ("plan", "extra"),
        ("case", "extra"),
        ("case", "seen", "extra"),
        ("plan", "action", "extra"),
    ):
        changed = json.loads(json.dumps(data))
        inner = changed
        for step in path[:-1]:
            inner = inner[step]
        inner[path[-1]] = 1
        yield driver.served.wanted(changed)
    text = json.dumps(data)
    for bad in (
        text.replace('"attempt": 1', '"attempt": 1, "attempt": 2'),
        text.replace('"attempt": 1', '"attempt": 1.0'),
        text.replace('"attempt": 1', '"attempt": "1"'),
        text.replace('"attempt": 1', '"attempt": true'),
        text.replace('"attempt": 1', '"attempt": NaN'),
        text.replace('"score": 0', '"score": ' + "[" * 5000 + "]" * 5000),
        text[:-1],
        "",
    ):
        answer = driver.served.ask("POST", "/v1/permits", content=bad)
        assert answer.status_code in (400, 422), answer.text
        assert answer.headers["content-type"] == "application/problem+json"
        yield Given(refused=answer.text)


def comes_with_another_role(driver: Driver) -> Iterator[Given]:
    """Nobody's request, and requests of everybody but the Driver."""
    plan = driver.plan()
    for who in (None, "approver", "operator", "reader", "alice"):
        yield driver.served.wanted(driver.wanted(plan, driver.case(plan)), who)


def leaves_the_case_out(driver: Driver) -> Iterator[Given]:
    """No case, no look, and an undo of what was never permitted."""
    plan = driver.plan()
    data = driver.wanted(plan, driver.case(plan))
    yield driver.served.wanted({**data, "case": None})
    yield driver.permit(plan, Case(level=Level.LOW, tries=Tries(effects=0, plans=1), facts={"diagnosis": CLAIM}))
    yield driver.served.wanted({**data, "direction": "undo"})
    yield driver.served.wanted({**data, "direction": "undo", "case": None})


ATTACKS: dict[str, tuple[Attack, dict[str, Any]]] = {
    "risk": (lies_about_risk, {"criticality": "High"}),
    "history": (lies_about_history, {}),
    "cause": (lies_about_the_cause, {}),
    "tries": (
        lies_about_tries,
        {"remediation": {"actions": {"removeFile": {"paths": ["/app/broken.flag"]}, "restart": {}}, "attempts": 1}},
    ),
    "policy": (lies_about_the_policy, {}),
    "replay": (replays_an_old_look, {}),
    "others": (brings_a_look_of_others, {}),
    "altered": (alters_a_sealed_look, {}),
    "healthy": (shows_a_healthy_service, {}),
    "again": (asks_again_and_again, {}),
    "incidents": (names_a_new_incident_each_time, {"policy": {"budget": {"actions": 2}}}),
    "before-rename": (renames_the_service, {"policy": {"budget": {"actions": 1}}}),
    "cooldown": (hurries_past_the_cooldown, {"policy": {"cooldown": "10m"}}),
    "spelling": (breaks_the_spelling, {}),
    "roles": (comes_with_another_role, {}),
    "bare": (leaves_the_case_out, {}),
}


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(root=tmp_path)


def test_no_attack_of_the_driver_gets_a_permit(site: Site) -> None:
    site.declare("honest")
    site.declare("neighbour")
    site.declare("renamed", "before-rename", policy={"budget": {"actions": 1}})
    for name, (_, spec) in ATTACKS.items():
        site.declare(name, **spec)
    with site.running() as served:
        honest = served.driver("honest")
        assert honest.permit(honest.plan()).permit is not None
        given = {name: list(attack(served.driver(name))) for name, (attack, _) in ATTACKS.items()}
        metrics = served.ask("GET", "/metrics", who="reader").text
    asked, won = sum(map(len, given.values())), {name: permits(found) for name, found in given.items()}
    print(f"\nattacks on the Official: {len(given)} kinds, {asked} requests, {sum(won.values())} permits")
    assert won == dict.fromkeys(ATTACKS, 0)
    assert asked > 100
    assert 'pitcrew_official_refusals_total{of="do"}' in metrics


def test_a_policy_that_cannot_be_read_holds_every_permit_until_it_is_mended(site: Site) -> None:
    site.declare("victim")
    broken = site.manifests / "guardrail.yaml"
    broken.write_text("kind: RemediationPolicy\napiVersion: pitcrew.dev/v1alpha1\nmetadata: {name: all}\nspec: {mo")
    with site.running() as served:
        driver = served.driver("victim")
        refused = driver.permit(driver.plan())
        assert refused.permit is None
        assert "policy-unread" in refused.refused
        broken.unlink()
        given = refused
        while given.permit is None:
            assert "policy-unread" in given.refused or "policy changed" in given.refused
            given = driver.permit(driver.plan())


def test_a_full_disk_gives_no_permit_and_says_so(site: Site) -> None:
    site.declare("victim")
    with site.running("ulimit -f 1;") as served:
        driver = served.driver("victim")
        given = [driver.permit(driver.plan(f"i-{number}")) for number in range(3)]
        asked = driver.review(restart(driver), ask=True)
        assert permits(given) == 0
        assert all("could not be recorded" in one.refused for one in given)
        assert asked.json()["request"] is None
        health = served.ask("GET", "/healthz", who=None)
        assert health.status_code == 503
        assert "pitcrew_official_ledger_trouble 1.0" in served.ask("GET", "/metrics", who="reader").text
    assert site.ledger.stat().st_size == 0 or site.ledger.read_bytes().endswith(b"\n")
    with site.running() as served:
        driver = served.driver("victim")
        assert driver.permit(driver.plan("i-9")).permit is not None


def test_an_official_that_is_killed_amid_requests_gives_no_more_than_its_budget(site: Site) -> None:
    site.declare("victim", policy={"budget": {"actions": 3}})
    given: list[Given] = []

    def ask(served: Served, number: int) -> None:
        driver = served.driver("victim")
        try:
            given.append(driver.permit(driver.plan(f"i-{number}")))
        except httpx.HTTPError as error:
            given.append(Given(refused=str(error) or "cut off"))

    for life in range(3):
        with site.running() as served:
            crowd = [threading.Thread(target=ask, args=(served, 10 * life + number)) for number in range(6)]
            for one in crowd:
                one.start()
            crowd[0].join()
            os.kill(served.child.pid, signal.SIGKILL)
            for one in crowd:
                one.join()
    assert len(given) == 18
    assert 1 <= permits(given) <= 3
    lines = [json.loads(line) for line in site.ledger.read_text().splitlines()]
    assert len({line["data"]["plan"] for line in lines if line["type"] == "Permit"}) <= 3
