"""What would be done now: looked at live, thought through by the loop's own steps, judged, and acted on not at all.

It works beside a running operator and without one. Nothing is locked, written or asked of people; the engine is asked
with GET only.
"""

import asyncio
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path

from pitcrew.adapters.clock.boot import BootClock
from pitcrew.adapters.ledger.reading import LedgerReader
from pitcrew.adapters.mechanic.routed import in_one_process
from pitcrew.adapters.observer.local import LocalObserver
from pitcrew.adapters.policy.cel import CelCompiler
from pitcrew.adapters.prober.http import KubeletHttpProber
from pitcrew.adapters.runbooks.files import RunbookFiles
from pitcrew.adapters.runtime.docker.endpoint import resolve_endpoint
from pitcrew.adapters.runtime.docker.engine import Engine
from pitcrew.adapters.runtime.docker.reading import DockerRuntime
from pitcrew.adapters.runtime.process.runtime import ProcessRuntime
from pitcrew.adapters.status.text import read_status
from pitcrew.adapters.stop.files import StopFile
from pitcrew.core.action import describe
from pitcrew.core.dependency import Dependency
from pitcrew.core.deviation import Health
from pitcrew.core.errors import InvalidInput, JournalError, JournalUnwritable
from pitcrew.core.incident import Attempt, Impossible
from pitcrew.core.observation import RuntimeFacts
from pitcrew.core.order import Standing
from pitcrew.core.policy import Guardrails
from pitcrew.core.proposal import Plan
from pitcrew.core.record import Entry, Instant, Json, Record, canonical
from pitcrew.core.report import section_data, section_text, why
from pitcrew.core.resource import HealthyService, TargetKind
from pitcrew.core.step import AskApproval, AskPermit, Escalate, Wait
from pitcrew.entrypoints.cli.declared import declared
from pitcrew.entrypoints.cli.names import service_name
from pitcrew.entrypoints.cli.output import Output, listing, mapping, say, say_data, say_table, shown
from pitcrew.entrypoints.cli.state import told_by
from pitcrew.loop.rehearsal import Eyes, Rehearsal, rehearse
from pitcrew.official.onlooker import onlooker
from pitcrew.official.permits import Limits
from pitcrew.ports import Clock, Ledger, Runtime
from pitcrew.settings import Settings
from pitcrew.settings import load as load_settings


@dataclass(frozen=True, kw_only=True, slots=True)
class _Past:
    """What could be read of the journal and of the ledger, and the doubts where it could not."""

    records: Sequence[Record]
    ledger: Ledger
    doubts: tuple[str, ...]


class _NoLedger:
    """The ledger of somebody who may not read the real one."""

    def read(self) -> Sequence[Record]:
        """Nothing is known."""
        return ()

    def append(self, entry: Entry, at: Instant) -> Record:
        """Never. Raises JournalUnwritable."""
        raise JournalUnwritable("a rehearsal writes nothing")


def show_plan(state: Path, name: str, manifests: tuple[Path, ...], runbooks: tuple[Path, ...], output: Output) -> None:
    """Print what would be done about one service now.

    Raises InvalidInput where it is not declared, or its manifest cannot be used.
    """
    settings = load_settings({"state": state.absolute(), "runbooks": runbooks or None})
    service, guardrails, doubts = declared(state, name, manifests)
    past = _past(state)
    past = replace(past, doubts=(*doubts, *past.doubts))
    try:
        found = asyncio.run(_rehearsed(settings, service, guardrails, past))
    except (Impossible, ValueError) as error:
        raise InvalidInput(f"the journal cannot be replayed: {error}; read it with the PitCrew that wrote it") from None
    for doubt in () if output.for_tools else past.doubts:
        say(f"warning: {shown(doubt)}", error=True)
    show_rehearsal(found, service, past.doubts, output)


def show_rehearsal(found: Rehearsal, service: HealthyService, doubts: tuple[str, ...], output: Output) -> None:
    """Print what came of a rehearsal; `doubts` are part of the data, and for people they are said before."""
    what, because = _next(found, service)
    if output.for_tools:
        say_data(_data(found, service, what, because, doubts), output)
    else:
        _show(found, service, what, because)


