"""Signals and diagnosis: what was seen of each fault leads to its cause, and every cause cites what is there."""

from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from pitcrew.adapters.runbooks.files import built_in
from pitcrew.core.dependency import Dependency
from pitcrew.core.deviation import Deviation, DeviationKind, Health
from pitcrew.core.diagnosis import RULES, Cause, Diagnosis, diagnose
from pitcrew.core.evidence import Evidence, Source, gather
from pitcrew.core.observation import (
    Absent,
    FileFact,
    LogLine,
    NetworkFact,
    ProbeReason,
    ProbeResult,
    RuntimeFacts,
    RuntimeState,
    Sight,
    StoppedBy,
)
from pitcrew.core.resource import Probe, ServiceKey
from pitcrew.core.runbook import Runbook, RunbookHead, retrieve
from pitcrew.core.signal import FACTS, Signal, all_shown, fact, shown
from tests.core.scene import BAD, FLAG, GOOD, UNKNOWN, answer, at, facts, seen

NAME = "httpget-0"
K, S, R = DeviationKind, RuntimeState, ProbeReason
HERE = (FileFact(path=FLAG, present=True),)


def ended(exit_code: int) -> RuntimeFacts:
    """It ended by itself, right after its start."""
    by = StoppedBy.ITSELF
    return facts(S.EXITED, exit_code=exit_code, stopped_by=by, started_at=at(-61), finished_at=at(-60))


def bad(reason: ProbeReason, probe: str = NAME) -> ProbeResult:
    return answer(BAD, probe=probe, reason=reason)


