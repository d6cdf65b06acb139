"""Whether a permit covers what is asked, by the Official's public keys alone."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import TypeAlias

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from pitcrew.core.action import Action
from pitcrew.core.errors import InvalidInput, Refused
from pitcrew.core.permit import Direction, Permit, misfit
from pitcrew.core.policy import target_digest
from pitcrew.core.proposal import Plan
from pitcrew.core.resource import HealthyService
from pitcrew.keys import public_keys

Keys: TypeAlias = Callable[[], Sequence[Ed25519PublicKey]]
"""The keys whose permits count at this moment. Raises Refused where that cannot be told."""


@dataclass(frozen=True, kw_only=True, slots=True)
class OfficialKeys:
    """The Official's public keys in a file, read anew each time: a key that was retired there opens nothing more. No
    permit counts where `path` is None."""

    path: Path | None

    def __call__(self) -> Sequence[Ed25519PublicKey]:
        """See `Keys`."""
        if self.path is None:
            raise Refused("no permit can be verified: this Mechanic was started without --official-keys")
        try:
            return public_keys(self.path, "the Official's")
        except InvalidInput as error:
            raise Refused(f"no permit can be verified: {error}") from None


def is_signed(permit: Permit, keys: Sequence[Ed25519PublicKey]) -> bool:
    """Whether the Official signed exactly this permit, with any of these keys."""
    return any(_is_signed(permit, key) for key in keys)


def _is_signed(permit: Permit, key: Ed25519PublicKey) -> bool:
    try:
        key.verify(bytes.fromhex(permit.signature), permit.payload)
    except (InvalidSignature, InvalidInput, ValueError):
        return False
    return True


def uncovered(
    permit: Permit,
    plan: Plan,
    service: HealthyService,
    *,
    keys: Sequence[Ed25519PublicKey],
    mechanic: str,
    now: datetime,
    skew: timedelta = timedelta(),
) -> str | None:
    """Why a permit does not cover this plan for this service now, or None. `skew` is how far the Official's clock may
    run ahead of ours; a permit is not valid any longer for it."""
    if not is_signed(permit, keys):
        return "the permit does not carry the Official's signature"
    if plan.service != service.key:
        return f"the plan is for {plan.service}, not for {service.key}"
    if plan.target_digest != target_digest(service):
        return "the declaration of the target changed since the plan was made"
    read = permit.issued_at if now < permit.issued_at <= now + skew else now
    return misfit(permit, plan_digest=plan.digest, direction=permit.direction, mechanic=mechanic, now=read)


def action_of(plan: Plan, direction: Direction) -> Action | None:
    """The action that a permit of this direction is for; None where the plan has no undo."""
    match direction:
        case Direction.DO:
            return plan.action
        case Direction.UNDO:
            return plan.undo
