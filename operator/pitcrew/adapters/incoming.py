"""What every listener keeps to: where it may listen, which Host it answers to, and the headers of its answers."""

import ipaddress
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

from pitcrew.core.errors import InvalidInput

LOOPBACK = "127.0.0.1"
SECURITY_HEADERS: Mapping[str, str] = {
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
    "X-Frame-Options": "DENY",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
}
"""On every answer; a page that needs more brings a Content-Security-Policy of its own."""
_LOCAL_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})
_HOST = re.compile(r"(?:\[(?P<v6>[0-9A-Fa-f:.]{2,45})\]|(?P<name>[A-Za-z0-9._-]{1,255}))(?::[0-9]{1,5})?")


@dataclass(frozen=True, kw_only=True, slots=True)
class Address:
    """An IP address and a port to listen on; port 0 is any free one."""

    host: str
    port: int

    @property
    def loopback(self) -> bool:
        """Whether only this machine reaches it."""
        return ipaddress.ip_address(self.host).is_loopback

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def parsed(address: str, setting: str) -> Address:
    """`HOST:PORT`, `[IPV6]:PORT`, `:PORT` or `PORT`; without a host it is loopback.

    Raises InvalidInput, naming the setting and saying what is allowed.
    """
    host, _, port = address.rpartition(":")
    host = host.removeprefix("[").removesuffix("]") or LOOPBACK
    host = LOOPBACK if host == "localhost" else host
    try:
        ipaddress.ip_address(host)
    except ValueError:
        raise InvalidInput(f"{setting}: {address!r}: the host is no IP address; such as 127.0.0.1:9464") from None
    if not (port.isascii() and port.isdigit() and int(port) < 65536):
        raise InvalidInput(f"{setting}: {address!r}: no port; such as 127.0.0.1:9464")
    return Address(host=host, port=int(port))


def checked(address: str, tokens: Path | None, setting: str) -> Address:
    """Where to listen. Raises InvalidInput where that is beyond loopback and nobody would have to show a token."""
    found = parsed(address, setting)
    if not found.loopback and tokens is None:
        raise InvalidInput(
            f"{setting}: {found}: others reach that address, and without tokens everyone could ask; make a token with "
            "`pitcrew tokens add NAME --role ROLE --file FILE` and name the file with --tokens or PITCREW_TOKENS, or "
            f"listen on {LOOPBACK}"
        )
    return found


def host_known(host: str, local: str, names: Collection[str]) -> bool:
    """Whether a Host header names us: this machine on loopback, the address the connection came in on, or one of
    `names`. A page that has its own name resolved to our address (DNS rebinding) is not let in by this."""
    found = _HOST.fullmatch(host)
    if found is None:
        return False
    name = (found["v6"] or found["name"]).lower()
    return name in _LOCAL_NAMES or name == local.lower() or name in {one.lower() for one in names}


def bearer(authorization: str) -> str | None:
    """The token of an Authorization header, or None where it is of another kind."""
    scheme, _, token = authorization.strip(" ").partition(" ")
    return token.strip(" ") or None if scheme.lower() == "bearer" else None