BROKEN = answer(UNKNOWN, probe="own", reason=R.CHECK_BROKEN)
GONE = NetworkFact(name="shop", attached=False, named=False)
UNNAMED = NetworkFact(name="shop", attached=True, named=False)
FAULTS: dict[str, tuple[Sight, tuple[ProbeResult, ...], DeviationKind | None, Cause]] = {
    "1 flag file": (facts(files=HERE), (bad(R.STATUS),), K.PROBE_FAILING, Cause.FLAG_FILE),
    "1 flag file, exec probe": (facts(files=HERE), (bad(R.EXIT_CODE),), K.PROBE_FAILING, Cause.FLAG_FILE),
    "1 flag file, own check": (facts(files=HERE), (bad(R.ENGINE_UNHEALTHY),), K.PROBE_FAILING, Cause.FLAG_FILE),
    "2 crash loop": (facts(S.RESTARTING, deaths=6, exit_code=1), (), K.RESTART_LOOP, Cause.CRASH_LOOP),
    "3 bad env": (facts(S.EXITED, exit_code=1, stopped_by=StoppedBy.ITSELF), (), K.NOT_RUNNING, Cause.DIED),
    "3 bad env, named by the log": (
        facts(
            S.EXITED,
            exit_code=1,
            stopped_by=StoppedBy.ITSELF,
            env_names=("PATH", "VICTIM_BIND"),
            started_at=at(-60),
            finished_at=at(-59),
        ),
        (),
        K.NOT_RUNNING,
        Cause.BAD_CONFIG,
    ),
    "3 bad value, told by a slow starter": (
        facts(
            S.EXITED,
            exit_code=1,
            stopped_by=StoppedBy.ITSELF,
            env_names=("VICTIM_BIND",),
            started_at=at(-90),
            finished_at=at(-59),
        ),
        (),
        K.NOT_RUNNING,
        Cause.BAD_CONFIG,
    ),
    "3 it ran long before it ended, so its value was good": (
        facts(
            S.EXITED,
            exit_code=1,
            stopped_by=StoppedBy.ITSELF,
            env_names=("VICTIM_BIND",),
            started_at=at(-900),
            finished_at=at(-59),
        ),
        (),
        K.NOT_RUNNING,
        Cause.DIED,
    ),
    "4 a start that failed, without a word": (
        facts(S.CREATED, exit_code=128, ever_started=False),
        (),
        K.NOT_RUNNING,
        Cause.START_FAILED,
    ),
    "4 a shell finds no command": (ended(127), (), K.NOT_RUNNING, Cause.START_FAILED),
    "4 a command that may not be run": (ended(126), (), K.NOT_RUNNING, Cause.START_FAILED),
    "4 a shell finds no command, again and again": (
        replace(ended(127), state=S.RESTARTING, deaths=6),
        (),
        K.RESTART_LOOP,
        Cause.START_FAILED,
    ),
    "2 crash loop by a bad env": (
        facts(S.RESTARTING, deaths=6, exit_code=1, env_names=("PATH", "VICTIM_BIND")),
        (),
        K.RESTART_LOOP,
        Cause.BAD_CONFIG,
    ),
    "4 missing binary": (
        facts(S.CREATED, exit_code=127, error="exec: not found", ever_started=False),
        (),
        K.NOT_RUNNING,
        Cause.START_FAILED,
    ),
    "5 port taken": (
        facts(S.CREATED, exit_code=128, error="port is already allocated", ever_started=False),
        (),
        K.NOT_RUNNING,
        Cause.START_FAILED,
    ),
    "6 hang": (facts(), (bad(R.TIMEOUT),), K.PROBE_FAILING, Cause.HANG),
    "6 hang by a signal": (facts(suspended=True), (bad(R.TIMEOUT),), K.PROBE_FAILING, Cause.HANG),
    "6 hang beside a flag": (facts(files=HERE), (bad(R.TIMEOUT),), K.PROBE_FAILING, Cause.HANG),
    "6 stopped by a signal beside a flag": (
        facts(suspended=True, files=HERE),
        (bad(R.ENGINE_UNHEALTHY),),
        K.PROBE_FAILING,
        Cause.HANG,
    ),
    "6 hang with another check broken": (facts(), (bad(R.TIMEOUT), BROKEN), K.PROBE_FAILING, Cause.HANG),
    "7 out of memory": (
        facts(S.EXITED, exit_code=137, oom_killed=True, stopped_by=StoppedBy.ITSELF),
        (),
        K.NOT_RUNNING,
        Cause.OUT_OF_MEMORY,
    ),
    "7 out of memory again and again": (
        facts(S.RESTARTING, deaths=6, exit_code=137, oom_killed=True),
        (),
        K.RESTART_LOOP,
        Cause.OUT_OF_MEMORY,
    ),
    "7 out of memory again and again, running just now": (
        facts(deaths=6, oom_killed=True),
        (),
        K.RESTART_LOOP,
        Cause.OUT_OF_MEMORY,
    ),
    "7 out of memory once, errors after the restart": (
        facts(oom_killed=True),
        (bad(R.STATUS),),
        K.PROBE_FAILING,
        Cause.SERVICE_ERRORS,
    ),
    "7 out of memory in an earlier run": (
        facts(S.EXITED, exit_code=1, oom_killed=True, stopped_by=StoppedBy.ITSELF),
        (),
        K.NOT_RUNNING,
        Cause.DIED,
    ),
    "8 out of memory in a child": (facts(ooms=3), (answer(GOOD),), K.OUT_OF_MEMORY, Cause.OUT_OF_MEMORY),
    "6 killed with 137 and no word of memory": (
        facts(S.EXITED, exit_code=137, stopped_by=StoppedBy.ITSELF),
        (),
        K.NOT_RUNNING,
        Cause.DIED,
    ),
    "19 network detached": (facts(desired=(GONE,)), (answer(GOOD),), K.NETWORK_DETACHED, Cause.NETWORK_DETACHED),
    "19 alias lost": (facts(desired=(UNNAMED,)), (answer(GOOD),), K.NETWORK_DETACHED, Cause.NETWORK_DETACHED),
    "10 latency": (facts(), (answer(GOOD),), K.LATENCY_HIGH, Cause.LATENCY),
    "11 error rate": (facts(), (answer(GOOD),), K.ERROR_RATIO_HIGH, Cause.ERROR_RATE),
    "16 paused": (facts(S.PAUSED), (answer(UNKNOWN, reason=R.NOT_RUNNING),), K.PAUSED, Cause.PAUSED),
    "17 stopped, nobody knows by whom": (facts(S.EXITED, exit_code=143), (), K.NOT_RUNNING, Cause.STOPPED_BY_SOMEONE),
    "18 killed, comes back by itself": (facts(S.RUNNING), (answer(GOOD),), None, Cause.UNKNOWN),
    "20 bound elsewhere": (facts(), (bad(R.REFUSED),), K.PROBE_FAILING, Cause.NOT_ANSWERING),
    "20 bound elsewhere beside a flag": (facts(files=HERE), (bad(R.REFUSED),), K.PROBE_FAILING, Cause.NOT_ANSWERING),
    "21 the check is broken": (facts(), (answer(GOOD), BROKEN), None, Cause.CHECK_BROKEN),
    "21 the check is broken, errors beside it": (facts(), (bad(R.STATUS), BROKEN), K.PROBE_FAILING, Cause.CHECK_BROKEN),
    "29 no fault": (facts(files=HERE), (answer(GOOD),), None, Cause.UNKNOWN),
    "never started": (facts(S.CREATED, ever_started=False), (), K.NOT_RUNNING, Cause.NOT_STARTED),
    "missing": (Absent(detail="no such container"), (), K.MISSING, Cause.TARGET_MISSING),
    "flapping": (facts(), (bad(R.STATUS),), K.FLAPPING, Cause.FLAPPING),
    "errors": (facts(), (bad(R.STATUS),), K.PROBE_FAILING, Cause.SERVICE_ERRORS),
}


