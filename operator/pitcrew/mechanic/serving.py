"""The Mechanic for others: a plan names its service, and what that is stands in the Mechanic's own manifests."""

from dataclasses import dataclass

from pitcrew.core.action import Seen, Trace
from pitcrew.core.permit import Permit
from pitcrew.core.proposal import Plan
from pitcrew.core.resource import HealthyService
from pitcrew.mechanic.acting import VerifyingMechanic
from pitcrew.mechanic.claims import Claims
from pitcrew.mechanic.roster import Roster


@dataclass(frozen=True, kw_only=True, slots=True)
class ServedMechanic:
    """The port `Mechanic` without its services. Each call raises Refused for a service that is not on the roster."""

    mechanic: VerifyingMechanic
    roster: Roster
    claims: Claims

    async def prepare(self, permit: Permit, plan: Plan) -> Trace:
        """See `Mechanic.prepare`."""
        service = await self._alone(plan)
        return await self.mechanic.prepare(permit, plan, service)

    async def execute(self, permit: Permit, plan: Plan, trace: Trace) -> None:
        """See `Mechanic.execute`."""
        service = await self._alone(plan)
        await self.mechanic.execute(permit, plan, service, trace)

    async def look_back(self, permit: Permit, plan: Plan) -> Seen:
        """See `Mechanic.look_back`; the trace is the one that was kept here when the permit was spent."""
        service = self.roster.service(plan.service)
        unspent = Trace(op=permit.serial, target_id=plan.target_id, instance=plan.instance, notes={})
        return await self.mechanic.look_back(permit, plan, service, unspent)

    async def _alone(self, plan: Plan) -> HealthyService:
        service = self.roster.service(plan.service)
        await self.claims.check(service, plan.target_id)
        return service
