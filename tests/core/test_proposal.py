"""Proposals and plans: the first remedy that fits, why others do not, and a digest that binds every field."""

from collections.abc import Sequence
from dataclasses import fields, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pitcrew.adapters.runbooks.files import built_in
from pitcrew.core.action import (
    Action,
    Irreversible,
    RemoveFile,
    Restart,
    RestoreFile,
    RunCommand,
    Start,
    describe,
    from_data,
    is_destructive,
    obstacle,
    to_data,
    undo_of,
)
from pitcrew.core.dependency import Dependency
from pitcrew.core.deviation import Deviation, DeviationKind, Health
from pitcrew.core.diagnosis import Cause, Diagnosis, diagnose
from pitcrew.core.errors import InvalidInput
from pitcrew.core.evidence import Evidence, gather
from pitcrew.core.observation import Absent, Blind, FileFact, LogLine, ProbeReason, RuntimeState, Sight, StoppedBy
from pitcrew.core.proposal import NoRemedy, Plan, Proposal, propose
from pitcrew.core.resource import Actions, HealthyService, ServiceKey
from pitcrew.core.runbook import Match, retrieve
from tests.core.scene import ALL_ACTIONS, BAD, FLAG, answer, declared, facts, seen

FAILING = Deviation(kind=DeviationKind.PROBE_FAILING, probe="httpget-0")
FLAGGED = facts(files=(FileFact(path=FLAG, present=True),))
S = RuntimeState


def evidence_of(sight: Sight, reason: ProbeReason = ProbeReason.STATUS) -> tuple[Evidence, ...]:
    running = getattr(sight, "running", False)
    found = FAILING if running else Deviation(kind=DeviationKind.NOT_RUNNING)
    return gather(seen(*([answer(BAD, reason=reason)] if running else []), sight=sight), (found,), (), ())


def proposed(
    actions: dict[str, object],
    sight: Sight = FLAGGED,
    tried: Sequence[Action] = (),
    reason: ProbeReason = ProbeReason.STATUS,
    now: Sight | None = None,
) -> Proposal | NoRemedy:
    """What is proposed for what was seen; `now` is how the target stands when the plan is made."""
    evidence = evidence_of(sight, reason)
    diagnoses = diagnose(evidence)
    matches = retrieve(built_in(), diagnoses[0], evidence)
    return propose(declared(remediation={"actions": actions}), diagnoses, matches, evidence, now or sight, tried)


DIED = facts(S.EXITED, exit_code=1, stopped_by=StoppedBy.ITSELF)
REMOVE, RESTART = RemoveFile(path=FLAG), Restart(grace_s=10)
FIRST: dict[str, tuple[Proposal | NoRemedy, Action | None, str]] = {
    "flag: the file": (proposed(ALL_ACTIONS), REMOVE, ""),
    "flag, file not declared: restart": (proposed({"restart": {}}), RESTART, ""),
    "flag, another file declared: restart": (
        proposed({"removeFile": {"paths": ["/app/other"]}, "restart": {}}),
        RESTART,
        "",
    ),
    "flag, file tried: restart": (proposed(ALL_ACTIONS, tried=[REMOVE]), RESTART, ""),
    "flag, all tried": (proposed(ALL_ACTIONS, tried=[REMOVE, RESTART]), None, "already tried in this incident"),
    "nothing declared": (proposed({}), None, "the service does not declare it"),
    "hang: restart": (proposed(ALL_ACTIONS, reason=ProbeReason.TIMEOUT), RESTART, ""),
    "hang, own grace": (
        proposed({"restart": {"gracePeriodSeconds": 3}}, reason=ProbeReason.TIMEOUT),
        Restart(grace_s=3),
        "",
    ),
    "died: start": (proposed(ALL_ACTIONS, DIED), Start(), ""),
    "died, start tried": (proposed(ALL_ACTIONS, DIED, tried=[Start()]), None, "already tried"),
    "died, meanwhile running": (proposed(ALL_ACTIONS, DIED, now=facts()), None, "this one is Running"),
    "hang, meanwhile paused": (
        proposed({"restart": {}}, reason=ProbeReason.TIMEOUT, now=facts(S.PAUSED)),
        None,
        "this one is Paused",
    ),
    "gone": (proposed(ALL_ACTIONS, now=Absent(detail="")), None, "the target does not exist"),
    "blind": (proposed(ALL_ACTIONS, now=Blind(reason="r", detail="d")), None, "the target cannot be seen"),
}


