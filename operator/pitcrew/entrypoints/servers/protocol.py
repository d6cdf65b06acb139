"""HTTP/1.1 connections that are few and short: uvicorn's own, with the deadlines and the bound that it lacks.

uvicorn has no time limit for headers, says 503 only to those who ask, and reads for ever what a refused client sends.
"""

import asyncio
from http import HTTPStatus
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from pitcrew.adapters.problem import Problem
from pitcrew.entrypoints.servers.limits import Limits

_GRACE_S = 1.0
"""Seconds that an answer may take to be read by a client after the request's own deadline."""

_LEFTOVER_BYTES_MAX = 64 * 1024
"""Bytes of a body that are read and thrown away after its answer, so that the connection can be used again."""


def protocol(limits: Limits) -> type[H11Protocol]:
    """The protocol of connections under these limits."""
    return type("Bounded", (_Bounded,), {"limits": limits})


class _Bounded(H11Protocol):
    limits: Limits
    _timer: asyncio.TimerHandle | None = None
    _leftover: int = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Count it, and time it from its first moment on."""
        super().connection_made(transport)
        if len(self.connections) > self.limits.connections_max:
            self._end(HTTPStatus.SERVICE_UNAVAILABLE, "too many connections at once")
            return
        self._expect(self.limits.head_s)

    def connection_lost(self, exc: Exception | None) -> None:
        """Nothing is waited for any more."""
        self._expect(None)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Read on, but little of what still comes after an answer to an unfinished request: whoever then looks up
        finds the answer, and whoever does not is hung up on when the time for the next request is over."""
        if self.transport.is_closing():
            return
        if self.conn.our_state is h11.DONE and self.conn.their_state is h11.SEND_BODY:
            self._leftover += len(data)
            if self._leftover > _LEFTOVER_BYTES_MAX:
                self.flow.pause_reading()
                return
        before = self.cycle
        super().data_received(data)
        if self.cycle is not before:
            self._begin()

    def on_response_complete(self) -> None:
        """The next request, and the rest of this one, have as long as the first had; it may be here already."""
        before = self.cycle
        self._expect(self.limits.head_s)
        super().on_response_complete()
        if self.cycle is not before:
            self._begin()

    def send_400_response(self, msg: str) -> None:
        """What is no HTTP is answered like everything else."""
        self._end(HTTPStatus.BAD_REQUEST, "that is no HTTP request")

    def _begin(self) -> None:
        self._leftover = 0
        self._expect(self.limits.request_s + _GRACE_S)

    def _expect(self, within_s: float | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = None if within_s is None else self.loop.call_later(within_s, self._overdue)

    def _overdue(self) -> None:
        """Time is up: whoever is amid the headers is told, and nobody is waited for."""
        if self.conn.our_state is h11.IDLE and self.conn.their_state is h11.IDLE and self.conn.trailing_data[0]:
            self._end(HTTPStatus.REQUEST_TIMEOUT, "the headers came too slowly")
        if not self.transport.is_closing() or self.transport.get_write_buffer_size():
            self.transport.abort()

    def _end(self, status: HTTPStatus, detail: str) -> None:
        """Answer outside of any request, and close."""
        if self.conn.our_state not in (h11.IDLE, h11.SEND_RESPONSE):
            self.transport.abort()
            return
        problem = Problem(status=status, detail=detail, headers={"Connection": "close"})
        events: list[Any] = [
            h11.Response(status_code=int(status), headers=problem.fields, reason=status.phrase.encode()),
            h11.Data(data=problem.body),
            h11.EndOfMessage(),
        ]
        for event in events:
            self.transport.write(self.conn.send(event) or b"")
        self.transport.close()