def evidence_for(
    sight: Sight,
    probes: Sequence[ProbeResult],
    kind: DeviationKind | None,
    *logs: str,
    missing: Sequence[str] = (),
    dependencies: Sequence[Dependency] = (),
) -> tuple[Evidence, ...]:
    probe = NAME if kind in (K.PROBE_FAILING, K.FLAPPING) else ""
    found = (Deviation(kind=kind, probe=probe),) if kind else ()
    complaint = ("CRITICAL configuration error: VICTIM_BIND is no address",) if getattr(sight, "env_names", ()) else ()
    lines = [LogLine(at=None, stream="stdout", text=text) for text in (*logs, *complaint)]
    return gather(seen(*probes, sight=sight), found, lines, (), missing, dependencies=dependencies)


DB = ServiceKey("default/db")
DOWN = (Dependency(service=DB, health=Health.UNHEALTHY),)
STOPPED = (Dependency(service=DB, health=Health.STOPPED),)
STARTING = (Dependency(service=DB, health=Health.STARTING),)
UNSEEN = (Dependency(service=DB, health=Health.UNKNOWN), Dependency(service=ServiceKey("default/nobody")))
IN_TURN = (Dependency(service=DB, health=Health.UNHEALTHY, circular=True),)
WORK_DONE = (Dependency(service=DB, health=Health.STOPPED, completed=True),)
WELL = (Dependency(service=DB, health=Health.HEALTHY, healthy_since=at(-600)),)
ITSELF = StoppedBy.ITSELF
REFUSES = "ERROR could not connect to db:5432: Connection refused"
FULL = "OSError: [Errno 28] No space left on device: '/data/x'"
RUNS, ILL = facts(), K.PROBE_FAILING
DIED = facts(S.EXITED, exit_code=1, stopped_by=ITSELF)
LOOPS = facts(S.RESTARTING, deaths=6, exit_code=1)
FLAGGED = facts(files=HERE)
BESIDE: dict[str, tuple[tuple[Evidence, ...], Cause, str]] = {
    "12 down, seen and not logged": (
        evidence_for(RUNS, (bad(R.STATUS),), ILL, dependencies=DOWN),
        Cause.DEPENDENCY_DOWN,
        "dependency-down",
    ),
    "12 down, seen and logged": (
        evidence_for(RUNS, (bad(R.STATUS),), ILL, REFUSES, dependencies=DOWN),
        Cause.DEPENDENCY_DOWN,
        "dependency-down",
    ),
    "12 down, logged, and unknown to PitCrew": (
        evidence_for(RUNS, (bad(R.STATUS),), ILL, REFUSES),
        Cause.DEPENDENCY_DOWN,
        "dependency-blamed",
    ),
    "12 a person stopped it": (
        evidence_for(RUNS, (bad(R.STATUS),), ILL, dependencies=STOPPED),
        Cause.DEPENDENCY_DOWN,
        "dependency-down",
    ),
    "12 no answer in time while it is down": (
        evidence_for(RUNS, (bad(R.TIMEOUT),), ILL, dependencies=DOWN),
        Cause.DEPENDENCY_DOWN,
        "dependency-down",
    ),
    "12 no answer in time, and the log says why": (
        evidence_for(RUNS, (bad(R.TIMEOUT),), ILL, REFUSES),
        Cause.DEPENDENCY_DOWN,
        "dependency-blamed",
    ),
    "12 the port is closed while it is down": (
        evidence_for(RUNS, (bad(R.REFUSED),), ILL, dependencies=DOWN),
        Cause.DEPENDENCY_DOWN,
        "dependency-down",
    ),
    "12 slow while it is down": (
        evidence_for(RUNS, (answer(GOOD),), K.LATENCY_HIGH, dependencies=DOWN),
        Cause.DEPENDENCY_DOWN,
        "dependency-down",
    ),
    "12 errors while it is down": (
        evidence_for(RUNS, (answer(GOOD),), K.ERROR_RATIO_HIGH, dependencies=DOWN),
        Cause.DEPENDENCY_DOWN,
        "dependency-down",
    ),
    "12 a flag beside it, which the log does not blame it for": (
        evidence_for(FLAGGED, (bad(R.STATUS),), ILL, dependencies=DOWN),
        Cause.FLAG_FILE,
        "flag-file",
    ),
    "12 a flag beside it, and the log blames it": (
        evidence_for(FLAGGED, (bad(R.STATUS),), ILL, REFUSES, dependencies=DOWN),
        Cause.DEPENDENCY_DOWN,
        "dependency-down",
    ),
    "12 a flag, and the log blames something": (
        evidence_for(FLAGGED, (bad(R.STATUS),), ILL, REFUSES),
        Cause.FLAG_FILE,
        "flag-file",
    ),
    "12 it dies of it again and again": (
        evidence_for(LOOPS, (), K.RESTART_LOOP, REFUSES, dependencies=DOWN),
        Cause.DEPENDENCY_DOWN,
        "dependency-down",
    ),
    "12 it died of it": (
        evidence_for(DIED, (), K.NOT_RUNNING, REFUSES, dependencies=DOWN),
        Cause.DEPENDENCY_DOWN,
        "dependency-down",
    ),
    "died beside it, of nothing that is told": (
        evidence_for(DIED, (), K.NOT_RUNNING, dependencies=DOWN),
        Cause.DIED,
        "died",
    ),
    "died with a complaint, and all is well": (
        evidence_for(DIED, (), K.NOT_RUNNING, REFUSES, dependencies=WELL),
        Cause.DIED,
        "died",
    ),
    "killed for memory beside it": (
        evidence_for(
            facts(S.EXITED, exit_code=137, oom_killed=True, stopped_by=ITSELF),
            (),
            K.NOT_RUNNING,
            REFUSES,
            dependencies=DOWN,
        ),
        Cause.OUT_OF_MEMORY,
        "out-of-memory",
    ),
    "paused beside it": (evidence_for(facts(S.PAUSED), (), K.PAUSED, dependencies=DOWN), Cause.PAUSED, "paused"),
    "detached beside it": (
        evidence_for(facts(desired=(GONE,)), (answer(GOOD),), K.NETWORK_DETACHED, REFUSES, dependencies=DOWN),
        Cause.NETWORK_DETACHED,
        "network-detached",
    ),
    "stopped by a signal beside it": (
        evidence_for(facts(suspended=True), (bad(R.TIMEOUT),), ILL, REFUSES, dependencies=DOWN),
        Cause.HANG,
        "hang",
    ),
    "6 a hang while it starts": (evidence_for(RUNS, (bad(R.TIMEOUT),), ILL, dependencies=STARTING), Cause.HANG, "hang"),
    "6 a hang while it is unknown": (
        evidence_for(RUNS, (bad(R.TIMEOUT),), ILL, dependencies=UNSEEN),
        Cause.HANG,
        "hang",
    ),
    "6 a hang beside a job that is done": (
        evidence_for(RUNS, (bad(R.TIMEOUT),), ILL, dependencies=WORK_DONE),
        Cause.HANG,
        "hang",
    ),
    "6 a hang of both in a circle": (
        evidence_for(RUNS, (bad(R.TIMEOUT),), ILL, dependencies=IN_TURN),
        Cause.HANG,
        "hang",
    ),
    "13 disk full, errors": (evidence_for(RUNS, (bad(R.STATUS),), ILL, FULL), Cause.DISK_FULL, "disk-full"),
    "13 disk full, no answer in time": (evidence_for(RUNS, (bad(R.TIMEOUT),), ILL, FULL), Cause.DISK_FULL, "disk-full"),
    "13 disk full, a part of the answers": (
        evidence_for(RUNS, (answer(GOOD),), K.ERROR_RATIO_HIGH, FULL),
        Cause.DISK_FULL,
        "disk-full",
    ),
    "13 died of a full disk": (evidence_for(DIED, (), K.NOT_RUNNING, FULL), Cause.DISK_FULL, "disk-full"),
    "13 dies of a full disk again and again": (
        evidence_for(LOOPS, (), K.RESTART_LOOP, FULL),
        Cause.DISK_FULL,
        "disk-full",
    ),
    "13 a full disk of the engine": (
        evidence_for(
            facts(S.CREATED, exit_code=128, error="mkdir /x: no space left on device", ever_started=False),
            (),
            K.NOT_RUNNING,
        ),
        Cause.DISK_FULL,
        "disk-full",
    ),
    "29 a complaint, and no fault": (evidence_for(RUNS, (answer(GOOD),), None, REFUSES, FULL), Cause.UNKNOWN, ""),
    "29 it is down, and no fault": (evidence_for(RUNS, (answer(GOOD),), None, dependencies=DOWN), Cause.UNKNOWN, ""),
}


