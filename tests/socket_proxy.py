"""HAProxy as manifests/socket-proxy configures it, in front of the socket of an engine."""

import os
import re
import socket
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.waiting import eventually

ROOT = Path(__file__).resolve().parent.parent
CONFIG = ROOT / "manifests" / "socket-proxy" / "haproxy.cfg"
END_S = 10
REFUSED = "refused"
_LINE = re.compile(r"^(?P<row>[a-z-]+) (?P<method>[A-Z]+) (?P<path>/\S*) (?P<status>-?\d+)$")


@dataclass(frozen=True, kw_only=True, slots=True)
class Passed:
    """One request as the proxy's log has it; `row` is the line of the list that let it through, or `refused`."""

    row: str
    method: str
    path: str
    status: int


class SocketProxy:
    """One HAProxy that listens at `listen` and passes on to `engine`."""

    def __init__(self, listen: Path, engine: Path, *, level: str) -> None:
        self.path = listen
        self._log_file = listen.with_name(f"{listen.name}.log")
        environ: Mapping[str, str] = {
            "PATH": os.environ["PATH"],
            "SOCKET_PROXY_LISTEN": str(listen),
            "SOCKET_PROXY_ENGINE": str(engine),
            "SOCKET_PROXY_LEVEL": level,
        }
        with self._log_file.open("wb") as log:
            self._process = subprocess.Popen(
                ["haproxy", "-db", "-f", str(CONFIG)], stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environ
            )
        try:
            eventually(self._listens, what="the socket proxy to listen")
        except AssertionError:
            self.close()
            raise

    @property
    def log(self) -> str:
        """All it said."""
        return self._log_file.read_text(errors="replace")

    def passed(self) -> list[Passed]:
        """The requests so far that have ended, oldest first."""
        found = (_LINE.match(line) for line in self.log.splitlines())
        return [
            Passed(row=one["row"], method=one["method"], path=one["path"], status=int(one["status"]))
            for one in found
            if one
        ]

    def close(self) -> None:
        """End it."""
        self._process.terminate()
        try:
            self._process.wait(END_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(END_S)
        self.path.unlink(missing_ok=True)

    def _listens(self) -> bool:
        if self._process.poll() is not None:
            raise AssertionError(f"haproxy ended by itself:\n{self.log[-2000:]}")
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as trial:
            try:
                trial.connect(str(self.path))
            except OSError:
                return False
        return True
