"""Connections to the engine that can be cut from another thread.

Timeouts of the SDK count from one read to the next, and some of its calls have none, so that a hung or dripping engine
holds a worker for ever. Here each connection tells the call it serves about its socket, and shutting the socket down
ends the worker at once. A connection serves one request: a request on a kept connection that the engine has closed
could not be told from one that the engine has carried out.
"""

import socket
from threading import Lock, local
from typing import Any

import requests
import urllib3
from docker import APIClient
from docker.tls import TLSConfig
from docker.transport import unixconn

from pitcrew.adapters.runtime.docker.endpoint import Endpoint

CONNECT_S = 2.0
"""Seconds until an engine that does not take a connection counts as away; a local engine takes it at once."""
READ_S = 900.0
"""Read timeout of the SDK; the wall-clock deadline around each call ends it long before."""
_FIRST_VERSION, _LAST_VERSION = "1.24", (1, 45)


class Call:
    """The work of one worker: which sockets it holds, and whether a request may have reached the engine."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._sockets: list[socket.socket] = []
        self._is_cut = False
        self.sent = False

    def hold(self, sock: socket.socket) -> None:
        """Take note of a connected socket.

        Raises:
            ConnectionAbortedError: the call was cut in the meantime.
        """
        with self._lock:
            self._sockets = [sock]
            if self._is_cut:
                raise ConnectionAbortedError("the call was cut at its deadline")
            self.sent = True

    @property
    def was_cut(self) -> bool:
        """Whether our side ended it."""
        return self._is_cut

    def cut(self) -> None:
        """End whatever the worker waits for, now and later."""
        with self._lock:
            self._is_cut = True
            for sock in self._sockets:
                _shut(sock)

    def idle_at_most(self, seconds: float) -> None:
        """Bound the time between two reads of the request under way."""
        with self._lock:
            for sock in self._sockets:
                sock.settimeout(seconds)


def _shut(sock: socket.socket) -> None:
    try:
        sock.shutdown(socket.SHUT_RDWR)
    except OSError:
        return  # it has ended by itself


class Wire:
    """Which call the current thread works for."""

    def __init__(self) -> None:
        self._threads = local()

    def serve(self, call: Call | None) -> None:
        """Say for which call this thread connects from now on."""
        self._threads.call = call

    def hold(self, sock: socket.socket) -> None:
        """Give a connected socket to the call of this thread."""
        call: Call | None = getattr(self._threads, "call", None)
        if call is not None:
            call.hold(sock)


class _UnixConnection(unixconn.UnixHTTPConnection):  # type: ignore[misc]
    def __init__(self, wire: Wire, base_url: str, path: str) -> None:
        super().__init__(base_url, path, READ_S)
        self._wire = wire

    def connect(self) -> None:
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            sock.settimeout(CONNECT_S)
            sock.connect(self.unix_socket)
            self._wire.hold(sock)
        except OSError:
            sock.close()
            raise
        sock.settimeout(READ_S)
        self.sock = sock


class _UnixPool(unixconn.UnixHTTPConnectionPool):  # type: ignore[misc]
    def __init__(self, wire: Wire, base_url: str, path: str) -> None:
        super().__init__(base_url, path, READ_S, maxsize=1)
        self._wire = wire

    def _new_conn(self) -> _UnixConnection:
        return _UnixConnection(self._wire, self.base_url, self.socket_path)

    def _get_conn(self, timeout: float | None = None) -> _UnixConnection:
        return self._new_conn()

    def _put_conn(self, conn: _UnixConnection | None) -> None:
        if conn is not None:
            conn.close()


class _UnixAdapter(unixconn.UnixHTTPAdapter):  # type: ignore[misc]
    def __init__(self, wire: Wire, path: str) -> None:
        super().__init__(f"http+unix://{path}", READ_S)
        self._wire = wire

    def get_connection(self, url: str, proxies: object = None) -> _UnixPool:
        return _UnixPool(self._wire, url, self.socket_path)


def _tcp_adapter(wire: Wire) -> requests.adapters.HTTPAdapter:
    class Plain(urllib3.connection.HTTPConnection):
        def connect(self) -> None:
            super().connect()
            wire.hold(self.sock)

    class Secure(urllib3.connection.HTTPSConnection):
        def connect(self) -> None:
            super().connect()
            wire.hold(self.sock)

    class PlainPool(urllib3.HTTPConnectionPool):
        ConnectionCls = Plain

        def _put_conn(self, conn: Any) -> None:
            if conn is not None:
                conn.close()

    class SecurePool(urllib3.HTTPSConnectionPool):
        ConnectionCls = Secure

        def _put_conn(self, conn: Any) -> None:
            if conn is not None:
                conn.close()

    adapter = requests.adapters.HTTPAdapter()
    adapter.poolmanager.pool_classes_by_scheme = {"http": PlainPool, "https": SecurePool}
    return adapter


def dial(endpoint: Endpoint, wire: Wire) -> APIClient:
    """A client that speaks the newest version that both sides know. Talks to the engine once.

    Raises:
        requests.RequestException, docker.errors.DockerException, OSError: the engine cannot be talked to.
    """
    answer = _client(endpoint, wire, _FIRST_VERSION).version(api_version=False)
    major, minor = str(answer["ApiVersion"]).split(".")[:2]
    return _client(endpoint, wire, "{}.{}".format(*min((int(major), int(minor)), _LAST_VERSION)))


def _client(endpoint: Endpoint, wire: Wire, version: str) -> APIClient:
    client = APIClient(base_url=endpoint.url, version=version, timeout=READ_S, tls=_tls(endpoint))
    client.trust_env = False  # proxies and .netrc of the environment are not for the engine
    if endpoint.socket_path is not None:
        client.mount("http+docker://", _UnixAdapter(wire, endpoint.socket_path))
    else:
        client.mount("http://", _tcp_adapter(wire))
        client.mount("https://", _tcp_adapter(wire))
    return client


def _tls(endpoint: Endpoint) -> TLSConfig | bool:
    if endpoint.tls_dir is None:
        return False
    authority = endpoint.tls_dir / "ca.pem"
    pair = (str(endpoint.tls_dir / "cert.pem"), str(endpoint.tls_dir / "key.pem"))
    has_pair = all((endpoint.tls_dir / name).exists() for name in ("cert.pem", "key.pem"))
    return TLSConfig(
        client_cert=pair if has_pair else None,
        ca_cert=str(authority) if authority.exists() else None,
        verify=endpoint.tls_verify,
    )