@pytest.mark.parametrize(("evidence", "cause", "runbook"), BESIDE.values(), ids=BESIDE.keys())
def test_what_lies_beside_a_service_leads_to_its_cause_and_to_its_page(
    evidence: tuple[Evidence, ...], cause: Cause, runbook: str
) -> None:
    first = diagnose(evidence)[0]
    assert first.cause is cause
    assert [match.runbook.head.id for match in retrieve(built_in(), first, evidence)][:1] == [runbook][: bool(runbook)]


def test_a_flag_and_a_dependency_that_is_down_are_both_named() -> None:
    evidence, _, _ = BESIDE["12 a flag beside it, which the log does not blame it for"]
    assert {Cause.FLAG_FILE, Cause.DEPENDENCY_DOWN} <= {one.cause for one in diagnose(evidence)}


@pytest.mark.parametrize(("sight", "probes", "kind", "cause"), FAULTS.values(), ids=FAULTS.keys())
def test_a_fault_leads_to_its_cause(
    sight: Sight, probes: tuple[ProbeResult, ...], kind: DeviationKind | None, cause: Cause
) -> None:
    first, *others = diagnose(evidence_for(sight, probes, kind))
    assert first.cause is cause
    assert all(other.confidence <= first.confidence for other in others)


SAID: dict[str, tuple[RuntimeFacts, tuple[ProbeResult, ...], DeviationKind, str, Cause]] = {
    "3 a file of settings": (
        ended(1),
        (),
        K.NOT_RUNNING,
        "configuration file a.conf contains errors",
        Cause.BAD_CONFIG,
    ),
    "17 asked to end from inside": (
        ended(1),
        (),
        K.NOT_RUNNING,
        "User requested shutdown...",
        Cause.STOPPED_BY_SOMEONE,
    ),
    "3 a file of settings, again and again": (
        facts(S.RESTARTING, deaths=6, exit_code=1),
        (),
        K.RESTART_LOOP,
        "yaml: line 14: mapping values are not allowed",
        Cause.BAD_CONFIG,
    ),
    "3 settings it complained of while it ran on": (
        replace(ended(1), started_at=at(-7200)),
        (),
        K.NOT_RUNNING,
        "configuration file a.conf contains errors",
        Cause.DIED,
    ),
    "12 it ends at its start for another that it cannot reach": (
        ended(1),
        (),
        K.NOT_RUNNING,
        "dial tcp 10.0.0.7:5432: connect: connection refused",
        Cause.DEPENDENCY_DOWN,
    ),
    "12 it ends again and again for another that it cannot reach": (
        facts(S.RESTARTING, deaths=6, exit_code=1),
        (),
        K.RESTART_LOOP,
        "java.net.UnknownHostException: db",
        Cause.DEPENDENCY_DOWN,
    ),
    "12 it ended long after its start, whatever it could not reach": (
        replace(ended(1), started_at=at(-7200)),
        (),
        K.NOT_RUNNING,
        "dial tcp 10.0.0.7:5432: connect: connection refused",
        Cause.DIED,
    ),
    "5 the port is taken": (ended(1), (), K.NOT_RUNNING, "bind: address already in use", Cause.START_FAILED),
    "5 the port is taken, again and again": (
        replace(ended(1), state=S.RESTARTING, deaths=6),
        (),
        K.RESTART_LOOP,
        "listen EADDRINUSE: address already in use :::3000",
        Cause.START_FAILED,
    ),
    "20 on its own loopback": (
        facts(),
        (bad(R.REFUSED),),
        K.PROBE_FAILING,
        "listening on 127.0.0.1:8080",
        Cause.NOT_ANSWERING,
    ),
    "21 the tool of a check lacks": (
        facts(),
        (answer(BAD, reason=R.ENGINE_UNHEALTHY, detail="/bin/sh: 1: curl: not found"),),
        K.PROBE_FAILING,
        "",
        Cause.CHECK_BROKEN,
    ),
    "28 a check from inside is late, and outside all is well": (
        facts(),
        (answer(GOOD, probe="web"), bad(R.TIMEOUT)),
        K.PROBE_FAILING,
        "",
        Cause.CHECK_BROKEN,
    ),
}
"""Faults that a log or a check tells of; `httpget-0` is a check from inside in the last two."""


