"""The composition root: which adapter serves which port. Nothing is decided here, and nothing happens at import.

`open_world` makes the adapters, `assemble` joins them. Whoever wants to stand between the two (a crash test, a proxy)
changes a `World` and hands it on; the product itself has no seams for tests.
"""

import asyncio
import os
import pwd
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from pitcrew.adapters.durable import make_directory
from pitcrew.adapters.journal.files import JournalFiles
from pitcrew.adapters.lock.files import TargetLocks, default_directory
from pitcrew.adapters.lock.state import StateLock
from pitcrew.adapters.mechanic.routed import RoutedMechanic, in_one_process
from pitcrew.core.approval import OwnUser
from pitcrew.core.errors import InvalidInput
from pitcrew.core.order import Standing
from pitcrew.core.policy import STOP_RECHECK_S, Effect, Ruling, suspension
from pitcrew.core.resource import DEFAULT_MECHANIC, HealthyService, TargetKind
from pitcrew.core.storm import Sky
from pitcrew.loop.control import Control
from pitcrew.loop.crew import Crew
from pitcrew.loop.expenses import Expenses
from pitcrew.loop.fleet import Fleet
from pitcrew.ports import (
    Actuator,
    Clock,
    Consultant,
    Journal,
    JournalStore,
    Ledger,
    ManifestSource,
    Mechanic,
    Observer,
    Official,
    ReportSink,
    RuleCompiler,
    RunbookSearch,
    RunbookSource,
    Runtime,
    Signatures,
    StatusSink,
    StopSwitch,
    TargetLock,
    Transcripts,
    Witness,
)
from pitcrew.settings import Settings, mechanics_of

if TYPE_CHECKING:
    from pitcrew.adapters.diagnoser.openai import OpenAIConsultant
    from pitcrew.adapters.mechanic.client import MechanicClient
    from pitcrew.adapters.mechanic.connect import Mechanics
    from pitcrew.adapters.official.remote import RemoteOfficial
    from pitcrew.official.judgement import Keys
    from pitcrew.official.key import SigningKey

MECHANIC = DEFAULT_MECHANIC
"""The id of the only Mechanic in one process; permits are made out to it."""


@dataclass(frozen=True, kw_only=True)
class Together:
    """What the Official and the Mechanic hold where they run in this process."""

    rules: RuleCompiler
    key: "SigningKey"
    permits: Ledger
    spent: Ledger
    actuators: Mapping[TargetKind, Actuator]
    locks: TargetLock

    async def close(self) -> None:
        """Let go of everything held."""
        for actuator in self.actuators.values():
            await actuator.close()
        self.locks.close()


@dataclass(frozen=True, kw_only=True)
class Apart:
    """The Official and the Mechanics in processes of their own: whom this one asks, with neither key nor engine."""

    official: "RemoteOfficial"
    mechanics: "Mechanics"

    async def close(self) -> None:
        """Let go of every connection."""
        await self.official.close()
        await self.mechanics.close()


@dataclass(frozen=True, kw_only=True)
class World:
    """Every adapter, before it is joined with the others."""

    lock: StateLock
    journal: Journal
    journal_files: JournalStore
    clock: Clock
    runtimes: Mapping[TargetKind, Runtime]
    observer: Observer
    status: StatusSink
    reports: ReportSink
    runbooks: RunbookSource
    manifests: ManifestSource
    roles: Together | Apart
    stop: StopSwitch
    signatures: Signatures | None = None
    separated: bool = False
    """Whether Driver, Official and Mechanic are processes of their own; in one, a person decides on High and above."""
    mechanics: "Mapping[str, Keys]" = field(default_factory=dict)
    """Whose looks are believed where they are processes of their own."""
    witnesses: tuple[Witness, ...] = ()
    consultant: Consultant | None = None
    search: RunbookSearch | None = None
    transcripts: Transcripts | None = None


@dataclass(frozen=True, kw_only=True)
class Operator:
    """The operator, ready to run: `fleet.run()` until `ending` is set, then `close()`."""

    fleet: Fleet
    control: Control
    ending: asyncio.Event
    journal: Journal
    world: World

    async def close(self) -> None:
        """Let go of everything; targets stay as they are."""
        await asyncio.gather(*(witness.close() for witness in self.world.witnesses))
        for runtime in self.world.runtimes.values():
            await runtime.close()
        await self.world.roles.close()
        if self.world.consultant is not None:
            await self.world.consultant.close()
        self.world.journal_files.close()
        self.world.lock.close()


def compose(settings: Settings) -> Operator:
    """The operator on real adapters.

    Raises:
        InvalidInput: the state directory is in use, or a setting names something that cannot be used.
    """
    return assemble(open_world(settings), settings)


