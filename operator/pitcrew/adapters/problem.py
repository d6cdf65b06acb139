"""Answers that say what went wrong: problem details (RFC 9457), without anything of our insides."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus

from pitcrew.adapters.incoming import SECURITY_HEADERS

CONTENT_TYPE = "application/problem+json"
INTERNAL = "it failed here; the log of the server says why"


@dataclass(frozen=True, kw_only=True, slots=True)
class Problem:
    """Why a request was not served; `detail` is for its sender, and says a remedy where there is one."""

    status: HTTPStatus
    detail: str
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def body(self) -> bytes:
        """The problem as JSON."""
        told = {"type": "about:blank", "title": self.status.phrase, "status": int(self.status), "detail": self.detail}
        return json.dumps(told).encode()

    @property
    def fields(self) -> list[tuple[bytes, bytes]]:
        """The headers of the answer, the security headers included."""
        own = {"Content-Type": CONTENT_TYPE, "Content-Length": str(len(self.body)), **self.headers, **SECURITY_HEADERS}
        return [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in own.items()]
