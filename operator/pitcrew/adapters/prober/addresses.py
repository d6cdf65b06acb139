"""Which addresses a probe may connect to. A probe's host comes from a manifest, so it must not reach what only the
operator's machine can reach: metadata services, link-local neighbours, groups.
"""

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network


def _networks(*texts: str) -> tuple[Network, ...]:
    return tuple(ip_network(text) for text in texts)


_FORBIDDEN: tuple[tuple[str, tuple[Network, ...]], ...] = (
    (
        "a metadata service",
        _networks(
            "169.254.169.254/32",
            "100.100.100.200/32",
            "168.63.129.16/32",
            "192.0.0.192/32",
            "fd00:ec2::/64",
            "fd20:ce::254/128",
        ),
    ),
    ("link-local", _networks("169.254.0.0/16", "fe80::/10")),
    ("multicast", _networks("224.0.0.0/4", "ff00::/8")),
    ("broadcast", _networks("255.255.255.255/32")),
    ("unspecified", _networks("0.0.0.0/8", "::/128")),
    ("reserved", _networks("240.0.0.0/4")),
)
"""AWS, Google and OpenStack use 169.254.169.254 (AWS also fd00:ec2::254 and its neighbours, Google fd20:ce::254),
Alibaba 100.100.100.200, Azure 168.63.129.16, Oracle 192.0.0.192. Linux takes 0.0.0.0 and :: for the machine itself."""

_COMPATIBLE = ip_network("::/96")
_NAT64 = _networks("64:ff9b::/96", "64:ff9b:1::/48")


def literal(host: str) -> Address | None:
    """The address that a text is, or None for a name. Brackets of IPv6 are taken off."""
    try:
        return ip_address(host[1:-1] if host.startswith("[") and host.endswith("]") else host)
    except ValueError:
        return None


def forbidden(address: Address, *, loopback_allowed: bool) -> str | None:
    """Why a probe may not connect there, or None where it may. Addresses carried inside others count as well."""
    for candidate in (address, *_carried(address)):
        for kind, networks in _FORBIDDEN:
            if any(candidate in network for network in networks):
                return kind
        if candidate.is_loopback and not loopback_allowed:
            return "loopback"
    return None


def _carried(address: Address) -> tuple[IPv4Address, ...]:
    """IPv4 that an IPv6 address leads to: mapped, compatible, 6to4, Teredo, NAT64 (RFC 4291, 3056, 4380, 6052)."""
    if isinstance(address, IPv4Address):
        return ()
    found = [address.ipv4_mapped, address.sixtofour, *(address.teredo or ())]
    if (address in _COMPATIBLE and int(address) > 1) or any(address in network for network in _NAT64):
        found.append(IPv4Address(int(address) & 0xFFFFFFFF))
    return tuple(v4 for v4 in found if v4 is not None)