def prepare_state(state: Path, *, apart: bool = False) -> Path:
    """The state directory, made where it is missing; without what other processes keep where the roles are `apart`."""
    state = state.absolute()
    make_directory(state, 0o755)
    make_directory(state / "run", 0o711)
    for name in ("journal", "model", *(() if apart else ("official", "mechanic", "undo", "process"))):
        make_directory(state / name, 0o700)
    return state


def open_world(settings: Settings) -> World:
    """Lock the state directory and make every adapter."""
    from pitcrew.adapters.clock.boot import BootClock
    from pitcrew.adapters.diagnoser.configured import configured
    from pitcrew.adapters.journal.disk import read_key
    from pitcrew.adapters.manifests.watch import ManifestWatch
    from pitcrew.adapters.policy.cel import check_rules
    from pitcrew.adapters.reports.files import ReportFiles
    from pitcrew.adapters.runbooks.files import RunbookFiles
    from pitcrew.adapters.status.files import StatusFiles
    from pitcrew.adapters.stop.files import StopFile
    from pitcrew.adapters.transcripts.files import TranscriptFiles

    mechanics = mechanics_of(settings)
    state = prepare_state(settings.state, apart=bool(mechanics))
    lock = StateLock.acquire(state)
    key = read_key(settings.journal_key) if settings.journal_key else None
    journal = JournalFiles.open(state / "journal", BootClock.after, key=key)
    clock = journal.clock
    crew = _apart(settings, mechanics, clock) if mechanics else _together(settings, state, clock)
    consultant = configured(settings)
    runbooks = RunbookFiles.load(settings.runbooks)
    return World(
        lock=lock,
        journal=journal,
        journal_files=journal,
        clock=clock,
        runtimes=crew.runtimes,
        observer=crew.observer,
        status=StatusFiles(state / "status", heartbeat_s=settings.heartbeat_s),
        reports=ReportFiles(state / "reports"),
        runbooks=runbooks,
        manifests=ManifestWatch(settings.manifests, extra_checks=check_rules),
        roles=crew.roles,
        stop=StopFile(state=state),
        signatures=_signatures(settings),
        witnesses=(
            *_witnesses(settings, journal, crew.breakers, consultant),
            *_leaving_heads(settings, journal, state),
        ),
        consultant=consultant,
        search=_search(runbooks) if consultant else None,
        transcripts=TranscriptFiles(state / "model"),
    )


@dataclass(frozen=True, kw_only=True)
class _Reach:
    """How the world is seen and who acts in it; `breakers` by name, for metrics."""

    runtimes: Mapping[TargetKind, Runtime]
    observer: Observer
    roles: Together | Apart
    breakers: Mapping[str, Callable[[], str]]


def _together(settings: Settings, state: Path, clock: Clock) -> _Reach:
    """Everything in this process."""
    from pitcrew.adapters.ledger.files import LedgerFile
    from pitcrew.adapters.observer.local import LocalObserver
    from pitcrew.adapters.policy.cel import CelCompiler
    from pitcrew.adapters.prober.http import KubeletHttpProber
    from pitcrew.official.key import signing_key

    locks = TargetLocks(settings.lock_dir or default_directory(), owner=f"state {state}")
    local, actuators = open_runtimes(settings, state, clock, locks)
    prober = KubeletHttpProber(loopback_allowed=True, now=lambda: clock.now().at)
    runtimes, observer = in_one_process(local, LocalObserver(runtimes=local, prober=prober, clock=clock), clock)
    roles = Together(
        rules=CelCompiler(),
        key=signing_key(state / "official"),
        permits=LedgerFile(path=state / "official" / "ledger.jsonl"),
        spent=LedgerFile(path=state / "mechanic" / "spent.jsonl"),
        actuators=actuators,
        locks=locks,
    )
    return _Reach(runtimes=runtimes, observer=observer, roles=roles, breakers=_docker_breaker(local))


def _apart(settings: Settings, addresses: Mapping[str, str], clock: Clock) -> _Reach:
    """The Driver's part alone; all else is asked for."""
    from pitcrew.adapters.mechanic.connect import connect
    from pitcrew.adapters.official.remote import RemoteOfficial

    if settings.official_token_file is None:
        raise InvalidInput(
            "setting official_token_file: the Official asks for a token of the role driver; name its file"
        )
    mechanics = connect(addresses, settings.mechanic_token_file, clock)
    official = RemoteOfficial.at(settings.official_url, settings.official_token_file, lambda: clock.now().at)
    return _Reach(
        runtimes=mechanics.runtimes,
        observer=mechanics.observer,
        roles=Apart(official=official, mechanics=mechanics),
        breakers={f"mechanic-{name}": _state_of(client) for name, client in mechanics.clients.items()},
    )


def _state_of(client: "MechanicClient") -> Callable[[], str]:
    return lambda: str(client.state)


