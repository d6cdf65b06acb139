"""Shows the metrics over HTTP, in threads of its own: whoever scrapes, or hangs while scraping, delays no incident.

It keeps to what every server of PitCrew keeps to: who asks beyond this machine shows a token, Host is ours, each answer
has the security headers, and nobody holds a connection for long. It has no TLS; a proxy in front can give it.
"""

import logging
import math
import socket
import sys
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from http import HTTPStatus
from socketserver import ThreadingMixIn
from threading import BoundedSemaphore, Thread
from typing import Any, TypeAlias
from wsgiref.simple_server import ServerHandler, WSGIRequestHandler, WSGIServer, make_server

from prometheus_client import CollectorRegistry, make_wsgi_app

from pitcrew.adapters.buckets import Buckets
from pitcrew.adapters.incoming import SECURITY_HEADERS, Address, bearer, host_known
from pitcrew.adapters.problem import Problem
from pitcrew.core.caller import Role
from pitcrew.core.errors import InvalidInput, Unavailable
from pitcrew.ports import Tokens

PATH = "/metrics"
_END_S = 2.0
_LOOK_S = 0.2
"""Seconds between two looks for scrapers that take too long."""
_log = logging.getLogger("pitcrew.metrics")
_Start: TypeAlias = Callable[..., Any]


@dataclass(frozen=True, kw_only=True, slots=True)
class ScrapeLimits:
    """What one scraper may cost."""

    at_once_max: int = 8
    """Scrapes at once; one more is hung up on."""
    silent_s: float = 5.0
    """Seconds that a scraper may be silent."""
    whole_s: float = 15.0
    """Seconds of one scrape from its first byte on; Prometheus gives up after 10."""
    rate_per_s: float = 10.0
    """Scrapes a second of one address; Prometheus asks every 15 seconds."""
    burst: int = 50
    """Scrapes of one address at once."""
    addresses_max: int = 256
    """Addresses whose rate is remembered."""


DEFAULT = ScrapeLimits()