def evidence_said(sight: Sight, probes: Sequence[ProbeResult], kind: DeviationKind, said: str) -> tuple[Evidence, ...]:
    found = (Deviation(kind=kind, probe=NAME if kind is K.PROBE_FAILING else ""),)
    inside = any(one.probe == "web" for one in probes)
    own = {"exec": {"command": ["check"]}} if inside else {"httpGet": {"port": 8080}}
    asked = ((NAME, Probe.model_validate(own)), ("web", Probe.model_validate({"httpGet": {"port": 8080}})))
    lines = [LogLine(at=None, stream="stderr", text=said)] if said else []
    return gather(seen(*probes, sight=sight), found, lines, (), asked=asked)


@pytest.mark.parametrize(("sight", "probes", "kind", "said", "cause"), SAID.values(), ids=SAID.keys())
def test_what_a_log_or_a_check_tells_leads_to_the_cause(
    sight: Sight, probes: tuple[ProbeResult, ...], kind: DeviationKind, said: str, cause: Cause
) -> None:
    assert diagnose(evidence_said(sight, probes, kind, said))[0].cause is cause


LEFT_ALONE = {name: row for name, row in SAID.items() if row[-1] is not Cause.DIED}


@pytest.mark.parametrize(("sight", "probes", "kind", "said", "cause"), LEFT_ALONE.values(), ids=LEFT_ALONE.keys())
def test_what_a_log_or_a_check_tells_withholds_every_remedy(
    sight: Sight, probes: tuple[ProbeResult, ...], kind: DeviationKind, said: str, cause: Cause
) -> None:
    evidence = evidence_said(sight, probes, kind, said)
    matches = retrieve(built_in(), diagnose(evidence)[0], evidence)
    assert matches
    assert [match.runbook.head.remedies for match in matches] == [()] * len(matches)