def _past(state: Path) -> _Past:
    doubts: list[str] = []
    records: Sequence[Record] = ()
    try:
        told = told_by(state) if (state / "journal").is_dir() else None
        records, doubt = (told.records, told.doubt) if told else ((), "")
        doubts += [f"the journal does not hold: {doubt}"] if doubt else []
    except (JournalError, OSError) as error:
        doubts.append(f"earlier incidents and orders are not counted: {error}")
    ledger: Ledger = LedgerReader(path=state / "official" / "ledger.jsonl")
    try:
        ledger.read()
    except JournalError as error:
        doubts.append(f"budgets, cooldown and decisions are not counted: {error}")
        ledger = _NoLedger()
    return _Past(records=records, ledger=ledger, doubts=tuple(doubts))


async def _rehearsed(settings: Settings, service: HealthyService, guardrails: Guardrails, past: _Past) -> Rehearsal:
    clock = BootClock.after(past.records[-1] if past.records else None)
    standing, compiler = Standing(), CelCompiler()
    runtime = _runtime(settings, service, clock)
    local = {runtime.kind: runtime}
    prober = KubeletHttpProber(loopback_allowed=True, now=lambda: clock.now().at)
    observer = LocalObserver(runtimes=local, prober=prober, clock=clock, runs_commands=False)
    runtimes, routed = in_one_process(local, observer, clock)
    official = onlooker(
        ledger=past.ledger,
        compiler=compiler,
        now=clock.now,
        stop=StopFile(state=settings.state) if settings.state.is_dir() else lambda: False,
        suspended=lambda key: standing.of(key, clock.now().at),
        guardrails=lambda: guardrails,
        limits=Limits(permit_ttl_s=settings.permit_ttl_s, everywhere_max=settings.actions_everywhere_max),
    )
    eyes = Eyes(
        settings=settings,
        clock=clock,
        records=past.records,
        runtimes=runtimes,
        observer=routed,
        official=official,
        runbooks=RunbookFiles.load(settings.runbooks),
        standing=standing,
        guardrails=guardrails,
        told_of=lambda declared: _as_told(settings, declared, clock),
    )
    try:
        return await rehearse(eyes, service)
    finally:
        await runtime.close()


def _as_told(settings: Settings, service: HealthyService, clock: Clock) -> tuple[Dependency, ...]:
    """How what it depends on was seen by an operator that runs here, by its status files; else Unknown. They are not
    looked at themselves."""
    now, told = clock.now().at, {service_name(one): one for one in read_status(settings.state / "status")}
    found = []
    for key in service.depends_on:
        status = mapping(mapping(told.get(key)).get("status"))
        seen_at = _instant(status.get("observedAt"))
        fresh = seen_at is not None and now - seen_at <= timedelta(seconds=_STATUS_OLD * settings.heartbeat_s)
        ready = [one for one in listing(status.get("conditions")) if one.get("type") == "Ready"]
        completed = any(one.get("reason") == "Completed" for one in ready)
        health = Health(str(status["health"])) if fresh and status.get("health") in set(Health) else Health.UNKNOWN
        found.append(Dependency(service=key, health=health, completed=completed))
    return tuple(found)


_STATUS_OLD = 3
"""Heartbeats of the status files after which one tells nothing of now."""


def _instant(value: object) -> datetime | None:
    try:
        return datetime.fromisoformat(str(value))
    except ValueError:
        return None


def _runtime(settings: Settings, service: HealthyService, clock: Clock) -> Runtime:
    """The reading half of the runtime that the service lives on."""
    if service.spec.target.kind is TargetKind.DOCKER:
        endpoint = resolve_endpoint(os.environ, Path.home())
        engine = Engine(endpoint, monotonic=time.monotonic, deadline_s=settings.engine_deadline_s)
        return DockerRuntime(engine, now=lambda: clock.now().at)
    environ = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    return ProcessRuntime(state_dir=settings.state, environ=environ, now=lambda: clock.now().at)


