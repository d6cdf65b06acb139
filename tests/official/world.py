"""Services, plans and parts that the tests of Official and Mechanic share."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from pitcrew.adapters.ledger.files import LedgerFile
from pitcrew.adapters.policy.cel import CelCompiler
from pitcrew.adapters.stop.files import StopFile
from pitcrew.core.action import Action, Irreversible, RemoveFile, undo_of
from pitcrew.core.approval import OwnUser
from pitcrew.core.policy import NO_GUARDRAILS, Case, Guardrails, Tries, policy_digest, target_digest
from pitcrew.core.proposal import Plan
from pitcrew.core.record import Instant
from pitcrew.core.resource import HealthyService, Level
from pitcrew.official.asked import Hands
from pitcrew.official.judgement import Keys
from pitcrew.official.key import signing_key
from pitcrew.official.permits import Limits, SigningOfficial

FLAG = "/app/broken.flag"
OWN_UID, OWN_NAME = 990, "pitcrew"
"""The user PitCrew runs as here."""


@dataclass(kw_only=True)
class Time:
    """The trusted clock, standing still until it is moved."""

    at: datetime = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)

    def now(self) -> Instant:
        return Instant(at=self.at, boot="boot-1", boottime_ns=1)

    def move(self, seconds: float) -> None:
        self.at += timedelta(seconds=seconds)


def service(name: str = "victim", container: str = "victim", **policy: Any) -> HealthyService:
    return HealthyService.model_validate(
        {
            "apiVersion": "pitcrew.dev/v1alpha1",
            "kind": "HealthyService",
            "metadata": {"name": name, "labels": {"team": "shop"}},
            "spec": {
                "target": {"docker": {"container": container}},
                "remediation": {"actions": {"removeFile": {"paths": [FLAG]}, "restart": {}, "start": {}}},
                "policy": policy,
            },
        }
    )


def plan_for(
    declared: HealthyService,
    incident: str = "victim-1",
    target_id: str = "c0ffee",
    action: Action | None = None,
    instance: str = "run-1",
) -> Plan:
    action = action or RemoveFile(path=FLAG)
    undo = undo_of(action, declared.spec.remediation.actions)
    return Plan(
        service=declared.key,
        incident=incident,
        attempt=1,
        target=declared.spec.target.label,
        target_id=target_id,
        target_digest=target_digest(declared),
        instance=instance,
        action=action,
        undo=None if isinstance(undo, Irreversible) else undo,
        irreversible=undo.reason if isinstance(undo, Irreversible) else "",
        verify_for_s=10,
        deviations=("ProbeFailing",),
        policy_digest=policy_digest(declared),
    )


def case(level: Level = Level.LOW, facts: Mapping[str, Mapping[str, object]] | None = None) -> Case:
    return Case(level=level, tries=Tries(effects=0, plans=1), facts=facts or {})


@dataclass(kw_only=True)
class Desk:
    """An Official over a state directory; `opened` is another one over the same directory, as after a restart."""

    state: Path
    time: Time = field(default_factory=Time)
    limits: Limits = field(default_factory=Limits)
    own_may: bool = False
    guardrails: Guardrails = NO_GUARDRAILS
    storm: str = ""
    hands: Hands = field(default_factory=Hands)
    separated: bool = False
    mechanics: Mapping[str, Keys] = field(default_factory=dict)

    @property
    def ledger(self) -> Path:
        return self.state / "official" / "ledger.jsonl"

    def opened(self, ledger: LedgerFile | None = None) -> SigningOfficial:
        return SigningOfficial(
            key=signing_key(self.state / "official"),
            ledger=ledger or LedgerFile(path=self.ledger),
            compiler=CelCompiler(),
            now=self.time.now,
            stop=StopFile(state=self.state),
            own=OwnUser(uid=OWN_UID, may_approve=self.own_may, name=OWN_NAME),
            limits=self.limits,
            guardrails=lambda: self.guardrails,
            storm=lambda: self.storm,
            hands=self.hands,
            separated=self.separated,
            mechanics=self.mechanics,
        )
