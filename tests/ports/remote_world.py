"""Another world whose runtime is seen over MCP, through a Mechanic that serves it."""

from typing import Any

from pitcrew.core.resource import HealthyService
from pitcrew.ports import Runtime
from tests.mechanic.garage import Garage


class RemoteWorld:
    """Everything happens in `inner`; only the runtime under test is at the other end of a connection."""

    def __init__(self, inner: Any, garage: Garage) -> None:
        self._inner = inner
        self._garage = garage
        self._services: list[HealthyService] = []
        self.mechanics = garage.connected()
        self.runtime: Runtime = self.mechanics.runtimes[inner.runtime.kind]

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    async def create(self, name: str) -> HealthyService:
        service: HealthyService = await self._inner.create(name)
        self._services.append(service)
        await self._garage.declare(*self._services)
        return service

    async def close(self) -> None:
        await self.mechanics.close()
