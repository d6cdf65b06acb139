"""Permits: a signed, single-use, expiring capability for one plan digest, one direction and one Mechanic.

Signing lives with the Official and checking a signature with the Mechanic; here is what a permit says, the bytes that
are signed, and when one does not fit.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from pitcrew.core.record import canonical


class Direction(StrEnum):
    """What a permit is for."""

    DO = "do"
    UNDO = "undo"


@dataclass(frozen=True, kw_only=True, slots=True)
class Permit:
    """A capability. `serial` names it once and for all; `signature` is Ed25519 over `payload`, in hex."""

    serial: str
    plan_digest: str
    direction: Direction
    mechanic: str
    issued_at: datetime
    expires_at: datetime
    signature: str = ""

    @property
    def payload(self) -> bytes:
        """The bytes that are signed."""
        return canonical(
            {
                "pitcrew": "permit/v1",
                "serial": self.serial,
                "plan_digest": self.plan_digest,
                "direction": str(self.direction),
                "mechanic": self.mechanic,
                "issued_at": self.issued_at.isoformat(),
                "expires_at": self.expires_at.isoformat(),
            }
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class PermitRefused:
    """The Official gave no permit, and why."""

    reason: str


def misfit(permit: Permit, *, plan_digest: str, direction: Direction, mechanic: str, now: datetime) -> str | None:
    """Why a permit does not cover this, or None."""
    if permit.plan_digest != plan_digest:
        return "the permit is for another plan"
    if permit.direction is not direction:
        return f"the permit is to {permit.direction}, not to {direction}"
    if permit.mechanic != mechanic:
        return f"the permit is for the mechanic {permit.mechanic}"
    if now < permit.issued_at:
        return "the permit is from the future"
    if now >= permit.expires_at:
        return f"the permit expired at {permit.expires_at:%H:%M:%S}"
    return None
