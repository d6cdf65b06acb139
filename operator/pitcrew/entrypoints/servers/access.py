"""Who may call what: one table per server, of every route and every tool. What is not in it is denied."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from pitcrew.core.caller import Caller, Role

CALLER, TOKENS = "pitcrew.caller", "pitcrew.tokens"
"""Keys of the scope: the caller, None where nobody showed a token; and whether a token file is configured."""

Else: TypeAlias = Literal["Nobody", "NoTokens", "Permit", "Signature", "Everybody"]
"""Who may call without a role: nobody; whoever is on this machine while no token file is configured; likewise, since
the call brings a signed permit that is verified; everybody, where the call brings a person's signature that is verified
and asks for the role where it brings none; everybody, always."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Need:
    """What one route or tool asks for: any one of `roles`, or what `otherwise` lets pass."""

    roles: frozenset[Role] = frozenset()
    otherwise: Else = "Nobody"

    def met_by(self, caller: Caller | None, *, tokens: bool) -> bool:
        """Whether this caller may call; `tokens` says whether a token file is configured."""
        if self.otherwise in ("Everybody", "Signature") or (caller is not None and bool(self.roles & caller.roles)):
            return True
        return not tokens and self.otherwise in ("NoTokens", "Permit")

    def __str__(self) -> str:
        return " or ".join(sorted(self.roles)) or "nobody"


PUBLIC = Need(otherwise="Everybody")
"""For everyone, with and without tokens: `/healthz`, and little else."""


def role(*roles: Role) -> Need:
    """A token with one of these roles, always."""
    return Need(roles=frozenset(roles))


def reading(*roles: Role) -> Need:
    """A token with one of these roles; on loopback nothing where no token file is configured. Changes nothing."""
    return Need(roles=frozenset(roles), otherwise="NoTokens")


def permit(*roles: Role) -> Need:
    """As `reading`, for what verifies a signed permit before it changes anything."""
    return Need(roles=frozenset(roles), otherwise="Permit")


def signature(*roles: Role) -> Need:
    """A token with one of these roles, or a signature that the route verifies; it asks for the role itself."""
    return Need(roles=frozenset(roles), otherwise="Signature")


@dataclass(frozen=True, kw_only=True, slots=True)
class Access:
    """The table of one server.

    `routes`: by method and path as the application spells it, such as `POST /v1/approvals/{id}`; GET covers HEAD.
    `tools`: by the name of the MCP tool.
    """

    routes: Mapping[str, Need]
    tools: Mapping[str, Need] = field(default_factory=dict)

    def methods(self, path: str) -> Mapping[str, Need]:
        """What each method that is served at a path needs; empty where nothing is served there.

        A path that is spelt out wins over one with a parameter, as in the applications' order.
        """
        for exact in (True, False):
            found = {
                method: need
                for (method, pattern), need in self._split().items()
                if ("{" not in pattern) is exact and _fits(pattern, path)
            }
            if found:
                return found | ({"HEAD": found["GET"]} if "GET" in found else {})
        return {}

    def declared(self, path: str) -> Mapping[str, Need]:
        """What each method needs at a path that is spelt as the application spells it."""
        found = {method: need for (method, pattern), need in self._split().items() if pattern == path}
        return found | ({"HEAD": found["GET"]} if "GET" in found else {})

    @property
    def paths(self) -> Sequence[str]:
        """Every path of the table, as the application spells it."""
        return sorted({pattern for _, pattern in self._split()})

    def _split(self) -> Mapping[tuple[str, str], Need]:
        return {(method, path): need for key, need in self.routes.items() for method, _, path in [key.partition(" ")]}


def _fits(pattern: str, path: str) -> bool:
    parts = re.split(r"\{[a-zA-Z_][a-zA-Z0-9_]*\}", pattern)
    return re.fullmatch("[A-Za-z0-9._~-]+".join(map(re.escape, parts)), path) is not None
