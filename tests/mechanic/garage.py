"""A Mechanic that serves over a real port, composed as the product composes it, over whatever parts a test has."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from concurrent.futures import Future
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from threading import Thread

from pitcrew.adapters.clock.boot import BootClock
from pitcrew.adapters.incoming import Address
from pitcrew.adapters.ledger.files import LedgerFile
from pitcrew.adapters.lock.state import StateLock
from pitcrew.adapters.mechanic.connect import Mechanics, connect
from pitcrew.adapters.observer.local import LocalObserver
from pitcrew.adapters.stop.files import StopFile
from pitcrew.bootstrap_mechanic import MechanicParts
from pitcrew.core.resource import HealthyService, TargetKind
from pitcrew.entrypoints.servers.mechanic_process import MechanicProcess
from pitcrew.entrypoints.servers.serving import Listen
from pitcrew.mechanic.acting import VerifyingMechanic
from pitcrew.mechanic.sealing import Sealer
from pitcrew.mechanic.verify import OfficialKeys
from pitcrew.ports import Actuator, Runtime
from tests.fakes.manifests import FakeManifests
from tests.fakes.prober import FakeProber

WAIT_S = 20.0


class NoLock:
    """Nobody else acts on these targets."""

    def acquire(self, engine_id: str, target_id: str) -> bool:
        return True

    def holder(self, engine_id: str, target_id: str) -> str:
        return ""

    def close(self) -> None:
        return


@dataclass(kw_only=True)
class Garage:
    """A Mechanic that serves at `url` while it is open."""

    process: MechanicProcess
    manifests: FakeManifests
    url: str

    async def declare(self, *services: HealthyService) -> None:
        """From now on its manifests declare these; it has read them when this returns."""
        await self.manifests.declare(*services)
        async with asyncio.timeout(WAIT_S):
            while self.listed() != {service.key for service in services}:
                await asyncio.sleep(0)

    def listed(self) -> set[str]:
        """What it has read, its own and that of other Mechanics."""
        roster = self.process.roster
        return {*roster.declared, *roster.elsewhere}

    def connected(self) -> Mechanics:
        """Adapters of a Driver that knows this Mechanic as the default one."""
        return connect({"default": self.url}, None, BootClock.after(None))


def parts(
    state: Path,
    *,
    runtimes: Mapping[TargetKind, Runtime],
    actuators: Mapping[TargetKind, Actuator] | None = None,
    mechanic: VerifyingMechanic | None = None,
    manifests: FakeManifests | None = None,
) -> MechanicParts:
    """Parts over fakes; a Mechanic that is not given has the id `default`."""
    state.mkdir(parents=True, exist_ok=True)
    clock = BootClock.after(None)
    stop = StopFile(state=state)
    made = mechanic or VerifyingMechanic(
        id="default",
        keys=OfficialKeys(path=state / "official" / "key.pub"),
        ledger=LedgerFile(path=state / "mechanic" / "spent.jsonl"),
        actuators=actuators or {},
        now=clock.now,
        stop=stop,
        suspended=lambda service: "",
    )
    return MechanicParts(
        lock=StateLock.acquire(state),
        runtimes=runtimes,
        actuators={},
        locks=NoLock(),
        observer=LocalObserver(runtimes=runtimes, prober=FakeProber(), clock=clock),
        manifests=manifests or FakeManifests(),
        mechanic=made,
        sealer=Sealer.over(state / "mechanic-key", made.id),
        stop=stop,
        stop_place=str(state / "STOP"),
    )


@asynccontextmanager
async def opened(made: MechanicParts) -> AsyncIterator[Garage]:
    """The Mechanic in this loop, while the block runs."""
    process = MechanicProcess(parts=made)
    there: asyncio.Future[Address] = asyncio.get_running_loop().create_future()
    serving = asyncio.create_task(process.listen(Listen(address="127.0.0.1:0"), there.set_result))

    def ended(task: "asyncio.Task[None]") -> None:
        if not there.done():
            there.set_exception(task.exception() or EOFError())

    serving.add_done_callback(ended)
    url = f"http://{await there}"
    assert isinstance(made.manifests, FakeManifests)
    try:
        yield Garage(process=process, manifests=made.manifests, url=url)
    finally:
        process.ending.set()
        await asyncio.wait([serving])


@contextmanager
def apart(made: MechanicParts) -> Iterator[tuple[Garage, Callable[..., None]]]:
    """The Mechanic in a thread of its own, while the block runs, and a way to declare services there."""
    begun: Future[tuple[Garage, asyncio.AbstractEventLoop, asyncio.Event]] = Future()

    async def play() -> None:
        ending = asyncio.Event()
        async with opened(made) as garage:
            begun.set_result((garage, asyncio.get_running_loop(), ending))
            await ending.wait()

    def body() -> None:
        try:
            asyncio.run(play())
        except BaseException as error:
            if not begun.done():
                begun.set_exception(error)

    thread = Thread(target=body, daemon=True)
    thread.start()
    garage, loop, ending = begun.result(WAIT_S)

    def declare(*services: HealthyService) -> None:
        asyncio.run_coroutine_threadsafe(garage.declare(*services), loop).result(WAIT_S)

    try:
        yield garage, declare
    finally:
        loop.call_soon_threadsafe(ending.set)
        thread.join(WAIT_S)
        assert not thread.is_alive(), "the Mechanic did not end"


def now() -> datetime:
    """The wall clock."""
    return datetime.now(UTC)