@pytest.mark.parametrize(("found", "action", "says"), FIRST.values(), ids=FIRST.keys())
def test_the_first_remedy_that_fits_is_proposed(found: Proposal | NoRemedy, action: Action | None, says: str) -> None:
    if isinstance(found, Proposal):
        assert found.action == action
        assert found.undo == undo_of(found.action, Actions())
    else:
        assert action is None
        assert says in "; ".join(found.reasons)
        assert found.ask


def test_each_remedy_that_fell_out_is_named_with_its_reason() -> None:
    found = proposed({"removeFile": {"paths": ["/app/other"]}})
    assert isinstance(found, NoRemedy)
    assert found.reasons == (
        "flag-file: removeFile: none of the declared files exists",
        "flag-file: restart: the service does not declare it",
    )


@pytest.mark.parametrize("log", ["db: connection refused", "write: no space left on device"])
def test_a_remedy_that_its_runbook_excludes_here_falls_out(log: str) -> None:
    said = [LogLine(at=None, stream="stderr", text=log)]
    evidence = gather(seen(answer(BAD), sight=FLAGGED), (FAILING,), said, ())
    diagnoses = diagnose(evidence)
    matches = retrieve(built_in(), diagnoses[0], evidence)
    service = declared(remediation={"actions": ALL_ACTIONS})
    first = propose(service, diagnoses, matches, evidence, FLAGGED, [])
    assert isinstance(first, Proposal)
    assert first.action == REMOVE
    then = propose(service, diagnoses, matches, evidence, FLAGGED, [REMOVE])
    assert isinstance(then, NoRemedy)
    assert "flag-file: restart: the runbook excludes it" in "; ".join(then.reasons)


def test_what_a_person_is_asked_names_what_is_down() -> None:
    down = (Dependency(service=ServiceKey("default/db"), health=Health.UNHEALTHY),)
    evidence = gather(seen(answer(BAD)), (FAILING,), (), (), dependencies=down)
    diagnoses = diagnose(evidence)
    found = propose(declared(), diagnoses, retrieve(built_in(), diagnoses[0], evidence), evidence, facts(), [])
    assert isinstance(found, NoRemedy)
    assert found.ask.startswith("heal default/db, and leave this service alone")


def test_removing_a_flag_is_taken_back_only_at_the_end() -> None:
    found = proposed(ALL_ACTIONS)
    assert isinstance(found, Proposal)
    assert found.undo_at_end
    assert found.undo == RestoreFile(path=FLAG)


CAUSE = Diagnosis(cause=Cause.HANG, confidence=85, evidence=("E1",), by="Rules", summary="s")  # type: ignore[arg-type]


def with_citations(
    *cited: str, cause: Cause = Cause.HANG, service: HealthyService | None = None
) -> Proposal | NoRemedy:
    evidence = evidence_of(facts(), ProbeReason.TIMEOUT)
    [book] = [book for book in built_in() if book.head.id == "hang"]
    leading = replace(CAUSE, evidence=cited, cause=cause)
    return propose(service or declared(), (leading,), (Match(runbook=book, evidence=()),), evidence, facts(), ())


def test_a_diagnosis_that_cites_what_does_not_exist_proposes_nothing() -> None:
    found = with_citations("E1", "E99")
    assert isinstance(found, NoRemedy)
    assert "cites evidence that does not exist" in found.reasons[0]


def test_what_destroys_needs_a_runtime_fact() -> None:
    by_probe = [item.id for item in evidence_of(facts(), ProbeReason.TIMEOUT) if item.key == "probe.failing"]
    found = with_citations(*by_probe)
    assert isinstance(found, NoRemedy)
    assert "no runtime fact supports it" in found.reasons[0]
    assert isinstance(with_citations("E1", *by_probe), Proposal)


def test_an_unknown_cause_never_acts() -> None:
    found = with_citations("E1", cause=Cause.UNKNOWN)
    assert isinstance(found, NoRemedy)
    assert "unknown is never a reason to act" in found.reasons[0]


def test_without_a_runbook_a_person_is_asked() -> None:
    found = propose(declared(), (CAUSE,), (), (), facts(), ())
    assert isinstance(found, NoRemedy)
    assert "no runbook treats Hang" in found.reasons[0]


