"""The process of a Mechanic: it follows its own manifests and runtimes, serves, and ends in order."""

import asyncio
import logging
import os
import signal
import socket
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from threading import Thread
from uuid import uuid4

from pitcrew.adapters.incoming import Address
from pitcrew.bootstrap_mechanic import MechanicParts
from pitcrew.core.errors import Refused
from pitcrew.entrypoints.servers.mechanic import ACCESS, LIMITS, Served, application, server
from pitcrew.entrypoints.servers.serving import Listen, served
from pitcrew.mechanic.claims import Claims
from pitcrew.mechanic.reading import Readings
from pitcrew.mechanic.roster import Roster
from pitcrew.mechanic.serving import ServedMechanic
from pitcrew.mechanic.wakes import Wakes

_log = logging.getLogger("pitcrew.mechanic")


@dataclass(kw_only=True)
class MechanicProcess:
    """A Mechanic over its parts. `ending` ends it; an effect under way is finished first."""

    parts: MechanicParts
    ending: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        parts = self.parts
        self.roster = Roster(id=parts.mechanic.id)
        self._heard = Wakes(epoch=uuid4().hex[:12])
        self._known = asyncio.Event()
        claims = Claims(roster=self.roster, runtimes=parts.runtimes)
        readings = Readings(
            roster=self.roster,
            runtimes=parts.runtimes,
            observer=parts.observer,
            sealer=parts.sealer,
            claims=claims,
            heard=self._heard,
        )
        mechanic = ServedMechanic(mechanic=parts.mechanic, roster=self.roster, claims=claims)
        self.server = server(
            Served(
                roster=self.roster,
                readings=readings,
                mechanic=mechanic,
                stop=parts.stop,
                stop_place=parts.stop_place,
            )
        )
        self.app = application(self.server, self._trouble)

    async def listen(self, listen: Listen, ready: Callable[[Address], None] = lambda _: None) -> None:
        """Serve over HTTP until the end; `ready` is told where. Raises as `serving.served`."""
        async with self._running(), served(self.app, listen, ACCESS, limits=LIMITS) as address:
            ready(address)
            await self.ending.wait()

    async def speak(self) -> None:
        """Serve over standard input and output, until the client hangs up or the end."""
        async with self._running():
            hang_up = _own_input()
            speaking = asyncio.create_task(self.server.run_stdio_async())
            ended = asyncio.create_task(self.ending.wait())
            await asyncio.wait([speaking, ended], return_when=asyncio.FIRST_COMPLETED)
            hang_up()
            ended.cancel()
            await asyncio.gather(speaking, ended, return_exceptions=True)

    def obey_signals(self) -> None:
        """SIGTERM and SIGINT end the process, SIGUSR1 stops every effect."""
        loop = asyncio.get_running_loop()
        for sign in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(sign, self.ending.set)
        loop.add_signal_handler(signal.SIGUSR1, self._stop)

    def _stop(self) -> None:
        try:
            self.parts.stop.set("stopped by SIGUSR1")
        except OSError as error:
            _log.error("stop not written", extra={"text": f"{self.parts.stop_place}: {error.strerror}; it holds"})
        _log.warning("stopped by a signal", extra={"text": f"remove {self.parts.stop_place} to go on"})

    def _trouble(self) -> str:
        return "" if self._known.is_set() else "the manifests were not read yet"

    @asynccontextmanager
    async def _running(self) -> AsyncIterator[None]:
        """The followers, while the block runs; one that ends by a bug of ours ends the process."""
        self._warn()
        followers = [asyncio.create_task(self._follow_manifests())]
        followers += [asyncio.create_task(self._heard.follow(runtime)) for runtime in self.parts.runtimes.values()]
        watching = asyncio.create_task(self._watch(followers))
        try:
            await self._known.wait()
            yield
        finally:
            for task in (watching, *followers):
                task.cancel()
            ends = await asyncio.gather(watching, *followers, return_exceptions=True)
            await self.parts.mechanic.finish()
            await self.parts.close()
        for end in ends:
            if isinstance(end, Exception):
                raise end

    async def _watch(self, followers: "Sequence[asyncio.Task[None]]") -> None:
        try:
            await asyncio.wait(followers, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._known.set()
            self.ending.set()

    def _warn(self) -> None:
        try:
            self.parts.mechanic.keys()
        except Refused as error:
            _log.warning("no permit counts yet", extra={"text": str(error)})

    async def _follow_manifests(self) -> None:
        async for loaded in self.parts.manifests.changes():
            self.roster.take(loaded)
            for problem in loaded.problems:
                _log.warning("manifest problem", extra={"text": str(problem)})
            for kind, runtime in self.parts.runtimes.items():
                runtime.declare(self.roster.of(kind))
            await self._heard.declare(list(self.roster.declared))
            _log.info("manifests read", extra={"text": f"{len(self.roster.declared)} targets"})
            self._known.set()


def _own_input() -> Callable[[], None]:
    """Put a socket in the place of standard input, and feed it from there; the function that is given ends it.

    The SDK reads standard input in a thread that cannot be cancelled, and would keep the process until the client
    speaks; whoever feeds the socket is a thread that nobody waits for.
    """
    source = os.dup(0)
    ours, theirs = socket.socketpair()
    os.dup2(theirs.fileno(), 0)
    theirs.close()

    def hang_up() -> None:
        with suppress(OSError):
            ours.shutdown(socket.SHUT_WR)

    def feed() -> None:
        with suppress(OSError):
            while data := os.read(source, 65536):
                ours.sendall(data)
        hang_up()

    Thread(target=feed, daemon=True, name="standard input").start()
    return hang_up
