"""Two services on one target are refused (S3), whoever of them asks."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field

from pitcrew.core.errors import Refused
from pitcrew.core.observation import RuntimeFacts, Sight
from pitcrew.core.resource import HealthyService, ServiceKey, TargetKind
from pitcrew.mechanic.roster import Roster
from pitcrew.ports import Runtime

LOOK_S = 2.0
"""Seconds that a look at another service may take; what was seen of it last counts then."""


@dataclass(kw_only=True, slots=True)
class Claims:
    """Which service resolves to which target, looked up anew before each effect."""

    roster: Roster
    runtimes: Mapping[TargetKind, Runtime]
    _seen: dict[ServiceKey, str] = field(default_factory=dict)

    def note(self, service: ServiceKey, sight: Sight) -> None:
        """Remember what a look found."""
        if isinstance(sight, RuntimeFacts):
            self._seen[service] = sight.target_id

    async def check(self, service: HealthyService, target_id: str) -> None:
        """Raises Refused where another service of the manifests resolves to this target too."""
        others = self.roster.others(service)
        await asyncio.gather(*(self._look(other) for other in others))
        for other in others:
            if self._seen.get(other.key) == target_id:
                raise Refused(
                    f"the target {target_id[:24]} of {service.key} is that of {other.key} too; two services on one "
                    "target are refused: keep one of them in the manifests"
                )

    async def _look(self, service: HealthyService) -> None:
        try:
            async with asyncio.timeout(LOOK_S):
                self.note(service.key, await self.runtimes[service.spec.target.kind].look(service))
        except TimeoutError:
            return
