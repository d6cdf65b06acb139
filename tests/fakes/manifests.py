"""`ManifestSource` in memory: a test declares, the loop sees it."""

import asyncio
from collections.abc import AsyncIterator, Iterable

from pitcrew.adapters.manifests.parse import digest
from pitcrew.core.policy import Guardrails, Unread
from pitcrew.core.resource import HealthyService, RemediationPolicy
from pitcrew.ports import Declared, DeclaredPolicy, Loaded, Problem


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
        policies: Iterable[RemediationPolicy] = (),
        unread: Iterable[Unread] = (),
    ) -> None:
        """From now on these are declared; `stale` gives reasons by service key, or name of a policy."""
        async with self._changed:
            self._set(services, tuple(problems), stale or {}, policies, unread)
            self._changed.notify_all()

    def _set(
        self,
        services: Iterable[HealthyService],
        problems: tuple[Problem, ...],
        stale: dict[str, str],
        policies: Iterable[RemediationPolicy] = (),
        unread: Iterable[Unread] = (),
    ) -> None:
        self._version += 1
        self._loaded = Loaded(
            services={
                one.key: Declared(
                    service=one, file=f"{one.key}.yaml", line=1, digest=digest(one), stale=stale.get(one.key, "")
                )
                for one in services
            },
            problems=problems,
            policies={
                one.name: DeclaredPolicy(
                    policy=one, file=f"{one.name}.yaml", line=1, digest=digest(one), stale=stale.get(one.name, "")
                )
                for one in policies
            },
            unread=tuple(unread),
        )

    def guardrails(self) -> Guardrails:
        """See `pitcrew.ports.ManifestSource`."""
        return self._loaded.guardrails

    async def changes(self) -> AsyncIterator[Loaded]:
        """See `pitcrew.ports.ManifestSource`."""
        seen = 0
        while True:
            async with self._changed:
                await self._changed.wait_for(lambda seen=seen: self._version != seen)  # type: ignore[misc]
                seen, loaded = self._version, self._loaded
            yield loaded