def _next(found: Rehearsal, service: HealthyService) -> tuple[str, str]:
    """What would be done, and why, each in a few words."""
    incident, step = found.incident, found.step
    if found.deviates is not True or incident is None:
        why_not = "it does not deviate" if found.deviates is False else "whether it deviates cannot be told now"
        open_one = f"; {incident.id} is open, phase {incident.phase}" if incident else ""
        return "nothing", f"{why_not}{open_one}"
    match step:
        case None:
            return "nothing", "a look that it needs gave no answer; it would be tried again"
        case AskPermit(attempt=attempt):
            return f"{describe(attempt.plan.action)}, by itself", _ruled(attempt)
        case AskApproval(attempt=attempt):
            named = [*service.spec.policy.approvers.users, *service.spec.policy.approvers.groups]
            whom = ", ".join(named) or "nobody, since spec.policy.approvers names none"
            return f"ask {whom} about: {describe(attempt.plan.action)}", _ruled(attempt)
        case Escalate(reason=reason, ask=ask):
            return f"hand it over to a person: {ask}", reason
        case Wait(reason=reason):
            return "wait", reason
        case _:
            return f"go on with {incident.id}, phase {incident.phase}", "it is under way, and not looked at anew"


def _ruled(attempt: Attempt) -> str:
    return attempt.verdict.reason if attempt.verdict else ""


_BY_STATUS = {False: ", as an operator here tells", True: ": a plan does not look at it, and no fresh status tells"}


def _looked(found: Rehearsal) -> list[list[object]]:
    seen = found.seen
    assert seen is not None, "a rehearsal of a live service looks first"
    sight = seen.sight
    target = (
        f"{sight.name} is {sight.state}"
        if isinstance(sight, RuntimeFacts)
        else f"{type(sight).__name__}: {sight.detail}"
    )
    rows: list[list[object]] = [["target", target]]
    rows += [["probe", f"{one.probe}: {one.outcome} ({one.reason}) {one.detail}"] for one in seen.probes]
    rows += [["depends on", f"{one}{_BY_STATUS[one.health is Health.UNKNOWN]}"] for one in found.dependencies]
    return [*rows, ["deviations", ", ".join(map(str, found.found)) or "none"]]


def _show(found: Rehearsal, service: HealthyService, what: str, because: str) -> None:
    rows: list[list[object]] = [["why", because], *_looked(found)]
    if found.was_open is not None:
        rows.append(["open incident", f"{found.was_open.id}, phase {found.was_open.phase}"])
    say_table([service.key, f"would now: {shown(what)}"], rows)
    plan = _plan(found)
    if plan is not None:
        say("")
        say("Plan, as it would be judged, approved and permitted")
        say(shown(canonical(plan.data).decode()))
        say(f"digest {plan.digest}")
        say(f"undo   {shown(describe(plan.undo) if plan.undo else f'none: {plan.irreversible}')}")
    if plan is not None and found.incident is not None:
        say("")
        say(section_text(why(found.incident)).rstrip("\n"))
    say("")
    say("Nothing was done and nothing was written. Thresholds were not waited for, and no exec probe was run.")


def _plan(found: Rehearsal) -> Plan | None:
    """The plan that was made now, or the one under way."""
    attempts = found.incident.attempts if found.incident is not None else ()
    before = found.was_open.attempts if found.was_open is not None else ()
    made_now = len(attempts) > len(before) or isinstance(found.step, AskPermit | AskApproval)
    return attempts[-1].plan if attempts and made_now else None


def _data(
    found: Rehearsal, service: HealthyService, what: str, because: str, doubts: tuple[str, ...]
) -> Mapping[str, Json]:
    plan = _plan(found)
    return {
        "service": service.key,
        "wouldNow": shown(what),
        "because": shown(because),
        "seen": [f"{shown(title)}: {shown(text)}" for title, text in _looked(found)],
        "openIncident": found.was_open.id if found.was_open else None,
        "plan": plan.data if plan else None,
        "planDigest": plan.digest if plan else None,
        "why": section_data(why(found.incident)) if plan and found.incident else None,
        "doubts": [shown(doubt) for doubt in doubts],
    }