# Actions

FLUSH = RunCommand(command="flush-cache", argv=("/app/bin/flush", "--all"), timeout_s=30)
CATALOGUE: tuple[Action, ...] = (Start(), RESTART, REMOVE, RestoreFile(path=FLAG), FLUSH)
FREE: dict[str, set[RuntimeState]] = {
    "start": {S.EXITED, S.CREATED, S.DEAD},
    "restart": {S.RUNNING, S.EXITED},
    "removeFile": {S.RUNNING},
    "restoreFile": {S.RUNNING},
    "runCommand": {S.RUNNING},
}


@pytest.mark.parametrize("state", list(S))
@pytest.mark.parametrize("action", CATALOGUE, ids=lambda action: action.name)
def test_an_action_is_kept_from_a_target_it_does_not_fit(action: Action, state: RuntimeState) -> None:
    found = obstacle(action, facts(state))
    assert (found is None) == (state in FREE[action.name])
    assert found is None or str(state) in found


@pytest.mark.parametrize("action", CATALOGUE, ids=lambda action: action.name)
def test_an_action_reads_back_as_it_was_written(action: Action) -> None:
    assert from_data(to_data(action)) == action
    assert describe(action)
    undo = undo_of(action, Actions())
    assert isinstance(undo, Irreversible | RestoreFile)


@pytest.mark.parametrize(
    "data",
    [
        {},
        {"name": "deleteVolume"},
        {"name": "start", "force": True},
        {"name": "restart"},
        {"name": "restart", "grace_s": "10"},
        {"name": "removeFile", "path": FLAG, "recursive": True},
        {"name": "runCommand", "command": "flush-cache"},
        {"name": "runCommand", "command": "flush-cache", "argv": "true", "timeout_s": 30},
    ],
    ids=str,
)
def test_what_is_not_in_the_catalogue_exactly_is_refused(data: dict[str, object]) -> None:
    with pytest.raises(ValueError):  # noqa: PT011
        from_data(data)


def test_only_what_loses_nothing_is_not_destructive() -> None:
    assert [action.name for action in CATALOGUE if is_destructive(action)] == ["restart", "removeFile", "runCommand"]


# Plans

PLAN = Plan(
    service="default/victim",
    incident="victim-1",
    attempt=1,
    target="docker/victim",
    target_id="c0ffee",
    target_digest="ab" * 32,
    instance="run-1",
    action=REMOVE,
    undo=RestoreFile(path=FLAG),
    irreversible="",
    verify_for_s=10,
    deviations=("ProbeFailing/httpget-0",),
    policy_digest="cd" * 32,
)
ACTIONS = st.one_of(
    st.just(Start()),
    st.builds(Restart, grace_s=st.integers(0, 300)),
    st.builds(RemoveFile, path=st.text(max_size=9)),
    st.builds(
        RunCommand,
        command=st.sampled_from(["a", "b"]),
        argv=st.lists(st.text(st.characters(codec="utf-8"), max_size=3), max_size=3).map(tuple),
        timeout_s=st.integers(1, 3),
    ),
)
WORDS = st.text(st.characters(codec="utf-8"), max_size=20)
VALUES: dict[str, st.SearchStrategy[object]] = {
    "attempt": st.integers(1, 9),
    "verify_for_s": st.integers(1, 3600),
    "action": ACTIONS,
    "undo": st.none() | st.builds(RestoreFile, path=WORDS),
    "deviations": st.lists(WORDS, max_size=3).map(tuple),
}


@pytest.mark.parametrize("field", [field.name for field in fields(Plan)])
@given(data=st.data())
def test_the_digest_changes_with_every_field(field: str, data: st.DataObject) -> None:
    value = data.draw(VALUES.get(field, WORDS))
    changed = replace(PLAN, **{field: value})  # type: ignore[arg-type]
    assert (changed.digest == PLAN.digest) == (changed == PLAN)


def test_the_digest_is_stable_across_versions() -> None:
    assert PLAN.digest == "e8a31b835c8e44e77508361c42f1d78be391c4416f83040cd6e25a71a4102edf"


def test_a_plan_holds_no_floats() -> None:
    with pytest.raises(InvalidInput, match="float"):
        _ = replace(PLAN, verify_for_s=10.0).digest  # type: ignore[arg-type]
