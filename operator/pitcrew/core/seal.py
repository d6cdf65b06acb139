"""Sealed looks: an observation as data, and the bytes that the Mechanic signs over it.

Signing and checking live with those who hold keys; here is what a signature binds.
"""

from dataclasses import replace

from pydantic import TypeAdapter

from pitcrew.core.observation import Observation, Seal
from pitcrew.core.record import Json, canonical

_OBSERVATION: TypeAdapter[Observation] = TypeAdapter(Observation)


def to_data(seen: Observation) -> dict[str, Json]:
    """An observation as JSON data without floats."""
    data: dict[str, Json] = _OBSERVATION.dump_python(seen, mode="json")
    return data


def from_data(data: Json) -> Observation:
    """The observation that `to_data` spelt. Raises ValueError where it is none."""
    return _OBSERVATION.validate_python(data)


def payload(seen: Observation, seal: Seal) -> bytes:
    """The bytes that are signed: what was seen, of which service and declaration of the target, and by whom."""
    return canonical(
        {
            "pitcrew": "seen/v1",
            "mechanic": seal.mechanic,
            "target_digest": seal.target_digest,
            "seen": to_data(replace(seen, seal=None)),
        }
    )
