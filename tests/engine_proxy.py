"""A proxy in front of the socket of a Docker engine that can be cut, hang, drip, and lose answers; and a witness.

It plays an engine that is away, so that no test touches the real one. Every changing request is written down before it
is passed on: method, path, and the command of an exec. One request per connection, as PitCrew's adapter makes them.
"""

import json
import re
import socket
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Event, Lock, Thread

_READING = ("GET", "HEAD")
_HEAD_BYTES_MAX = 65536
_DRIP_S = 0.05


@dataclass(frozen=True, kw_only=True, slots=True)
class Witnessed:
    """One changing request. `command` is that of an exec, else empty."""

    method: str
    path: str
    command: tuple[str, ...] = ()

    @property
    def is_effect(self) -> bool:
        """Whether it may change a target; making an exec known does not."""
        return not re.search(r"/containers/[^/]+/exec$", self.path)


@dataclass(kw_only=True)
class _Request:
    raw: bytes
    method: str
    path: str
    body: bytes = b""


class EngineProxy:
    """Listens on a unix socket of its own and passes on to another one."""

    def __init__(self, listen: Path, upstream: Path) -> None:
        self.path = listen
        self._upstream = upstream
        self._lock = Lock()
        self._open: set[socket.socket] = set()
        self._witnessed: list[Witnessed] = []
        self._mode = "forward"
        self._hung_paths = ""
        self._lose_next = False
        self._mended = Event()
        self._closed = False
        self._listener = self._listen()

    @property
    def witnessed(self) -> list[Witnessed]:
        """Changing requests so far, oldest first."""
        with self._lock:
            return list(self._witnessed)

    @property
    def connections(self) -> int:
        """Open connections of clients and to the engine."""
        with self._lock:
            return len(self._open)

    def cut(self) -> None:
        """Nobody listens any more, and what is open is hung up on."""
        self._mode = "away"
        _end(self._listener)
        self._hang_up()

    def hang(self, paths: str = "") -> None:
        """Take requests (those with `paths` in their path) and never answer them."""
        self._mended.clear()
        self._hung_paths, self._mode = paths, "hang"

    def drip(self, paths: str = "") -> None:
        """Answer requests byte by byte, for ever."""
        self._mended.clear()
        self._hung_paths, self._mode = paths, "drip"

    def lose_next(self) -> None:
        """Pass the next effect on, wait for the engine's answer, and hang up instead of giving it back."""
        self._lose_next = True

    def restore(self) -> None:
        """Pass everything on again."""
        was_away = self._mode == "away"
        self._mode = "forward"
        self._mended.set()
        if was_away:
            self._listener = self._listen()

    def close(self) -> None:
        """End everything."""
        self._closed = True
        self._mended.set()
        _end(self._listener)
        self._hang_up()
        self.path.unlink(missing_ok=True)

    def _listen(self) -> socket.socket:
        self.path.unlink(missing_ok=True)
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        listener.bind(str(self.path))
        listener.listen(64)
        Thread(target=self._accept, args=(listener,), daemon=True).start()
        return listener

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        self._note_open(client)
        try:
            request = _read_request(client)
            if request is not None and self._mode != "away":
                self._answer(client, request)
        except OSError:
            pass
        finally:
            self._note_closed(client)

    def _answer(self, client: socket.socket, request: _Request) -> None:
        witnessed = self._note(request)
        if self._mode in ("hang", "drip") and self._hung_paths in request.path:
            self._torment(client)
            return
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as engine:
            self._note_open(engine)
            try:
                engine.connect(str(self._upstream))
                engine.sendall(request.raw)
                self._pass_back(client, engine, lost=self._is_lost(witnessed))
            finally:
                self._note_closed(engine)

    def _is_lost(self, witnessed: Witnessed | None) -> bool:
        if self._lose_next and witnessed is not None and witnessed.is_effect:
            self._lose_next = False
            return True
        return False

    def _pass_back(self, client: socket.socket, engine: socket.socket, *, lost: bool) -> None:
        Thread(target=_wait_for_end, args=(client, engine), daemon=True).start()
        while data := engine.recv(65536):
            if lost and _is_whole(data):
                return
            if not lost:
                client.sendall(data)

    def _torment(self, client: socket.socket) -> None:
        if self._mode == "hang":
            self._mended.wait()
            return
        client.sendall(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 1000000\r\n\r\n")
        while not self._mended.wait(_DRIP_S):
            client.sendall(b" ")

    def _note(self, request: _Request) -> Witnessed | None:
        if request.method in _READING:
            return None
        command: tuple[str, ...] = ()
        with suppress(ValueError, AttributeError):
            command = tuple(json.loads(request.body).get("Cmd") or ())
        witnessed = Witnessed(method=request.method, path=request.path.partition("?")[0], command=command)
        with self._lock:
            self._witnessed.append(witnessed)
        return witnessed

    def _note_open(self, sock: socket.socket) -> None:
        with self._lock:
            self._open.add(sock)

    def _note_closed(self, sock: socket.socket) -> None:
        with self._lock:
            self._open.discard(sock)
        _end(sock)

    def _hang_up(self) -> None:
        with self._lock:
            sockets = list(self._open)
        for sock in sockets:
            with suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)


def _wait_for_end(client: socket.socket, engine: socket.socket) -> None:
    """When the client hangs up, hang up on the engine."""
    with suppress(OSError):
        while client.recv(65536):
            pass
        engine.shutdown(socket.SHUT_RDWR)


def _is_whole(data: bytes) -> bool:
    """Whether an answer has no body to wait for; one with a body (an exec's output) is waited for to its end."""
    head = data.partition(b"\r\n\r\n")[0].lower()
    return b" 204 " in head.partition(b"\r\n")[0] or b"\r\ncontent-length: 0" in head


def _end(sock: socket.socket) -> None:
    with suppress(OSError):
        sock.shutdown(socket.SHUT_RDWR)
    sock.close()


def _read_request(client: socket.socket) -> _Request | None:
    raw = b""
    while b"\r\n\r\n" not in raw:
        data = client.recv(65536)
        if not data or len(raw) > _HEAD_BYTES_MAX:
            return None
        raw += data
    head, _, body = raw.partition(b"\r\n\r\n")
    length = re.search(rb"(?i)\r\ncontent-length: *(\d+)", head)
    wanted = int(length[1]) if length else 0
    while len(body) < wanted:
        data = client.recv(65536)
        if not data:
            return None
        body, raw = body + data, raw + data
    method, path, _ = head.split(b"\r\n")[0].decode("latin-1").split(" ", 2)
    return _Request(raw=raw, method=method, path=path, body=body)
