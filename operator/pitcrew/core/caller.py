"""Callers over the network: a name and roles, which a bearer token stands for (S13).

A token is 256 random bits, and only its SHA-256 is kept. A slow hash protects what can be guessed, such as a password;
nobody guesses 256 bits, however fast the hash is, and a slow one would let strangers keep the processor busy.
"""

import hashlib
import hmac
import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from pitcrew.core.errors import InvalidInput

TOKEN_BYTES = 32
"""Random bytes of a token, as many as SHA-256 gives."""
TOKEN_CHARS_MAX = 128
"""Characters of a token that are looked at; ours have 51, and a longer one is nobody's."""
TOKENS_MAX = 256
"""Tokens of one file; all of them are compared at each request."""
_NAME = re.compile(r"[a-zA-Z0-9_][a-zA-Z0-9_.@-]{0,63}")
"""The names that `spec.policy.approvers` can list."""


class Role(StrEnum):
    """What a caller may do. Who proposes never approves: no token has both of these roles."""

    DRIVER = "driver"
    APPROVER = "approver"
    OPERATOR = "operator"
    READER = "reader"


@dataclass(frozen=True, kw_only=True, slots=True)
class Caller:
    """Who calls, by their token and by nothing that they wrote."""

    name: str
    roles: frozenset[Role]

    def __str__(self) -> str:
        return f"{self.name} ({', '.join(sorted(self.roles))})"


@dataclass(frozen=True, kw_only=True, slots=True)
class Token:
    """What is kept of a token; `sha256` is hexadecimal, `expires_at` None where it holds until it is revoked."""

    name: str
    roles: frozenset[Role]
    sha256: str
    created_at: datetime
    expires_at: datetime | None = None

    def __post_init__(self) -> None:
        """Raises InvalidInput for a name or roles that no token can have."""
        if _NAME.fullmatch(self.name) is None:
            raise InvalidInput(
                f"token name {self.name!r}: not 1 to 64 letters, digits and _ . @ -, beginning with one of the first "
                "three; name it as spec.policy.approvers names people"
            )
        if not self.roles:
            raise InvalidInput(f"token {self.name}: no role; give one of {', '.join(Role)}")
        if {Role.DRIVER, Role.APPROVER} <= self.roles:
            raise InvalidInput(f"token {self.name}: driver and approver; who proposes never approves: make two tokens")


def token_digest(token: str) -> str:
    """The SHA-256 of a token, in hexadecimal."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()


def caller_of(tokens: Iterable[Token], token: str, now: datetime) -> Caller | None:
    """Whom a token stands for now, or None. Each entry is compared, in the same time whether it is the one or not."""
    if len(token) > TOKEN_CHARS_MAX:
        return None
    asked, found = token_digest(token), None
    for one in tokens:
        same = hmac.compare_digest(one.sha256, asked)
        if same and (one.expires_at is None or now < one.expires_at):
            found = Caller(name=one.name, roles=one.roles)
    return found