def _signatures(settings: Settings) -> Signatures | None:
    if settings.allowed_signers is not None:
        from pitcrew.adapters.signatures.ssh import SshSignatures

        return SshSignatures(settings.allowed_signers)
    if settings.approvals_signed:
        raise InvalidInput(
            "setting approvals_signed: only signed decisions are to be taken, and no file says whose keys sign; "
            "name one with PITCREW_ALLOWED_SIGNERS"
        )
    return None


def _search(runbooks: RunbookSource) -> RunbookSearch:
    from pitcrew.adapters.search.fts5 import Fts5Search

    return Fts5Search.over(runbooks.runbooks())


def _witnesses(
    settings: Settings,
    journal: JournalFiles,
    reached: Mapping[str, Callable[[], str]],
    consultant: "OpenAIConsultant | None",
) -> tuple[Witness, ...]:
    """Who is told, as the settings say; what is not asked for is not even imported."""
    found: list[Witness] = []
    if settings.webhook:
        from pitcrew.adapters.journal.disk import read_key
        from pitcrew.adapters.webhook.post import Webhook

        key = read_key(settings.webhook_key, "webhook key") if settings.webhook_key else None
        found.append(Webhook(settings.webhook, key=key))
    if settings.heartbeat_url:
        from pitcrew.adapters.heartbeat.http import Heartbeat
        from pitcrew.adapters.journal.room import no_room

        def trouble() -> str:
            return journal.damage or no_room(settings.state.absolute() / "journal")

        every_s = settings.heartbeat_url_interval_s
        found.append(Heartbeat(settings.heartbeat_url, every_s=every_s, trouble=trouble))
    if settings.metrics_addr:
        from pitcrew.adapters.incoming import checked
        from pitcrew.adapters.metrics.witness import Metrics
        from pitcrew.adapters.tokens.files import TokenFile

        address = checked(settings.metrics_addr, settings.tokens, "setting metrics_addr")
        tokens = TokenFile.open(settings.tokens, lambda: journal.clock.now().at) if settings.tokens else None
        breakers = {**reached, **({"model": lambda: str(consultant.state)} if consultant is not None else {})}
        found.append(Metrics(breakers=breakers, address=address, tokens=tokens))
    return tuple(found)


def _leaving_heads(settings: Settings, journal: JournalFiles, state: Path) -> tuple[Witness, ...]:
    """Who passes the journal's head on, where it is to leave this host."""
    if not (settings.head_syslog or settings.head_webhook or settings.head_file):
        return ()
    from pitcrew.adapters.heads.file import HeadFile
    from pitcrew.adapters.heads.leaving import LeavingHeads, Place
    from pitcrew.adapters.heads.state_id import state_id
    from pitcrew.adapters.heads.syslog import Syslog
    from pitcrew.adapters.heads.webhook import HeadWebhook
    from pitcrew.adapters.journal.disk import read_key

    places: list[Place] = []
    if settings.head_syslog:
        places.append(Syslog(settings.head_syslog))
    if settings.head_webhook:
        key = read_key(settings.webhook_key, "webhook key") if settings.webhook_key else None
        places.append(HeadWebhook(settings.head_webhook, key=key))
    if settings.head_file:
        places.append(HeadFile(settings.head_file))
    return (
        LeavingHeads(
            places,
            head=lambda: journal.head,
            now=lambda: journal.clock.now().at,
            state=state_id(state),
            every_records=settings.head_every_records,
        ),
    )


def _docker_breaker(runtimes: Mapping[TargetKind, Runtime]) -> Mapping[str, Callable[[], str]]:
    from pitcrew.adapters.runtime.docker.reading import DockerRuntime

    docker = runtimes.get(TargetKind.DOCKER)
    return {"docker": lambda: str(docker.breaker_state)} if isinstance(docker, DockerRuntime) else {}


def open_runtimes(
    settings: Settings, state: Path, clock: Clock, locks: TargetLock
) -> tuple[Mapping[TargetKind, Runtime], Mapping[TargetKind, Actuator]]:
    """Both halves of the runtimes of this machine, by kind."""
    from pitcrew.adapters.runtime.docker.acting import DockerActuator
    from pitcrew.adapters.runtime.docker.endpoint import resolve_endpoint
    from pitcrew.adapters.runtime.docker.engine import Engine
    from pitcrew.adapters.runtime.docker.reading import DockerRuntime
    from pitcrew.adapters.runtime.process.actuator import ProcessActuator
    from pitcrew.adapters.runtime.process.runtime import ProcessRuntime

    endpoint = resolve_endpoint(os.environ, Path.home())
    environ = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}

    def engine() -> Engine:
        """One for each half, since a half that hangs or is closed must not take the other along."""
        return Engine(endpoint, monotonic=time.monotonic, deadline_s=settings.engine_deadline_s)

    docker = DockerRuntime(engine(), now=lambda: clock.now().at)
    process = ProcessRuntime(state_dir=state, environ=environ, now=lambda: clock.now().at)
    return (
        {TargetKind.DOCKER: docker, TargetKind.PROCESS: process},
        {
            TargetKind.DOCKER: DockerActuator(engine(), state_dir=state, locks=locks),
            TargetKind.PROCESS: ProcessActuator(
                state_dir=state, python=sys.executable, environ=environ, now=lambda: clock.now().at
            ),
        },
    )


