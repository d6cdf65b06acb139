"""`HttpProber` without a network: what each host and port says is scripted, everything else refuses."""

from dataclasses import dataclass
from datetime import UTC, datetime

from pitcrew.adapters.prober.addresses import forbidden, literal
from pitcrew.core.observation import Outcome, ProbeReason, ProbeResult
from pitcrew.core.resource import HttpGet, TcpSocket


@dataclass(frozen=True, kw_only=True, slots=True)
class Said:
    """What a scripted place says to a probe."""

    outcome: Outcome
    reason: ProbeReason
    status: int | None = None
    detail: str = ""


OK = Said(outcome=Outcome.SUCCESS, reason=ProbeReason.OK, status=200, detail="HTTP 200 OK")
BROKEN = Said(outcome=Outcome.FAILURE, reason=ProbeReason.STATUS, status=500, detail="HTTP 500: SERVICE UNHEALTHY")
REFUSED = Said(outcome=Outcome.FAILURE, reason=ProbeReason.REFUSED, detail="Connection refused")
RESET = Said(outcome=Outcome.FAILURE, reason=ProbeReason.RESET, detail="the connection ended without an answer")
SILENT = Said(outcome=Outcome.FAILURE, reason=ProbeReason.TIMEOUT, detail="no whole answer in time")
GARBAGE = Said(outcome=Outcome.FAILURE, reason=ProbeReason.MALFORMED, detail="not an HTTP answer")
BLIND = Said(outcome=Outcome.UNKNOWN, reason=ProbeReason.OUR_LIMITS, detail="Too many open files")
NO_ADDRESS = Said(outcome=Outcome.UNKNOWN, reason=ProbeReason.NO_ADDRESS, detail="the target has no address")


def status(code: int) -> Said:
    """What an answer with this status is to a probe."""
    good = 200 <= code < 400
    return Said(
        outcome=Outcome.SUCCESS if good else Outcome.FAILURE,
        reason=ProbeReason.OK if good else ProbeReason.STATUS,
        status=code,
        detail=f"HTTP {code}",
    )


class FakeProber:
    """`script` says what a place answers from now on; a list answers in turn and stays at its last."""

    def __init__(self, *, loopback_allowed: bool = True) -> None:
        self._loopback_allowed = loopback_allowed
        self._script: dict[tuple[str, int], list[Said]] = {}
        self.asked: list[tuple[str, int, str]] = []

    def script(self, host: str, port: int, *said: Said) -> None:
        """Replace what a place says."""
        self._script[host, port] = list(said)

    async def get(self, name: str, http_get: HttpGet, *, address: str | None, timeout_s: float) -> ProbeResult:
        """See `pitcrew.ports.HttpProber`."""
        said = self._say(http_get, address)
        return ProbeResult(
            probe=name,
            at=datetime.now(UTC),
            outcome=said.outcome,
            reason=said.reason,
            detail=said.detail,
            status=said.status,
            latency_ms=1 if said.status else None,
        )

    async def connect(self, name: str, tcp: TcpSocket, *, address: str | None, timeout_s: float) -> ProbeResult:
        """See `pitcrew.ports.HttpProber`; whatever answers takes connections."""
        said = self._say(tcp, address)
        taken = said.status is not None
        return ProbeResult(
            probe=name,
            at=datetime.now(UTC),
            outcome=Outcome.SUCCESS if taken else said.outcome,
            reason=ProbeReason.OK if taken else said.reason,
            detail=said.detail,
            latency_ms=1 if taken else None,
        )

    def _say(self, http_get: HttpGet | TcpSocket, address: str | None) -> Said:
        host = http_get.host or address
        if not host:
            return NO_ADDRESS
        loopback_allowed = self._loopback_allowed or http_get.host is None
        found = literal(host)
        if found is not None and (kind := forbidden(found, loopback_allowed=loopback_allowed)):
            return Said(outcome=Outcome.UNKNOWN, reason=ProbeReason.ADDRESS_FORBIDDEN, detail=f"{host} is {kind}")
        self.asked.append((host, http_get.port, getattr(http_get, "path", "")))
        lines = self._script.get((host, http_get.port), [REFUSED])
        return lines.pop(0) if len(lines) > 1 else lines[0]
