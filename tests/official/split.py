"""The Official behind its API, asked by a Driver that brings sealed looks; and the looks themselves."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
from starlette.types import ASGIApp

from pitcrew.adapters.buckets import Buckets
from pitcrew.adapters.ledger.files import LedgerFile
from pitcrew.adapters.lock.state import StateLock
from pitcrew.adapters.manifests.watch import ManifestWatch
from pitcrew.adapters.official.remote import RemoteOfficial
from pitcrew.adapters.stop.files import StopFile
from pitcrew.adapters.tokens.files import TokenFile, add
from pitcrew.core.approval import Approval, ApprovalRequest, Decision, Hearing
from pitcrew.core.caller import Role
from pitcrew.core.observation import (
    FileFact,
    Observation,
    Outcome,
    ProbeReason,
    ProbeResult,
    RuntimeFacts,
    RuntimeState,
    Seal,
)
from pitcrew.core.order import Person
from pitcrew.core.permit import Permit, PermitRefused
from pitcrew.core.policy import Case, Verdict, target_digest
from pitcrew.core.proposal import Plan
from pitcrew.core.resource import HealthyService, TargetKind
from pitcrew.core.seal import payload
from pitcrew.entrypoints.servers.hygiene import Hygiene
from pitcrew.entrypoints.servers.limits import DEFAULT
from pitcrew.entrypoints.servers.official import ACCESS, official_app
from pitcrew.entrypoints.servers.officiating import Office
from pitcrew.keys import SigningKey
from pitcrew.official.key import signing_key
from pitcrew.official.permits import SigningOfficial
from tests.official.world import FLAG, Desk

CLAIM: Mapping[str, object] = {"cause": "FlagFile", "confidence": 95, "by": "Rules", "summary": "a flag is set"}


def look(declared: HealthyService, plan: Plan, at: datetime, **changes: Any) -> Observation:
    """A look at the target of a plan that shows it sick with its flag set; `changes` are of its facts."""
    base: dict[str, Any] = {
        "kind": TargetKind.DOCKER,
        "target_id": plan.target_id,
        "instance": plan.instance,
        "name": "victim",
        "state": RuntimeState.RUNNING,
        "started_at": at - timedelta(hours=1),
        "files": (FileFact(path=FLAG, present=True, size=1),),
    }
    return Observation(
        service=declared.key,
        at=at,
        sight=RuntimeFacts(**{**base, **changes}),
        probes=tuple(sick(name, at) for name, _ in declared.probes),
    )


def sick(probe: str, at: datetime, outcome: Outcome = Outcome.FAILURE) -> ProbeResult:
    """What one probe said: that the service answers and is unhealthy, unless it is well."""
    reason = ProbeReason.STATUS if outcome is Outcome.FAILURE else ProbeReason.OK
    return ProbeResult(probe=probe, at=at, outcome=outcome, reason=reason, status=503)


def sealed(seen: Observation, declared: HealthyService, key: SigningKey, mechanic: str = "default") -> Observation:
    """A look with the seal of a Mechanic."""
    seal = Seal(mechanic=mechanic, target_digest=target_digest(declared))
    return replace(seen, seal=replace(seal, signature=key.sign(payload(seen, seal)).hex()))


def with_claim(case: Case) -> Case:
    """A case that names the cause that the look shows, where it names none."""
    return case if "diagnosis" in case.facts else replace(case, facts={**case.facts, "diagnosis": CLAIM})


@dataclass(kw_only=True)
class Through:
    """The port `Official` over HTTP, as an honest Driver asks it: with a fresh sealed look. People are not the Driver,
    and so decide at the Official itself."""

    inside: SigningOfficial
    office: Office
    remote: RemoteOfficial
    key: SigningKey
    time: Any

    def __setattr__(self, name: str, value: Any) -> None:
        if name == "suspended":
            self.inside.suspended = value
        else:
            object.__setattr__(self, name, value)

    def _case(self, service: HealthyService, plan: Plan, case: Case) -> Case:
        self.office.services = {service.key: service}
        return replace(with_claim(case), seen=sealed(look(service, plan, self.time.at), service, self.key))

    async def judge(self, service: HealthyService, plan: Plan, case: Case) -> Verdict:
        return await self.remote.judge(service, plan, self._case(service, plan, case))

    async def ask(self, service: HealthyService, plan: Plan, case: Case) -> ApprovalRequest | PermitRefused:
        return await self.remote.ask(service, plan, self._case(service, plan, case))

    async def decide(
        self, plan_digest: str, decision: Decision, person: Person, reason: str, *, signed: str = ""
    ) -> Approval | PermitRefused:
        return await self.inside.decide(plan_digest, decision, person, reason, signed=signed)

    async def decision(self, plan_digest: str) -> Hearing:
        return await self.remote.decision(plan_digest)

    async def permit(self, service: HealthyService, plan: Plan, case: Case) -> Permit | PermitRefused:
        return await self.remote.permit(service, plan, self._case(service, plan, case))

    async def permit_undo(self, service: HealthyService, plan: Plan) -> Permit | PermitRefused:
        self.office.services = {service.key: service}
        return await self.remote.permit_undo(service, plan)


@dataclass(kw_only=True)
class RemoteDesk(Desk):
    """As `Desk`, with the Official behind its API and all that stands before it."""

    tokens: dict[str, str] = field(default_factory=dict)

    def opened(self, ledger: LedgerFile | None = None) -> Any:
        """One more Official over the same directory, asked over HTTP."""
        key = signing_key(self.state / "mechanic")
        self.separated, self.mechanics = True, {"default": lambda: (key.public_key(),)}
        inside = super().opened(ledger)
        office = Office(
            official=inside,
            manifests=ManifestWatch([self.state]),
            stop=StopFile(state=self.state),
            lock=StateLock.acquire(self.state),
            unread="",
        )
        office.lock.close()
        transport = httpx.ASGITransport(app=guarded(official_app(office), self._tokens()))
        remote = RemoteOfficial(
            url=httpx.URL("http://127.0.0.1"),
            token=self.state / "driver",
            now=lambda: self.time.at,
            transport=transport,
        )
        return Through(inside=inside, office=office, remote=remote, key=key, time=self.time)

    def _tokens(self) -> Path:
        path = self.state / "tokens.json"
        if not path.exists():
            now = datetime.now(UTC)
            self.tokens = {str(role): add(path, str(role), [role], now) for role in Role}
            self.tokens["alice"] = add(path, "alice", [Role.APPROVER], now)
            (self.state / "driver").write_text(self.tokens["driver"])
        return path


def guarded(app: ASGIApp, tokens: Path) -> ASGIApp:
    """The application with the middleware that every server has."""
    return Hygiene(
        app,
        access=ACCESS,
        tokens=TokenFile.open(tokens, lambda: datetime.now(UTC)),
        limits=DEFAULT,
        buckets=Buckets(per_s=1e6, burst=10**6, clients_max=16, monotonic=lambda: 0.0),
    )
