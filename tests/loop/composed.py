"""The production composition over fakes: real core, loop, Official, Mechanic, ledgers, rules and runbooks.

A `House` is what outlives the operator: the engine, the journal, the ledgers, the clocks of the machine. `running`
is one life of the operator in it; opened again it is a restart, and after a `kill` a crash.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path

from pitcrew.adapters.clock.boot import BootClock
from pitcrew.adapters.ledger.files import LedgerFile
from pitcrew.adapters.lock.state import StateLock
from pitcrew.adapters.mechanic.routed import in_one_process
from pitcrew.adapters.observer.local import LocalObserver
from pitcrew.adapters.policy.cel import CelCompiler
from pitcrew.adapters.runbooks.files import RunbookFiles
from pitcrew.adapters.search.fts5 import Fts5Search
from pitcrew.bootstrap import Operator, Together, World, assemble
from pitcrew.core.conditions import Condition, ServiceStatus
from pitcrew.core.event import (
    EVENT_TYPES,
)
from pitcrew.core.incident import (
    Incident,
    replay_all,
)
from pitcrew.core.observation import Observation, ProbeResult, RuntimeState
from pitcrew.core.record import Entry, Record
from pitcrew.core.resource import DEFAULT_MECHANIC, HealthyService, HttpGet, ServiceKey, TargetKind, TcpSocket
from pitcrew.mechanic.sealing import Sealer
from pitcrew.official.key import signing_key
from pitcrew.ports import Actuator, Consultant, Observer, ReportSink, Runtime, Signatures, StatusSink, Witness
from pitcrew.settings import Settings
from tests.fakes.engine import Away, FakeEngine, FakeTarget
from tests.fakes.journal import FakeJournal
from tests.fakes.manifests import FakeManifests
from tests.fakes.prober import BROKEN, OK, REFUSED, SILENT, Said
from tests.fakes.runtime import FakeActuator, FakeRuntime
from tests.fakes.transcripts import FakeTranscripts

FLAG = "/app/broken.flag"
FLAGGED = replace(BROKEN, detail="HTTP 500: SERVICE UNHEALTHY: broken.flag exists")
PATIENCE_S = 600
STEP_S = 0.25
Hook = Callable[[], Awaitable[None]]


def manifest(name: str = "victim", container: str = "", **spec: object) -> HealthyService:
    """The demo's service, with parts of the spec replaced."""
    base: dict[str, object] = {
        "target": {"docker": {"container": container or name}},
        "probes": [{"httpGet": {"path": "/health", "port": 8080}}],
        "remediation": {"actions": {"removeFile": {"paths": [FLAG]}, "restart": {}, "start": {}}},
        "policy": {"autoUpTo": "High"},
    }
    return HealthyService.model_validate(
        {
            "apiVersion": "pitcrew.dev/v1alpha1",
            "kind": "HealthyService",
            "metadata": {"name": name},
            "spec": {**base, **spec},
        }
    )


@cache
def _runbooks(directories: tuple[Path, ...]) -> RunbookFiles:
    return RunbookFiles.load(directories)


@cache
def _search(directories: tuple[Path, ...]) -> Fts5Search:
    return Fts5Search.over(_runbooks(directories).runbooks())


class VictimProber:
    """`HttpProber` whose answers follow from the target and what it needs; `says` overrides them by target name."""

    def __init__(self, engine: FakeEngine) -> None:
        self._engine = engine
        self.says: dict[str, Said] = {}
        self.sick: set[str] = set()
        self.needs: dict[str, str] = {}
        """The target that one needs to be well, by its name."""
        self.errors: list[Exception] = []

    async def get(self, name: str, http_get: HttpGet, *, address: str | None, timeout_s: float) -> ProbeResult:
        """See `pitcrew.ports.HttpProber`."""
        if self.errors:
            raise self.errors.pop(0)
        said = self.answer(next(each for each in self._engine.targets.values() if each.address == address))
        return ProbeResult(
            probe=name,
            at=self._engine.now(),
            outcome=said.outcome,
            reason=said.reason,
            detail=said.detail,
            status=said.status,
        )

    async def connect(self, name: str, tcp: TcpSocket, *, address: str | None, timeout_s: float) -> ProbeResult:
        """See `pitcrew.ports.HttpProber`."""
        asked = HttpGet.model_validate({"port": tcp.port})
        return await self.get(name, asked, address=address, timeout_s=timeout_s)

    def answer(self, target: FakeTarget) -> Said:
        """What a target says now."""
        if target.name in self.says:
            return self.says[target.name]
        if target.state is not RuntimeState.RUNNING:
            return REFUSED
        if target.suspended:
            return SILENT
        needed = self._engine.targets.get(self.needs.get(target.name, ""))
        if needed is not None and self.answer(needed) is not OK:
            return BROKEN
        if target.name in self.sick:
            return BROKEN
        return FLAGGED if FLAG in target.files else OK


