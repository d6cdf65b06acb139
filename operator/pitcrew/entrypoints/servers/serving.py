"""Starts servers: the one way to listen on the network."""

import asyncio
import logging
import os
import signal
import socket
import ssl
import stat
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import uvicorn
from starlette.types import ASGIApp

from pitcrew.adapters.buckets import Buckets
from pitcrew.adapters.incoming import Address, checked
from pitcrew.adapters.tokens.files import TokenFile
from pitcrew.core.errors import InvalidInput, Unavailable
from pitcrew.entrypoints.servers.access import Access
from pitcrew.entrypoints.servers.hygiene import Hygiene
from pitcrew.entrypoints.servers.limits import DEFAULT, Limits
from pitcrew.entrypoints.servers.protocol import protocol

_HANDSHAKE_S = 5.0
"""Seconds for a TLS handshake, which comes before everything that counts connections."""
_END_S = 5
"""Seconds that requests under way have when the server ends."""
_log = logging.getLogger("pitcrew.servers")


@dataclass(frozen=True, kw_only=True, slots=True)
class Listen:
    """Where a server listens, and what it asks of those who come; `hosts` and `origins` are allowed in their headers
    beside its own. `setting` names the option in complaints about the address."""

    address: str
    tokens: Path | None = None
    hosts: tuple[str, ...] = ()
    origins: tuple[str, ...] = ()
    tls_cert: Path | None = None
    tls_key: Path | None = None
    setting: str = "--listen"


async def serve(
    app: ASGIApp,
    listen: Listen,
    access: Access,
    *,
    limits: Limits = DEFAULT,
    ready: Callable[[Address], None] = lambda _: None,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> None:
    """Serve until SIGTERM or SIGINT; requests under way are finished, for five seconds at most. `ready` is told where.

    Raises:
        InvalidInput: the address, the tokens or the certificate cannot be used, before anything listens.
        Unavailable: the application cannot begin; its own log says why.
    """
    ending = asyncio.Event()
    for sign in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(sign, ending.set)
    async with served(app, listen, access, limits=limits, now=now) as address:
        ready(address)
        await ending.wait()


@asynccontextmanager
async def served(
    app: ASGIApp,
    listen: Listen,
    access: Access,
    *,
    limits: Limits = DEFAULT,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
    monotonic: Callable[[], float] = time.monotonic,
) -> AsyncIterator[Address]:
    """A server while the block runs, for whoever does more than serving; gives where it listens. Raises as `serve`."""
    asked = checked(listen.address, listen.tokens, listen.setting)
    tokens = TokenFile.open(listen.tokens, now) if listen.tokens else None
    tls = _tls(listen)
    if not asked.loopback and tls is None:
        _log.warning("tokens travel unencrypted", extra={"text": f"{asked}: give --tls-cert and --tls-key"})
    buckets = Buckets(per_s=limits.rate_per_s, burst=limits.burst, clients_max=limits.clients_max, monotonic=monotonic)
    guarded = Hygiene(
        app,
        access=access,
        tokens=tokens,
        limits=limits,
        buckets=buckets,
        hosts=listen.hosts,
        origins=listen.origins,
    )
    listener = _bound(asked, listen.setting)
    server = _Server(_config(guarded, limits), listener, tls)
    running = asyncio.create_task(server.serve())
    try:
        await server.begun(running)
        address = Address(host=asked.host, port=int(listener.getsockname()[1]))
        _log.info("server started", extra={"text": f"{'https' if tls else 'http'}://{address}"})
        yield address
    finally:
        server.should_exit = True
        await asyncio.wait({running})
        listener.close()


def _config(app: ASGIApp, limits: Limits) -> uvicorn.Config:
    """Everything that uvicorn offers and we have no use for is off: the word of a proxy on who asks, websockets, its
    own log, its banner."""
    return uvicorn.Config(
        app,
        http=protocol(limits),
        ws="none",
        loop="asyncio",
        lifespan="on",
        interface="asgi3",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        h11_max_incomplete_event_size=limits.head_bytes_max,
        timeout_keep_alive=limits.idle_s,
        timeout_graceful_shutdown=_END_S,
    )


class _Server(uvicorn.Server):
    """uvicorn on a socket that is bound already, without its signal handlers."""

    def __init__(self, config: uvicorn.Config, listener: socket.socket, tls: ssl.SSLContext | None) -> None:
        super().__init__(config)
        self._listener, self._tls = listener, tls
        self._begun = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """As uvicorn's, with a deadline for handshakes."""
        await self.lifespan.startup()
        if self.lifespan.should_exit:
            raise Unavailable("the server cannot begin; its log says why")
        loop = asyncio.get_running_loop()

        def connection() -> asyncio.Protocol:
            made = self.config.http_protocol_class
            return made(config=self.config, server_state=self.server_state, app_state=self.lifespan.state, _loop=loop)  # type: ignore[call-arg]

        handshake_s = _HANDSHAKE_S if self._tls else None
        made = await loop.create_server(
            connection, sock=self._listener, ssl=self._tls, ssl_handshake_timeout=handshake_s, backlog=128
        )
        self.servers = [made]
        self.started = True
        self._begun.set()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Whoever starts the server ends it."""
        yield

    async def begun(self, running: "asyncio.Task[None]") -> None:
        """Wait until it listens; raises what kept it from that."""
        waiting = asyncio.create_task(self._begun.wait())
        await asyncio.wait({waiting, running}, return_when=asyncio.FIRST_COMPLETED)
        waiting.cancel()
        if running.done():
            running.result()


def _bound(address: Address, setting: str) -> socket.socket:
    family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    made = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)  # asyncio turns Nagle off where it is named
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind((address.host, address.port))
    except OSError as error:
        made.close()
        raise InvalidInput(f"{setting}: {address}: {error.strerror}; name a free HOST:PORT") from None
    return made


def _tls(listen: Listen) -> ssl.SSLContext | None:
    if listen.tls_cert is None and listen.tls_key is None:
        return None
    if listen.tls_cert is None or listen.tls_key is None:
        raise InvalidInput("--tls-cert and --tls-key: one is missing; give both, each a file in PEM")
    _check_private(listen.tls_key)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(listen.tls_cert, listen.tls_key)
    except (OSError, ssl.SSLError) as error:
        why = getattr(error, "strerror", None) or str(error)
        raise InvalidInput(
            f"--tls-cert {listen.tls_cert}, --tls-key {listen.tls_key}: {why}; give a certificate and its key in PEM"
        ) from None
    return context


def _check_private(key: Path) -> None:
    """Raises InvalidInput where somebody else can read the key, or could have put it there."""
    try:
        status = key.stat()
    except OSError as error:
        raise InvalidInput(f"--tls-key {key}: {error.strerror}; give the key of the certificate, in PEM") from None
    if status.st_uid not in (os.geteuid(), 0) or status.st_mode & 0o037:
        shown = oct(stat.S_IMODE(status.st_mode))[2:]
        raise InvalidInput(
            f"--tls-key {key}: mode {shown}, uid {status.st_uid}, so others can use it; own it, chmod 600 it"
        )
