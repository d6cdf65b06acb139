"""A server of ours on a free port, in a thread of its own, and clients that speak in bytes."""

import asyncio
import json
import socket
import ssl
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from threading import Thread
from typing import Any

from starlette.types import ASGIApp

from pitcrew.adapters.incoming import Address
from pitcrew.adapters.tokens.files import add
from pitcrew.core.caller import Role
from pitcrew.entrypoints.servers.access import Access
from pitcrew.entrypoints.servers.limits import DEFAULT, Limits
from pitcrew.entrypoints.servers.serving import Listen, served

WAIT_S = 20.0
"""Seconds after which a test gives up waiting for a server; no server takes as long."""


@dataclass(frozen=True, kw_only=True)
class Answered:
    """What came back. `body` is as it came."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True, kw_only=True)
class House:
    """A server that runs, and its tokens by name."""

    address: Address
    tokens: Mapping[str, str] = field(default_factory=dict)
    tls: ssl.SSLContext | None = None

    @contextmanager
    def connected(self) -> Iterator[socket.socket]:
        """A connection, in which nothing was said yet."""
        with socket.create_connection((self.address.host, self.address.port), timeout=WAIT_S) as plain:
            if self.tls is None:
                yield plain
            else:
                with self.tls.wrap_socket(plain, server_hostname="localhost") as wrapped:
                    yield wrapped

    def ask(
        self,
        path: str,
        *,
        method: str = "GET",
        who: str | None = None,
        body: bytes = b"",
        headers: Mapping[str, str] | None = None,
    ) -> Answered:
        """One request over a connection of its own; `who` names a token, or is one."""
        sent = {"Host": str(self.address), "Connection": "close", "Content-Length": str(len(body))}
        if who is not None:
            sent["Authorization"] = f"Bearer {self.tokens.get(who, who)}"
        sent |= headers or {}
        with self.connected() as there:
            head = "".join(f"{name}: {value}\r\n" for name, value in sent.items())
            there.sendall(f"{method} {path} HTTP/1.1\r\n{head}\r\n".encode("latin-1") + body)
            return answered(there)


def answered(there: socket.socket) -> Answered:
    """One answer off a connection. Raises ConnectionError where there was none."""
    with there.makefile("rb") as file:
        line = file.readline()
        if not line:
            raise ConnectionResetError("closed without an answer")
        headers: dict[str, str] = {}
        while (field_line := file.readline()) not in (b"\r\n", b""):
            name, _, value = field_line.decode("latin-1").partition(":")
            headers[name.strip().lower()] = value.strip()
        if headers.get("transfer-encoding") == "chunked":
            body = b"".join(iter(lambda: _chunk(file), b""))
        else:
            body = file.read(int(headers.get("content-length", "0")))
        return Answered(status=int(line.split()[1]), headers=headers, body=body)


def _chunk(file: Any) -> bytes:
    size = int(file.readline() or b"0", 16)
    data: bytes = file.read(size)
    file.readline()
    return data


def until_closed(there: socket.socket) -> bytes:
    """Everything that the other side says until it hangs up, which has to happen."""
    heard = b""
    try:
        while piece := there.recv(65536):
            heard += piece
    except ConnectionError:
        pass
    return heard


def token_file(path: Path) -> Mapping[str, str]:
    """A token for each role, by the role's name, in a new file."""
    return {str(role): add(path, str(role), [role], datetime.now(UTC)) for role in Role}


@contextmanager
def running(
    app: ASGIApp,
    access: Access,
    *,
    listen: Listen | None = None,
    limits: Limits = DEFAULT,
    tokens: Mapping[str, str] | None = None,
    tls: ssl.SSLContext | None = None,
    **more: Callable[[], Any],
) -> Iterator[House]:
    """The server while the block runs; it has ended when the block has."""
    begun: Future[tuple[Address, asyncio.AbstractEventLoop, asyncio.Event]] = Future()

    async def play() -> None:
        ending = asyncio.Event()
        async with served(app, listen or Listen(address="127.0.0.1:0"), access, limits=limits, **more) as address:
            begun.set_result((address, asyncio.get_running_loop(), ending))
            await ending.wait()

    def body() -> None:
        try:
            asyncio.run(play())
        except BaseException as error:
            if begun.done():
                raise
            begun.set_exception(error)

    thread = Thread(target=body, daemon=True)
    thread.start()
    address, loop, ending = begun.result(WAIT_S)
    try:
        yield House(address=address, tokens=tokens or {}, tls=tls)
    finally:
        loop.call_soon_threadsafe(ending.set)
        thread.join(WAIT_S)
        assert not thread.is_alive(), "the server did not end"
