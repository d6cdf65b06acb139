"""Listening: where a service listens by its own log, beside where its probes ask (FAULTS row 20)."""

import re
from collections.abc import Collection, Iterable, Sequence

from pitcrew.core.resource import Probe

_LISTENS = re.compile(r"\b(?:listen(?:s|ing)?|serv(?:es|ing)|started|running|bound|binding|binds|available)\b", re.I)
_ENDPOINT = re.compile(
    r"(?:(?P<host>\b127(?:\.\d{1,3}){3}|\blocalhost|\b(?:\d{1,3}\.){3}\d{1,3}|\[[0-9a-f:]{2,39}\]|\*|(?<![\w:])::)"
    r"|(?<![^\s=\"'(])):(?P<port>\d{2,5})\b"
    r"|\bport(?:\(s\))?[ :=]{1,3}(?P<only>\d{2,5})\b",
    re.I,
)
_LOOPBACK = re.compile(r"127\.|localhost|\[::1\]", re.I)
CHARS_MAX = 2048
"""Characters of one line that are searched."""


def ports_of(asked: Sequence[tuple[str, Probe]]) -> frozenset[int]:
    """The ports that probes from outside ask."""
    return frozenset(ask.port for _, probe in asked if (ask := probe.http_get or probe.tcp_socket))


def listens_elsewhere(lines: Iterable[str], ports: Collection[int], *, own_loopback: bool) -> bool:
    """Whether it says where it listens, and that is none of the places where it is asked.

    In a container the loopback address is its own (`own_loopback`), and nobody outside reaches it.
    """
    heard = [place for line in lines if _LISTENS.search(line[:CHARS_MAX]) for place in _places(line[:CHARS_MAX])]
    reached = {port for port, loopback in heard if not (loopback and own_loopback)}
    return bool(heard) and bool(ports) and not reached & set(ports)


def _places(line: str) -> Iterable[tuple[int, bool]]:
    """Each port that a line names, and whether on a loopback address."""
    for match in _ENDPOINT.finditer(line):
        yield int(match["port"] or match["only"]), bool(_LOOPBACK.match(match["host"] or ""))