def test_every_rule_and_every_cause_is_reached_by_some_fault() -> None:
    gathered = [evidence_for(sight, probes, kind) for sight, probes, kind, _ in FAULTS.values()]
    gathered += [evidence_said(*row[:4]) for row in SAID.values()]
    gathered += [evidence for evidence, _, _ in BESIDE.values()]
    seen_rules = {
        place for items in gathered for place, rule in enumerate(RULES) if all_shown(rule.signals, items).holds
    }
    assert seen_rules == set(range(len(RULES)))
    assert {cause for *_, cause in FAULTS.values()} | {cause for _, cause, _ in BESIDE.values()} == set(Cause)


def test_where_no_rule_holds_the_cause_is_unknown_and_cites_nothing() -> None:
    assert [(one.cause, one.confidence, one.evidence) for one in diagnose(())] == [(Cause.UNKNOWN, 0, ())]


def test_each_cause_is_named_once_by_its_surest_rule() -> None:
    found = diagnose(evidence_for(facts(suspended=True), (bad(R.TIMEOUT),), K.PROBE_FAILING))
    assert len({one.cause for one in found}) == len(found)
    assert found[0].confidence == 95


@pytest.mark.parametrize("reason", [R.TIMEOUT, R.STATUS, R.REFUSED, R.RESET], ids=str)
def test_what_fails_while_children_run_out_of_memory_is_treated_as_that_and_not_restarted(reason: ProbeReason) -> None:
    deviations = (Deviation(kind=K.PROBE_FAILING, probe=NAME), Deviation(kind=K.OUT_OF_MEMORY))
    evidence = gather(seen(bad(reason), sight=facts(ooms=9)), deviations, (), ())
    leading = diagnose(evidence)[0]
    assert leading.cause is Cause.OUT_OF_MEMORY
    assert [match.runbook.head.id for match in retrieve(built_in(), leading, evidence)] == ["out-of-memory-worker"]
    assert not retrieve(built_in(), leading, evidence)[0].runbook.head.remedies


