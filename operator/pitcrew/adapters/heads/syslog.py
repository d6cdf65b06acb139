"""Syslog: messages by RFC 5424 to a Unix datagram socket, over UDP, or over TCP with octet counting (RFC 6587).

Syslog gives no receipt: that a message was handed over is all that can be told. Nothing here waits for a full queue.
"""

import asyncio
import os
import socket
from urllib.parse import urlsplit

from pitcrew.adapters.prober.addresses import Address
from pitcrew.adapters.prober.names import ADDRESSES_MAX, Names
from pitcrew.core.errors import InvalidInput, Unavailable

PRIORITY = 13 * 8 + 5
"""Facility "log audit", severity "notice"."""
MSGID = "head"


class Syslog:
    """Sends lines to one address: a path, `udp://HOST:PORT` or `tcp://HOST:PORT`.

    Raises InvalidInput, naming the setting, for anything else.
    """

    def __init__(self, address: str) -> None:
        self.name = f"syslog {address}"
        self._path = address if address.startswith("/") else ""
        self._scheme, self._host, self._port = ("unix", "", 0) if self._path else _parts(address)
        self._names = Names(lookups_max=1)

    async def send(self, line: str) -> None:
        """Hand over one line.

        Raises:
            Unavailable: it was not taken.
        """
        message = _message(line)
        try:
            if self._scheme == "unix":
                _send_datagram(socket.AF_UNIX, self._path, message)
                return
            for number, address in enumerate(addresses := await self._addresses(), start=1):
                try:
                    await self._send_to(address, message)
                    return
                except OSError:
                    if number == len(addresses):
                        raise
        except OSError as error:
            raise Unavailable(f"{self.name}: {error.strerror or error}") from None

    async def close(self) -> None:
        """Nothing is held."""

    async def _addresses(self) -> tuple[Address, ...]:
        found = (await self._names.addresses(self._host))[:ADDRESSES_MAX]
        if not found:
            raise OSError("the name has no address")
        return found

    async def _send_to(self, address: Address, message: bytes) -> None:
        if self._scheme == "udp":
            family = socket.AF_INET6 if address.version == 6 else socket.AF_INET
            _send_datagram(family, (str(address), self._port), message)
            return
        _, writer = await asyncio.open_connection(str(address), self._port)
        try:
            writer.write(f"{len(message)} ".encode() + message)
            await writer.drain()
        finally:
            writer.close()
        await writer.wait_closed()


def _parts(address: str) -> tuple[str, str, int]:
    try:
        split = urlsplit(address)
        scheme, host, port = split.scheme, split.hostname, split.port
    except ValueError:
        scheme, host, port = "", None, None
    if scheme not in ("udp", "tcp") or not host or not port or split.path or split.query:
        raise InvalidInput(
            "setting head_syslog: not the path of a socket, udp://HOST:PORT or tcp://HOST:PORT; such as /dev/log"
        )
    return scheme, host, port


def _send_datagram(family: int, address: str | tuple[str, int], message: bytes) -> None:
    with socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC) as sending:
        sending.sendto(message, address)


def _message(line: str) -> bytes:
    """The line as the message text. Its time is left to the receiver, since the line has its own."""
    host = "".join(char for char in socket.gethostname() if "!" <= char <= "~")[:255] or "-"
    return f"<{PRIORITY}>1 - {host} pitcrew {os.getpid()} {MSGID} - {line}".encode("ascii", "replace")