class MetricsServer:
    """Listens from the beginning until `close`. With `tokens` it asks for one with the role reader."""

    def __init__(
        self,
        address: Address,
        registry: CollectorRegistry,
        tokens: Tokens | None = None,
        limits: ScrapeLimits = DEFAULT,
    ) -> None:
        """Raises InvalidInput for an address that cannot be listened on."""
        kind = _server(socket.AF_INET6 if ":" in address.host else socket.AF_INET, limits)
        handler = type("Handler", (_Handler,), {"timeout": limits.silent_s})
        buckets = Buckets(
            per_s=limits.rate_per_s, burst=limits.burst, clients_max=limits.addresses_max, monotonic=time.monotonic
        )
        guarded = _Guarded(make_wsgi_app(registry), tokens, buckets)
        try:
            self._server = make_server(address.host, address.port, guarded, kind, handler)
        except OSError as error:
            raise InvalidInput(f"setting metrics_addr: {address}: {error.strerror}; name a free HOST:PORT") from None
        self._thread = Thread(target=self._server.serve_forever, args=(_LOOK_S,), name="metrics", daemon=True)
        self._thread.start()
        _log.info("metrics shown", extra={"text": f"{address.host} port {self.port}, {PATH}"})

    @property
    def port(self) -> int:
        """The port it listens on."""
        return int(self._server.server_port)

    def close(self) -> None:
        """Listen no more; who hangs is left behind."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(_END_S)


class _Guarded:
    """A WSGI application around the one that shows metrics."""

    def __init__(self, app: Callable[..., Iterable[bytes]], tokens: Tokens | None, buckets: Buckets) -> None:
        self._app, self._tokens, self._buckets = app, tokens, buckets

    def __call__(self, environ: dict[str, Any], start: _Start) -> Iterable[bytes]:
        """The metrics, or why not; never the text of an error of ours."""
        try:
            problem = self._problem(environ)
            if problem is None:
                return self._app(environ, _secured(start))
        except Exception:
            _log.exception("metrics not shown")
            problem = _problem(HTTPStatus.INTERNAL_SERVER_ERROR, "it failed here; the log says why")
        start(f"{int(problem.status)} {problem.status.phrase}", _decoded(problem))
        return [b"" if environ["REQUEST_METHOD"] == "HEAD" else problem.body]

    def _problem(self, environ: dict[str, Any]) -> Problem | None:
        host = str(environ.get("HTTP_HOST", ""))
        if not host_known(host, str(environ["pitcrew.local"]), ()):
            return _problem(HTTPStatus.MISDIRECTED_REQUEST, "the Host header names another server; use our IP address")
        if environ.get("HTTP_ORIGIN", f"http://{host}") != f"http://{host}":
            return _problem(HTTPStatus.FORBIDDEN, "the Origin header names a page that may not ask here")
        wait_s = self._buckets.wait_s(str(environ["REMOTE_ADDR"]))
        if wait_s > 0:
            after = {"Retry-After": str(math.ceil(wait_s))}
            return _problem(HTTPStatus.TOO_MANY_REQUESTS, "too many requests of one client", **after)
        if environ["PATH_INFO"] != PATH:
            return _problem(HTTPStatus.NOT_FOUND, f"nothing is served there; see {PATH}")
        if environ["REQUEST_METHOD"] != "GET":
            return _problem(HTTPStatus.METHOD_NOT_ALLOWED, "that is not served with this method", Allow="GET")
        return self._stranger(str(environ.get("HTTP_AUTHORIZATION", "")))

    def _stranger(self, authorization: str) -> Problem | None:
        if self._tokens is None:
            return None
        token = bearer(authorization)
        try:
            caller = self._tokens.who(token) if token else None
        except Unavailable as error:
            _log.error("tokens cannot be read", extra={"text": str(error)})
            return _problem(HTTPStatus.SERVICE_UNAVAILABLE, "nobody can be let in now; see the log")
        if caller is None:
            ask = {"WWW-Authenticate": 'Bearer realm="pitcrew"'}
            return _problem(HTTPStatus.UNAUTHORIZED, f"send a bearer token that has the role {Role.READER}", **ask)
        if Role.READER not in caller.roles:
            return _problem(HTTPStatus.FORBIDDEN, f"{caller.name} lacks the role {Role.READER}")
        return None


def _problem(status: HTTPStatus, detail: str, **headers: str) -> Problem:
    return Problem(status=status, detail=detail, headers=headers)


def _decoded(problem: Problem) -> list[tuple[str, str]]:
    return [(name.decode("latin-1"), value.decode("latin-1")) for name, value in problem.fields]


def _secured(start: _Start) -> _Start:
    def begin(status: str, headers: list[tuple[str, str]], *more: Any) -> Any:
        return start(status, [*headers, *SECURITY_HEADERS.items()], *more)

    return begin


def _server(family: socket.AddressFamily, limits: ScrapeLimits) -> type["_Server"]:
    return type("Server", (_Server,), {"address_family": family, "limits": limits})


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True
    block_on_close = False
    limits = DEFAULT

    def __init__(self, *arguments: Any, **named: Any) -> None:
        self._room = BoundedSemaphore(self.limits.at_once_max)
        self._since: dict[Any, float] = {}
        super().__init__(*arguments, **named)

    def server_bind(self) -> None:
        """As it is, without asking DNS for our name."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()
        self.server_name, self.server_port = "pitcrew", self.server_address[1]
        self.setup_environ()

    def process_request(self, request: Any, client_address: Any) -> None:
        if not self._room.acquire(blocking=False):
            self.shutdown_request(request)
            return
        self._since[request] = time.monotonic()
        super().process_request(request, client_address)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._since.pop(request, None)
            self._room.release()

    def service_actions(self) -> None:
        """Hang up on whoever takes too long, however little it sends or reads meanwhile."""
        due = time.monotonic() - self.limits.whole_s
        for request in [one for one, since in list(self._since.items()) if since < due]:
            with suppress(OSError):
                request.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A scraper that went away is nobody's business."""


class _Reply(ServerHandler):
    """Says nothing of the software that it is."""

    server_software = None  # type: ignore[assignment]


class _Handler(WSGIRequestHandler):
    def get_environ(self) -> dict[str, Any]:
        """With the address that the connection came in on."""
        return {**super().get_environ(), "pitcrew.local": self.connection.getsockname()[0]}

    def handle(self) -> None:
        """One request a connection, as the class above does it, and without its banner."""
        self.raw_requestline = self.rfile.readline(65537)
        if len(self.raw_requestline) > 65536:
            self.requestline, self.request_version, self.command = "", "", ""
            self.send_error(414)
        elif self.parse_request():
            if self.request_version == "HTTP/0.9":
                self.send_error(505)
            else:
                self._reply()

    def _reply(self) -> None:
        answers: Any = self.wfile
        reply: Any = _Reply(self.rfile, answers, sys.stderr, self.get_environ(), multithread=False)
        reply.request_handler = self
        reply.run(self.server.get_app())  # type: ignore[attr-defined]

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """What is no request is answered without being repeated."""
        problem = _problem(HTTPStatus(code), "that is no HTTP request that is understood here")
        fields = "".join(f"{name}: {value}\r\n" for name, value in _decoded(problem))
        head = f"HTTP/1.0 {code} {problem.status.phrase}\r\n{fields}\r\n"
        self.wfile.write(head.encode("latin-1") + problem.body)

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: a scrape every few seconds is no news."""