def test_a_log_alone_names_no_cause() -> None:
    evidence = evidence_for(facts(), (answer(GOOD),), None, "deviation: NotRunning", f"declared file exists: {FLAG}")
    assert diagnose(evidence)[0].cause is Cause.UNKNOWN


ITEMS = st.lists(
    st.builds(
        Evidence,
        id=st.integers(1, 99).map("E{}".format),
        source=st.sampled_from(Source),
        key=st.sampled_from((*FACTS, "log")),
        value=st.one_of(
            st.booleans(),
            st.sampled_from((*map(str, S), *map(str, K), *map(str, R), *map(str, StoppedBy), FLAG)),
        ),
        text=st.text(max_size=20),
    ),
    max_size=15,
    unique_by=lambda item: item.id,
)


@given(ITEMS)
def test_a_diagnosis_cites_evidence_that_exists(evidence: list[Evidence]) -> None:
    ids = {item.id for item in evidence}
    found = diagnose(evidence)
    assert found
    for one in found:
        assert set(one.evidence) <= ids
        assert bool(one.evidence) == (one.cause is not Cause.UNKNOWN)
        assert 0 <= one.confidence <= 100


# Signals

EVIDENCE = evidence_for(facts(deaths=1, files=HERE), (bad(R.STATUS),), K.PROBE_FAILING, "Connection REFUSED by db")
SIGNALS: dict[str, tuple[Signal, bool]] = {
    "there": (fact("file.present"), True),
    "equal": (fact("state", "Running"), True),
    "one of": (fact("probe.failing", "Timeout", "Status"), True),
    "another value": (fact("state", "Exited"), False),
    "not there": (fact("oom.killed"), False),
    "a number is not true": (fact("deaths", True), False),
    "the number": (fact("deaths", 1), True),
    "a single value as runbooks write it": (Signal(fact="state", equals="Running"), True),
    "in the log, any case": (Signal(log="connection refused"), True),
    "not in the log": (Signal(log="no space left"), False),
    "absent from the log": (Signal(log="no space left", absent=True), True),
    "a fact is not looked for in the log": (Signal(log="declared file exists"), False),
    "absent fact": (fact("oom.killed", absent=True), True),
    "a fact out of a log that was read": (fact("disk.blamed", absent=True), True),
    "absent value": (fact("state", "Exited", absent=True), True),
    "absent, and yet there": (fact("state", "Running", absent=True), False),
}


