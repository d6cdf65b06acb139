"""Shows the metrics over HTTP, in threads of its own: whoever scrapes, or hangs while scraping, delays no incident."""

import ipaddress
import logging
import socket
from socketserver import ThreadingMixIn
from threading import BoundedSemaphore, Thread
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from prometheus_client import CollectorRegistry, make_wsgi_app

from pitcrew.core.errors import InvalidInput

LOOPBACK = "127.0.0.1"
REQUESTS_MAX = 8
"""Scrapes at once; one more is hung up on."""
REQUEST_S = 5.0
"""Seconds that a scraper may be silent."""
_END_S = 2.0
_log = logging.getLogger("pitcrew.metrics")


class MetricsServer:
    """Listens from the beginning until `close`."""

    def __init__(self, address: str, registry: CollectorRegistry) -> None:
        """Raises InvalidInput for an address that is none, or that cannot be listened on."""
        host, port = parsed(address)
        kind = _Server6 if ":" in host else _Server
        try:
            self._server = make_server(host, port, make_wsgi_app(registry), kind, _Handler)
        except OSError as error:
            raise InvalidInput(f"setting metrics_addr: {address}: {error.strerror}; name a free HOST:PORT") from None
        self._thread = Thread(target=self._server.serve_forever, args=(0.2,), name="metrics", daemon=True)
        self._thread.start()
        _log.info("metrics shown", extra={"text": f"{host} port {self.port}, /metrics"})

    @property
    def port(self) -> int:
        """The port it listens on."""
        return int(self._server.server_port)

    def close(self) -> None:
        """Listen no more; who hangs is left behind."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(_END_S)


def parsed(address: str) -> tuple[str, int]:
    """Host and port of `HOST:PORT`, `[IPV6]:PORT`, `:PORT` or `PORT`; without a host it is loopback.

    Raises InvalidInput, saying what is allowed.
    """
    host, _, port = address.rpartition(":")
    host = host.removeprefix("[").removesuffix("]") or LOOPBACK
    host = LOOPBACK if host == "localhost" else host
    try:
        ipaddress.ip_address(host)
    except ValueError:
        raise InvalidInput(
            f"setting metrics_addr: {address!r}: the host is no IP address; such as 127.0.0.1:9464"
        ) from None
    if not (port.isascii() and port.isdigit() and int(port) < 65536):
        raise InvalidInput(f"setting metrics_addr: {address!r}: no port; such as 127.0.0.1:9464")
    return host, int(port)


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True
    block_on_close = False

    def __init__(self, *arguments: Any, **named: Any) -> None:
        self._room = BoundedSemaphore(REQUESTS_MAX)
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
        super().process_request(request, client_address)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._room.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A scraper that went away is nobody's business."""


class _Server6(_Server):
    address_family = socket.AF_INET6


class _Handler(WSGIRequestHandler):
    timeout = REQUEST_S

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: a scrape every few seconds is no news."""
