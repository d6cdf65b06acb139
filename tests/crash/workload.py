"""The workload of the crash suite: PORT LOGDIR [tired]. It notes its starts, and says 500 while one of its files is
there, or, if tired, until it is restarted.

Only the standard library and no imports of weight, so that it is up in a moment, in a container as well.
"""

import contextlib
import os
import socket
import sys

ILL = ("broken.flag", "sick")
"""Files in its working directory that make it unhealthy; PitCrew may remove the first."""
REQUEST_TIMEOUT_S = 5


def note(path: str, text: str) -> None:
    with open(path, "a", encoding="ascii") as file:
        file.write(text)


def runs_so_far(path: str) -> int:
    with open(path, encoding="ascii") as file:
        return len(file.read().split())


def answer(client: socket.socket, *, tired: bool) -> None:
    client.settimeout(REQUEST_TIMEOUT_S)
    client.recv(4096)
    status = "500 Unhealthy" if tired or any(map(os.path.exists, ILL)) else "200 OK"
    client.sendall(f"HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".encode())


def main(port: int, log: str, mood: str = "") -> None:
    note(f"{log}/starts", f"{os.getpid()}\n")
    tired = mood == "tired" and runs_so_far(f"{log}/starts") == 1
    with socket.socket() as listener:
        for option in (socket.SO_REUSEADDR, socket.SO_REUSEPORT):
            listener.setsockopt(socket.SOL_SOCKET, option, 1)
        listener.bind(("", port) if log.startswith("/srv/") else ("127.0.0.1", port))
        listener.listen(64)
        while True:
            client, _ = listener.accept()
            with client, contextlib.suppress(OSError):
                answer(client, tired=tired)


if __name__ == "__main__":
    main(int(sys.argv[1]), *sys.argv[2:])
