"""An HTTP server on loopback that writes down what it is asked, and answers as a test wants, hangs or drips."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

HANG = -1
DRIP = -2
_DRIP_S = 0.02


@dataclass(frozen=True, kw_only=True, slots=True)
class Asked:
    """One request as it came in."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


class Listener:
    """`answers` are statuses in order, the last one for ever; `HANG` gives none, `DRIP` a head that never ends."""

    def __init__(self, *answers: int) -> None:
        self._answers = list(answers) or [200]
        self._waiting: set[asyncio.Task[None]] = set()
        self.asked: list[Asked] = []
        self.came = asyncio.Condition()
        self.port = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hook/secret-token"

    @asynccontextmanager
    async def listening(self) -> AsyncIterator["Listener"]:
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            for task in self._waiting:
                task.cancel()
            await asyncio.gather(*self._waiting, return_exceptions=True)
            server.close()

    async def until_asked(self, count: int) -> list[Asked]:
        """The requests, once there are so many."""
        async with self.came:
            await asyncio.wait_for(self.came.wait_for(lambda: len(self.asked) >= count), 30)
        return self.asked

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._waiting.add(task)
        try:
            self.asked.append(await _read(reader))
            answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
            async with self.came:
                self.came.notify_all()
            await self._answer(writer, answer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            self._waiting.discard(task)
            writer.close()

    async def _answer(self, writer: asyncio.StreamWriter, answer: int) -> None:
        if answer == HANG:
            await asyncio.Event().wait()
        if answer == DRIP:
            writer.write(b"HTTP/1.1 200 OK\r\nX-Slow: ")
            while True:
                writer.write(b"x")
                await writer.drain()
                await asyncio.sleep(_DRIP_S)
        place = f"Location: {self.url}/elsewhere\r\n" if 300 <= answer < 400 else ""
        writer.write(f"HTTP/1.1 {answer} Said\r\n{place}Content-Length: 0\r\nConnection: close\r\n\r\n".encode())
        await writer.drain()


async def _read(reader: asyncio.StreamReader) -> Asked:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    method, path, _ = head[0].split(" ")
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in head[1:] if line)}
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    return Asked(method=method, path=path, headers=headers, body=body)
