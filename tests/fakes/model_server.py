"""An endpoint on loopback that speaks HTTP as badly as a test wants it to, and remembers what it was asked."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from concurrent.futures import Future
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from threading import Thread
from typing import Any

Behaviour = Callable[["Asked", asyncio.StreamWriter], Awaitable[None]]


@dataclass(frozen=True, kw_only=True)
class Asked:
    """One request."""

    path: str
    headers: dict[str, str]
    body: dict[str, Any]

    @property
    def way(self) -> str:
        """The kind of structured output asked for."""
        return str(self.body.get("response_format", {}).get("type", "text"))


@dataclass(kw_only=True)
class ModelServer:
    """`gone` is set when a client hung up while it was still owed an answer."""

    behave: Behaviour
    port: int = 0
    asked: list[Asked] = field(default_factory=list)
    gone: asyncio.Event = field(default_factory=asyncio.Event)
    closing: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def url(self) -> str:
        """Its base URL."""
        return f"http://127.0.0.1:{self.port}/v1"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            while line := await reader.readline():
                asked = await _request(line, reader)
                self.asked.append(asked)
                answering = asyncio.ensure_future(self.behave(asked, writer))
                ended = asyncio.ensure_future(reader.read(1))
                closing = asyncio.ensure_future(self.closing.wait())
                await asyncio.wait([answering, ended, closing], return_when=asyncio.FIRST_COMPLETED)
                if not answering.done() and ended.done():
                    self.gone.set()
                for task in (answering, ended, closing):
                    task.cancel()
                await asyncio.gather(answering, ended, closing, return_exceptions=True)
                break
        writer.close()


async def _request(line: bytes, reader: asyncio.StreamReader) -> Asked:
    headers: dict[str, str] = {}
    while (header := await reader.readline()).strip():
        name, _, value = header.decode().partition(":")
        headers[name.strip().lower()] = value.strip()
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    return Asked(path=line.decode().split()[1], headers=headers, body=json.loads(body))


@asynccontextmanager
async def serving(behave: Behaviour) -> AsyncIterator[ModelServer]:
    """An endpoint that behaves so, for as long as the context."""
    made = ModelServer(behave=behave)
    server = await asyncio.start_server(made.serve, "127.0.0.1", 0)
    made.port = server.sockets[0].getsockname()[1]
    try:
        yield made
    finally:
        made.closing.set()
        server.close()
        await server.wait_closed()


@contextmanager
def serving_beside(behave: Behaviour) -> Iterator[ModelServer]:
    """The same in a thread of its own, for a test that waits for real commands."""
    begun: Future[tuple[ModelServer, Callable[[], object]]] = Future()

    async def life() -> None:
        ended = asyncio.Event()
        loop = asyncio.get_running_loop()
        async with serving(behave) as server:
            begun.set_result((server, lambda: loop.call_soon_threadsafe(ended.set)))
            await ended.wait()

    thread = Thread(target=lambda: asyncio.run(life()), daemon=True)
    thread.start()
    server, end = begun.result(timeout=10)
    try:
        yield server
    finally:
        end()
        thread.join()


def answers(raw: bytes | str, *, status: int = 200, kind: str = "application/json", more: str = "") -> Behaviour:
    """One whole HTTP answer; `more` holds further header lines."""
    body = raw.encode() if isinstance(raw, str) else raw

    async def behave(asked: Asked, writer: asyncio.StreamWriter) -> None:
        head = f"HTTP/1.1 {status} X\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n{more}Connection: close"
        writer.write(f"{head}\r\n\r\n".encode() + body)
        await writer.drain()

    return behave


def completion(text: object = "{}", *, finish: str = "stop", usage: object = None, **message: object) -> str:
    """A chat completion as JSON."""
    choice = {"index": 0, "finish_reason": finish, "message": {"role": "assistant", "content": text, **message}}
    whole = {"id": "c", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice]}
    return json.dumps({**whole, **({"usage": usage} if usage is not None else {})})