def assemble(world: World, settings: Settings) -> Operator:
    """Join the adapters into an operator."""
    standing, sky = Standing(), Sky()
    official, mechanic = _roles(world, settings, standing, sky)
    crew = Crew(
        settings=settings,
        clock=world.clock,
        journal=world.journal,
        runtimes=world.runtimes,
        observer=world.observer,
        official=official,
        mechanic=mechanic,
        status=world.status,
        reports=world.reports,
        runbooks=world.runbooks,
        standing=standing,
        sky=sky,
        expenses=Expenses(),
        halted=lambda: _halted(world),
        witnesses=world.witnesses,
        consultant=world.consultant,
        search=world.search,
        transcripts=world.transcripts,
    )
    ending = asyncio.Event()
    fleet = Fleet(crew, world.manifests, ending)
    control = Control(
        fleet=fleet,
        official=official,
        journal=world.journal,
        clock=world.clock,
        stop=world.stop,
        standing=standing,
        own_uid=os.geteuid(),
        admins=settings.admins,
        proposers=settings.proposers,
        manifests=settings.manifests,
    )
    return Operator(fleet=fleet, control=control, ending=ending, journal=world.journal, world=world)


def _roles(world: World, settings: Settings, standing: Standing, sky: Sky) -> tuple[Official, Mechanic]:
    """The Official and the Mechanic, as the world has them."""
    if isinstance(world.roles, Together):
        return _here(world, world.roles, settings, standing, sky)
    official = world.roles.official
    official.held = lambda service: _held(service, world, standing, sky)
    return official, world.roles.mechanics.mechanic


def _held(service: HealthyService, world: World, standing: Standing, sky: Sky) -> Ruling | None:
    """What this side holds back by itself, since orders of people and storms are known here only."""
    reason = "a person stopped PitCrew; remove the STOP file to go on" if world.stop() else str(sky)
    reason = reason or suspended_by(service, standing, world.clock)
    if not reason:
        return None
    until = world.clock.now().at + timedelta(seconds=STOP_RECHECK_S)
    return Ruling(rule="driver", effect=Effect.HOLD, message=reason, until=until)


def _here(world: World, roles: Together, settings: Settings, standing: Standing, sky: Sky) -> tuple[Official, Mechanic]:
    """Both in this process."""
    from pitcrew.mechanic.acting import VerifyingMechanic
    from pitcrew.official.asked import Hands
    from pitcrew.official.permits import Limits, SigningOfficial

    limits = Limits(permit_ttl_s=settings.permit_ttl_s, everywhere_max=settings.actions_everywhere_max)
    official = SigningOfficial(
        key=roles.key,
        ledger=roles.permits,
        compiler=roles.rules,
        now=world.clock.now,
        stop=world.stop,
        own=OwnUser(uid=os.geteuid(), may_approve=settings.own_user_may_approve, name=_own_name()),
        guardrails=world.manifests.guardrails,
        limits=limits,
        suspended=lambda service: standing.of(service, world.clock.now().at),
        storm=lambda: str(sky),
        hands=Hands(signatures=world.signatures, only_signed=settings.approvals_signed),
        separated=world.separated,
        mechanics=world.mechanics,
    )
    mechanic = VerifyingMechanic(
        id=MECHANIC,
        keys=lambda: (roles.key.public_key(),),
        ledger=roles.spent,
        actuators=roles.actuators,
        now=world.clock.now,
        stop=world.stop,
        suspended=lambda service: suspended_by(service, standing, world.clock) or str(sky),
    )
    return official, RoutedMechanic(mechanics={MECHANIC: mechanic})


def _own_name() -> str:
    """The name of the user PitCrew runs as; a uid that this machine has no name for is nobody's name."""
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return f"#{os.geteuid()}"


def suspended_by(service: HealthyService, standing: Standing, clock: Clock) -> str:
    """Why effects on a service are held by a person now; empty where they are not."""
    now = clock.now().at
    return str(suspension(service, standing.of(service.key, now), now) or "")


def _halted(world: World) -> str:
    if world.stop():
        return "a person stopped PitCrew: the file STOP is in the state directory; remove it to go on"
    if world.journal_files.damage:
        return f"{world.journal_files.damage}; look at it, then acknowledge it with `pitcrew audit seal`"
    return ""