class Pen(FakeJournal):
    """The journal of one house: after a record of a type its hook runs, once."""

    def __init__(self, clock: BootClock) -> None:
        super().__init__(clock)
        self.after: dict[str, Hook] = {}
        self.before: dict[str, Hook] = {}
        self.damage = ""

    async def append(self, entry: Entry) -> Record:
        if hook := self.before.pop(entry.type, None):
            await hook()
        record = await super().append(entry)
        if hook := self.after.pop(entry.type, None):
            await hook()
        return record

    async def archive(self) -> tuple[int, ...]:
        """Nothing in memory grows old."""
        return ()

    def close(self) -> None:
        """Nothing is held."""


class StatusBoard:
    """`StatusSink` in memory; `shown` keeps every condition that ever was true, by service."""

    def __init__(self) -> None:
        self.now: dict[ServiceKey, ServiceStatus] = {}
        self.shown: dict[ServiceKey, set[str]] = {}
        self.waited: dict[ServiceKey, list[str]] = {}

    async def write(self, status: ServiceStatus) -> None:
        key = status.service.key
        self.now[key] = status
        self.shown.setdefault(key, set()).update(c.type for c in status.conditions if c.status == "True")
        self.waited.setdefault(key, []).append(status.waits_for)

    async def forget(self, service: ServiceKey) -> None:
        self.now.pop(service, None)


class Reports:
    """`ReportSink` in memory; every version of each."""

    def __init__(self) -> None:
        self.texts: dict[str, list[str]] = {}

    async def write(self, incident: str, text: str) -> str:
        self.texts.setdefault(incident, []).append(text)
        return f"memory/{incident}.md"


class NoOtherOperator:
    """`TargetLock` of a machine with one operator."""

    def acquire(self, engine_id: str, target_id: str) -> bool:
        return True

    def holder(self, engine_id: str, target_id: str) -> str:
        return ""

    def close(self) -> None:
        """Nothing is held."""


class Switch:
    """`StopSwitch` of a house."""

    def __init__(self, house: "House") -> None:
        self._house = house

    def __call__(self) -> bool:
        return self._house.stopped

    def set(self, text: str) -> None:
        self._house.stopped = True

    def clear(self) -> None:
        self._house.stopped = False


class SealingObserver:
    """`Observer` of a Mechanic in a process of its own."""

    def __init__(self, local: Observer, sealer: Sealer) -> None:
        self._local, self._sealer = local, sealer

    async def look(self, service: HealthyService, due: Collection[str] | None = None) -> Observation:
        """See `pitcrew.ports.Observer`."""
        return self._sealer.seal(service, await self._local.look(service, due))


