"""One request and one answer on a connection that carries nothing else."""

import asyncio
from dataclasses import dataclass

import httptools

from pitcrew import __version__
from pitcrew.core.resource import HttpGet

BODY_BYTES_MAX = 10 * 1024
"""Bytes of a body that are read; the kubelet's number. The rest is left unread and the status decides."""
HEAD_BYTES_MAX = 64 * 1024
"""Bytes of status line and headers, interim answers included, that are read."""
BYTES_MAX = 256 * 1024
"""Bytes of a whole answer that are read: a body in tiny chunks, with extensions and trailers, is longer on the wire."""
INTERIM_MAX = 5
"""Answers of 1xx before the final one, as Go's client has it."""

_OURS = frozenset({"host", "connection", "content-length", "transfer-encoding", "trailer", "upgrade", "expect"})
"""Headers that frame the request or change the protocol; a manifest cannot set them, `Host` apart."""


class Malformed(Exception):
    """The peer answered, and not in HTTP."""


class Cut(Exception):
    """The peer ended the connection before its answer was whole."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """A final answer; `body` is the beginning of it, at most BODY_BYTES_MAX bytes."""

    status: int
    phrase: bytes
    body: bytes


def authority(host: str, port: int) -> str:
    """Host and port as URLs have them; the port is always written, as the kubelet does."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def request(http_get: HttpGet, host: str) -> bytes:
    """The request as bytes. A `Host`, `User-Agent` or `Accept` in the manifest replaces ours."""
    given = [(header.name, header.value) for header in http_get.http_headers]
    hosts = [value for name, value in given if name.lower() == "host"]
    kept = [(name, value) for name, value in given if name.lower() not in _OURS]
    names = {name.lower() for name, _ in kept}
    defaults = [("User-Agent", f"pitcrew-probe/{__version__}"), ("Accept", "*/*")]
    headers = [("Host", hosts[0] if hosts else authority(host, http_get.port))]
    headers += [(name, value) for name, value in defaults if name.lower() not in names]
    headers += [*kept, ("Connection", "close")]
    path = http_get.path.partition("#")[0]
    lines = [f"GET {path} HTTP/1.1", *(f"{name}: {value}" for name, value in headers)]
    return "\r\n".join([*lines, "", ""]).encode("ascii")


class Exchange(asyncio.Protocol):
    """Sends a request and reads the answer into `answered`, which ends as an Answer, Malformed, Cut or an OSError."""

    def __init__(self, request: bytes, answered: asyncio.Future[Answer]) -> None:
        self._request = request
        self._answered = answered
        self._parser = httptools.HttpResponseParser(self)
        self._transport: asyncio.Transport | None = None
        self._phrase = b""
        self._body = bytearray()
        self._bytes = 0
        self._interim = 0
        self._in_body = False
        self._framed = False

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        if self._answered.done():
            return
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self._finish()
        except httptools.HttpParserError as error:
            self._fail(Malformed(f"not an HTTP answer: {error}"))
        self._bytes += len(data)
        if self._bytes > (BYTES_MAX if self._in_body else HEAD_BYTES_MAX):
            self._fail(Malformed(f"more than {self._bytes - len(data)} bytes, and no end of the headers or the body"))

    def eof_received(self) -> None:
        self._ended()

    def connection_lost(self, exc: Exception | None) -> None:
        if exc is not None:
            self._fail(exc)
        self._ended()

    # httptools

    def on_message_begin(self) -> None:
        self._phrase = b""
        self._in_body = self._framed = False

    def on_status(self, phrase: bytes) -> None:
        self._phrase += phrase

    def on_header(self, name: bytes, value: bytes) -> None:
        if name.lower() in (b"content-length", b"transfer-encoding"):
            self._framed = True

    def on_headers_complete(self) -> None:
        self._in_body = True

    def on_body(self, piece: bytes) -> None:
        self._body += piece[: BODY_BYTES_MAX - len(self._body)]
        if len(self._body) >= BODY_BYTES_MAX:
            self._finish()

    def on_message_complete(self) -> None:
        status = self._parser.get_status_code()
        if status >= 200 or status == 101:
            self._finish()
            return
        self._interim += 1
        self._in_body = False
        if self._interim > INTERIM_MAX:
            self._fail(Malformed(f"more than {INTERIM_MAX} interim answers"))

    # the end of it

    def _ended(self) -> None:
        """The peer has said all it will say; a body without a length ends here, anything else was cut."""
        if self._answered.done():
            return
        if self._in_body and not self._framed and self._parser.get_status_code() >= 200:
            self._finish()
        else:
            self._fail(Cut("ended in the middle of its answer" if self._in_body else "ended without an answer"))

    def _finish(self) -> None:
        if not self._answered.done():
            status = self._parser.get_status_code()
            self._answered.set_result(Answer(status=status, phrase=self._phrase[:128], body=bytes(self._body)))

    def _fail(self, error: Exception) -> None:
        if not self._answered.done():
            self._answered.set_exception(error)
