"""The Mechanic's own key: what it saw, signed, so that nobody between it and the Official has to be believed."""

from dataclasses import dataclass, replace
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from pitcrew.core.observation import Observation, Seal
from pitcrew.core.policy import target_digest
from pitcrew.core.resource import HealthyService
from pitcrew.core.seal import payload
from pitcrew.keys import private_key


@dataclass(frozen=True, kw_only=True, slots=True)
class Sealer:
    """Seals looks in the name of the Mechanic `id`."""

    id: str
    key: Ed25519PrivateKey

    @classmethod
    def over(cls, directory: Path, mechanic: str) -> "Sealer":
        """With the key in `directory`, made where there is none; see `private_key`."""
        return cls(id=mechanic, key=private_key(directory))

    def seal(self, service: HealthyService, seen: Observation) -> Observation:
        """The same look, with a signature over it and over the target as this Mechanic has it declared."""
        blank = Seal(mechanic=self.id, target_digest=target_digest(service))
        return replace(seen, seal=replace(blank, signature=self.key.sign(payload(seen, blank)).hex()))