class House:
    """One machine; see the module. Must be made inside a running loop."""

    def __init__(
        self, state: Path, *services: HealthyService, settings: Settings | None = None, separated: bool = False
    ) -> None:
        self.state = state
        self.settings = settings or Settings(state=state)
        self.boot = "boot-1"
        self.wall_ahead = timedelta()
        self.stopped = False
        self.clock = BootClock.after(None, wall=self.wall, boottime_ns=self._boottime_ns, boot_id=lambda: self.boot)
        self.engine = FakeEngine(now=self.now)
        self.prober = VictimProber(self.engine)
        self.journal = Pen(self.clock)
        self.status = StatusBoard()
        self.reports = Reports()
        self.services = services or (manifest(),)
        self.manifests = FakeManifests(*self.services)
        self.official, self.mechanic = state / "official", state / "mechanic"
        self.life: Operator | None = None
        self.witnesses: tuple[Witness, ...] = ()
        self.consultant: Consultant | None = None
        self.transcripts = FakeTranscripts()
        self.signatures: Signatures | None = None
        self.separated = separated
        """Whether the Official judges as one in a process of its own does, where High may act without a person."""
        self._told: tuple[int, list[Incident]] = (0, [])
        self.runtime_of: Callable[[FakeEngine], Runtime] = FakeRuntime
        self.actuator_of: Callable[[FakeEngine], Actuator] = FakeActuator
        for service in self.services:
            self.add(service)

    # The machine

    @staticmethod
    def elapsed_s() -> float:
        """Virtual seconds so far."""
        return asyncio.get_running_loop().time()

    def wall(self) -> datetime:
        """What the wall clock says, right or wrong."""
        return datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC) + timedelta(seconds=self.elapsed_s()) + self.wall_ahead

    def now(self) -> datetime:
        """Trusted time."""
        return self.clock.now().at

    def _boottime_ns(self) -> int:
        return int(self.elapsed_s() * 1e9)

    def add(self, service: HealthyService) -> FakeTarget:
        """A fresh target for a service, long up, with an address of its own."""
        assert service.spec.target.docker is not None
        name = service.spec.target.docker.container
        assert name is not None
        target = self.engine.add(name)
        target.started_at = self.now() - timedelta(hours=1)
        target.address = f"10.0.0.{len(self.engine.targets)}"
        return target

    # The operator

    def operator(self) -> Operator:
        """A new operator on what is there, as after a start of the process."""
        records = list(self.journal.read())
        last = records[-1] if records else None
        self.clock = BootClock.after(last, wall=self.wall, boottime_ns=self._boottime_ns, boot_id=lambda: self.boot)
        self.journal.clock = self.clock
        kind = self.engine.kind
        local = {kind: self.runtime_of(self.engine)}
        runtimes, observer = in_one_process(local, self.observer(local), self.clock)
        status: StatusSink = self.status
        reports: ReportSink = self.reports
        world = World(
            lock=StateLock.acquire(self.state),
            journal=self.journal,
            journal_files=self.journal,
            clock=self.clock,
            runtimes=runtimes,
            observer=observer,
            status=status,
            reports=reports,
            runbooks=_runbooks(self.settings.runbooks),
            manifests=self.manifests,
            roles=Together(
                rules=CelCompiler(),
                key=signing_key(self.official),
                permits=LedgerFile(path=self.official / "ledger.jsonl"),
                spent=LedgerFile(path=self.mechanic / "spent.jsonl"),
                actuators={kind: self.actuator_of(self.engine)},
                locks=NoOtherOperator(),
            ),
            stop=Switch(self),
            signatures=self.signatures,
            separated=self.separated,
            mechanics={DEFAULT_MECHANIC: lambda: (signing_key(self.mechanic).public_key(),)},
            witnesses=self.witnesses,
            consultant=self.consultant,
            search=_search(self.settings.runbooks) if self.consultant else None,
            transcripts=self.transcripts,
        )
        return assemble(world, self.settings)

    def observer(self, runtimes: Mapping[TargetKind, Runtime]) -> Observer:
        """The eyes; those of a Mechanic in a process of its own seal what they see."""
        local = LocalObserver(runtimes=runtimes, prober=self.prober, clock=self.clock)
        return SealingObserver(local, Sealer.over(self.mechanic, DEFAULT_MECHANIC)) if self.separated else local

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Operator]:
        """One life of the operator, ended in order."""
        self.life = operator = self.operator()
        fleet = asyncio.create_task(operator.fleet.run())
        try:
            yield operator
        finally:
            operator.ending.set()
            await fleet
            await operator.close()

    @asynccontextmanager
    async def crashing(self) -> AsyncIterator[Operator]:
        """One life of the operator, ended by a crash: each of its tasks stops where it is, and nothing is written."""
        before = asyncio.all_tasks()
        self.life = operator = self.operator()
        fleet = asyncio.create_task(operator.fleet.run())
        try:
            yield operator
        finally:
            own = {fleet} | asyncio.all_tasks() - before
            for task in own:
                task.cancel()
            await asyncio.gather(*own, return_exceptions=True)
            operator.world.lock.close()

    @staticmethod
    async def freezes() -> None:
        """As a hook: nothing goes on from here."""
        await asyncio.Event().wait()

    async def ends_here(self) -> None:
        """As a hook: end this life now, before the loop goes one step further."""
        assert self.life is not None
        self.life.ending.set()
        await asyncio.sleep(STEP_S)

    async def goes_away(self) -> None:
        """As a hook: the engine does not answer from now on."""
        self.engine.away = Away.GONE

    # Looking

    async def until(self, fact: Callable[[], object], *, within_s: float = PATIENCE_S, what: str = "") -> None:
        """Let time pass until something is so. Raises: AssertionError with the journal where it never is."""
        limit = self.elapsed_s() + within_s
        while not fact():
            assert self.elapsed_s() < limit, f"{what or fact} did not become so; {self.story()}"
            await asyncio.sleep(STEP_S)

    async def passes(self, seconds: float) -> None:
        """Let time pass."""
        await asyncio.sleep(seconds)

    async def healed(self, count: int = 1) -> None:
        """Until this many incidents are closed and none is open."""
        await self.until(
            lambda: len(self.incidents()) == count and not any(one.open for one in self.incidents()),
            what=f"{count} closed incidents",
        )

    def records(self, incident: str | None = None) -> list[Record]:
        """Records of incidents."""
        return [record for record in self.journal.read(incident) if record.type in EVENT_TYPES]

    def story(self, incident: str | None = None) -> list[str]:
        """Their types."""
        return [record.type for record in self.records(incident)]

    def incidents(self) -> list[Incident]:
        """Every incident, as the journal tells it."""
        if self._told[0] != len(self.journal.lines):
            self._told = len(self.journal.lines), list(replay_all(self.journal.read()))
        return self._told[1]

    @property
    def incident(self) -> Incident:
        """The last incident."""
        return self.incidents()[-1]

    def effects(self, name: str = "victim") -> list[str]:
        """Effects that reached a target of this name now or before, as the engine witnessed them."""
        ids = {target.target_id for target in self.engine.targets.values() if target.name == name}
        return [action for action, target_id in self.engine.asked if target_id in ids]

    def flag(self, name: str = "victim") -> None:
        """Break a service as `make chaos-break` does."""
        self.engine.write(name, FLAG, b"broken")

    def condition(self, type_: str, key: str = "default/victim") -> Condition | None:
        """A condition in the status as written last."""
        status = self.status.now.get(ServiceKey(key))
        return next((one for one in status.conditions if one.type == type_), None) if status else None
