"""What stands behind a socket proxy under test: it takes every request, says yes, and remembers what reached it."""

import socket
import threading
from contextlib import suppress
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from socketserver import ThreadingMixIn, UnixStreamServer


class ListeningEngine:
    """An engine that does nothing. `heard` are the request lines without the version, oldest first.

    Once it `streams`, requests are answered with a piece a time, one for each `tell`; once it is `silent`, not at all.
    """

    def __init__(self, listen: Path) -> None:
        self.path = listen
        self.heard: list[str] = []
        self.silent = False
        self.streams = False
        self._pieces: list[bytes] = []
        self._told = threading.Condition()
        self._closed = False
        engine = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle_one_request(self) -> None:
                with suppress(ConnectionError):
                    super().handle_one_request()

            def answer(self) -> None:
                engine.heard.append(f"{self.command} {self.path}")
                self.rfile.read(int(self.headers.get("Content-Length") or 0))
                if engine.silent:
                    self.close_connection = True
                elif engine.streams and "/exec/" in self.path:
                    self.write_out()
                elif engine.streams:
                    self.stream()
                else:
                    self.send_response(200)
                    self.send_header("Content-Length", "2")
                    self.end_headers()
                    if self.command != "HEAD":
                        self.wfile.write(b"{}")

            def write_out(self) -> None:
                """As the engine's `exec` without an upgrade: a body without a length, ended by the connection."""
                self.send_response(200)
                self.send_header("Content-Type", "application/vnd.docker.raw-stream")
                self.end_headers()
                for piece in engine.pieces():
                    self.wfile.write(piece)
                self.close_connection = True

            def stream(self) -> None:
                self.send_response(200)
                self.send_header("Transfer-Encoding", "chunked")
                self.end_headers()
                for piece in engine.pieces():
                    self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))

            def log_message(self, format: str, *args: object) -> None:
                return

            do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = do_PATCH = do_OPTIONS = answer

        class Server(ThreadingMixIn, UnixStreamServer):
            daemon_threads = True

        self._server = Server(str(listen), Handler)
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def tell(self, piece: bytes) -> None:
        """Send a piece to whoever reads a stream."""
        with self._told:
            self._pieces.append(piece)
            self._told.notify_all()

    def pieces(self) -> "Pieces":
        """Every piece that is told, until the end."""
        return Pieces(self)

    def after(self, count: int) -> bytes | None:
        """The piece after so many; None at the end."""
        with self._told:
            self._told.wait_for(lambda: self._closed or len(self._pieces) > count)
            return None if self._closed else self._pieces[count]

    def close(self) -> None:
        """End it."""
        with self._told:
            self._closed = True
            self._told.notify_all()
        self._server.shutdown()
        self._server.server_close()
        self.path.unlink(missing_ok=True)


class Pieces:
    """An iterator over what an engine tells."""

    def __init__(self, engine: ListeningEngine) -> None:
        self._engine, self._count = engine, 0

    def __iter__(self) -> "Pieces":
        return self

    def __next__(self) -> bytes:
        piece = self._engine.after(self._count)
        if piece is None:
            raise StopIteration
        self._count += 1
        return piece


def ask(path: Path, request: bytes) -> socket.socket:
    """A connection on which a request was sent."""
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    sock.settimeout(15)
    sock.connect(str(path))
    sock.sendall(request)
    return sock


def status(path: Path, line: str, *, headers: str = "", body: bytes = b"") -> int:
    """The status that a request is answered with; 0 when it is hung up on without an answer."""
    sized = f"Content-Length: {len(body)}\r\n" if body or line.startswith(("POST", "PUT")) else ""
    head = f"{line} HTTP/1.1\r\nHost: docker\r\nConnection: close\r\n{sized}{headers}\r\n"
    with ask(path, head.encode("latin-1") + body) as sock:
        answer = b""
        while b"\r\n" not in answer:
            try:
                data = sock.recv(4096)
            except ConnectionError:
                return 0
            if not data:
                return 0
            answer += data
    return int(answer.split(b" ", 2)[1])
