"""`ManifestSource` in memory: a test declares, the loop sees it."""

import asyncio
from collections.abc import AsyncIterator, Iterable

from pitcrew.adapters.manifests.parse import digest
from pitcrew.core.resource import HealthyService
from pitcrew.ports import Declared, Loaded, Problem


class FakeManifests:
    """`declare` replaces everything; each reader sees the newest state at once and after every change."""

    def __init__(self, *services: HealthyService) -> None:
        self._loaded = Loaded(services={})
        self._changed = asyncio.Condition()
        self._version = 0
        self._set(services, (), {})

    async def declare(
        self,
        *services: HealthyService,
        problems: Iterable[Problem] = (),
        stale: dict[str, str] | None = None,
    ) -> None:
        """From now on these are declared; `stale` gives reasons by service key."""
        async with self._changed:
            self._set(services, tuple(problems), stale or {})
            self._changed.notify_all()

    def _set(self, services: Iterable[HealthyService], problems: tuple[Problem, ...], stale: dict[str, str]) -> None:
        self._version += 1
        self._loaded = Loaded(
            services={
                one.key: Declared(
                    service=one, file=f"{one.key}.yaml", line=1, digest=digest(one), stale=stale.get(one.key, "")
                )
                for one in services
            },
            problems=problems,
        )

    async def changes(self) -> AsyncIterator[Loaded]:
        """See `pitcrew.ports.ManifestSource`."""
        seen = 0
        while True:
            async with self._changed:
                await self._changed.wait_for(lambda seen=seen: self._version != seen)  # type: ignore[misc]
                seen, loaded = self._version, self._loaded
            yield loaded
