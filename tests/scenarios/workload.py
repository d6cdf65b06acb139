"""A workload that is up in a moment: HOST PORT [NOTES]. It says 500 while `broken.flag` or `sick` is in its directory,
and while what the file `needs` names (HOST PORT) does not answer well.

Each time it says so it prints why, and then whatever is in the file `say`, byte for byte: what a real log may hold. Its
starts are noted in the file NOTES, where one is given. Only the standard library, so that it runs in any container.
"""

import contextlib
import os
import socket
import sys

ILL = ("broken.flag", "sick")
REQUEST_TIMEOUT_S = 5


def complain(reasons: list[str]) -> None:
    for reason in reasons:
        print(f"ERROR unhealthy: the file {os.path.abspath(reason)} exists", flush=True)
    with contextlib.suppress(FileNotFoundError), open("say", "rb") as file:
        sys.stdout.buffer.write(file.read())
        sys.stdout.buffer.flush()


def unmet() -> list[str]:
    """Why what it needs is not there."""
    try:
        with open("needs", encoding="ascii") as file:
            host, port = file.read().split()
    except FileNotFoundError:
        return []
    try:
        with socket.create_connection((host, int(port)), REQUEST_TIMEOUT_S) as other:
            other.sendall(b"GET /health HTTP/1.0\r\n\r\n")
            said = other.recv(4096)
    except OSError as error:
        return [f"{host}:{port}: {error.strerror or error}"]
    return [] if b" 200 " in said else [f"{host}:{port} is not well"]


def answer(client: socket.socket) -> None:
    client.settimeout(REQUEST_TIMEOUT_S)
    client.recv(4096)
    reasons = [name for name in ILL if os.path.lexists(name)]
    complain(reasons)
    missing = unmet()
    for one in missing:
        print(f"ERROR what it needs: {one}", flush=True)
    status = "500 Unhealthy" if reasons or missing else "200 OK"
    client.sendall(f"HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".encode())


def main(host: str, port: int, notes: str = "") -> None:
    if notes:
        with open(notes, "a", encoding="ascii") as file:
            file.write(f"{os.getpid()}\n")
    with socket.socket() as listener:
        for option in (socket.SO_REUSEADDR, socket.SO_REUSEPORT):
            listener.setsockopt(socket.SOL_SOCKET, option, 1)
        listener.bind((host, port))
        listener.listen(64)
        print("listening", flush=True)
        while True:
            client, _ = listener.accept()
            with client, contextlib.suppress(OSError):
                answer(client)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), *sys.argv[3:])
