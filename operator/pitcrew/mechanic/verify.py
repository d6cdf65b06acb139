"""Whether a permit covers what is asked, by the Official's public key alone."""

import os
from datetime import datetime
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from pitcrew.core.action import Action
from pitcrew.core.errors import InvalidInput
from pitcrew.core.permit import Direction, Permit, misfit
from pitcrew.core.policy import target_digest
from pitcrew.core.proposal import Plan
from pitcrew.core.resource import HealthyService

_BYTES_MAX = 4096


def public_key(path: Path) -> Ed25519PublicKey:
    """The Official's public key from a file in PEM.

    Raises:
        InvalidInput: the file cannot be read, can be written by others, or holds no Ed25519 public key.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise InvalidInput(f"{path}: cannot be read ({error.strerror}); give the Official's key.pub") from None
    with os.fdopen(descriptor, "rb") as file:
        if os.fstat(descriptor).st_mode & 0o022:
            raise InvalidInput(f"{path}: others can write it, and so choose whose permits count; chmod 644 it")
        pem = file.read(_BYTES_MAX)
    try:
        key = load_pem_public_key(pem)
    except (ValueError, TypeError):
        key = None
    if not isinstance(key, Ed25519PublicKey):
        raise InvalidInput(f"{path}: holds no Ed25519 public key in PEM; give the Official's key.pub")
    return key


def is_signed(permit: Permit, key: Ed25519PublicKey) -> bool:
    """Whether the Official signed exactly this permit."""
    try:
        key.verify(bytes.fromhex(permit.signature), permit.payload)
    except (InvalidSignature, InvalidInput, ValueError):
        return False
    return True


def uncovered(
    permit: Permit, plan: Plan, service: HealthyService, *, key: Ed25519PublicKey, mechanic: str, now: datetime
) -> str | None:
    """Why a permit does not cover this plan for this service now, or None."""
    if not is_signed(permit, key):
        return "the permit does not carry the Official's signature"
    if plan.service != service.key:
        return f"the plan is for {plan.service}, not for {service.key}"
    if plan.target_digest != target_digest(service):
        return "the declaration of the target changed since the plan was made"
    return misfit(permit, plan_digest=plan.digest, direction=permit.direction, mechanic=mechanic, now=now)


def action_of(plan: Plan, direction: Direction) -> Action | None:
    """The action that a permit of this direction is for; None where the plan has no undo."""
    match direction:
        case Direction.DO:
            return plan.action
        case Direction.UNDO:
            return plan.undo