@pytest.mark.parametrize(("signal", "holds"), SIGNALS.values(), ids=SIGNALS.keys())
def test_a_signal_holds(signal: Signal, holds: bool) -> None:
    result = shown(signal, EVIDENCE)
    assert result.holds is holds
    assert bool(result.evidence) is (holds and not signal.absent)


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"fact": "state", "log": "abc"},
        {"fact": "moon.phase"},
        {"log": "ab"},
        {"log": "abc", "equals": "x"},
        {"fact": "state", "equals": ()},
        {"fact": "state", "run": "rm"},
    ],
    ids=str,
)
def test_a_signal_that_could_never_be_meant_is_refused(fields: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Signal.model_validate(fields)


# Runbooks


def runbook(id_: str, *signals: Signal, not_when: tuple[Signal, ...] = ()) -> Runbook:
    head = RunbookHead.model_validate(
        {
            "id": id_,
            "title": "A title",
            "cause": "ServiceErrors",
            "signals": signals or (fact("state", "Running"),),
            "not-when": not_when,
            "ask": "look into it",
            "verify": "it is good",
        }
    )
    return Runbook(head=head, text="", origin="test", digest="0" * 64)


def found(evidence: Sequence[Evidence], *runbooks: Runbook) -> list[str]:
    leading: Diagnosis = diagnose(evidence)[0]
    return [match.runbook.head.id for match in retrieve(runbooks, leading, evidence)]


ERRORS = evidence_for(facts(), (bad(R.STATUS),), K.PROBE_FAILING, "all is well")


def test_the_most_specific_runbook_comes_first() -> None:
    two = (fact("state", "Running"), fact("probe.failing"))
    assert found(ERRORS, runbook("b"), runbook("a"), runbook("c", *two)) == ["c", "a", "b"]


def test_a_runbook_whose_signal_fails_or_whose_exclusion_holds_is_left_out() -> None:
    assert found(ERRORS, runbook("a", fact("oom.killed")), runbook("b", not_when=(fact("probe.failing"),))) == []


def test_an_exclusion_over_a_log_that_could_not_be_read_counts_as_holding() -> None:
    unread = evidence_for(facts(), (bad(R.STATUS),), K.PROBE_FAILING, missing=("logs: not in time",))
    wary = runbook("wary", not_when=(Signal(log="no space left"),))
    assert found(ERRORS, wary) == ["wary"]
    assert found(unread, wary, runbook("plain")) == ["plain"]
    assert not shown(Signal(log="no space left", absent=True), unread).holds
    assert not shown(fact("disk.blamed", absent=True), unread).holds
    assert found(unread, runbook("wary", not_when=(fact("disk.blamed"),))) == []


@pytest.mark.parametrize("cause", [cause for cause in Cause if cause is not Cause.UNKNOWN])
def test_every_cause_has_a_built_in_runbook_that_a_fault_finds(cause: Cause) -> None:
    cases = [case for case in FAULTS.values() if case[3] is cause]
    evidence = [evidence_for(sight, probes, kind) for sight, probes, kind, _ in cases]
    assert all(retrieve(built_in(), diagnose(items)[0], items) for items in evidence)
