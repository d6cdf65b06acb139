"""Proposals and plans: the first remedy that applies, is permitted by the service, and was not already ineffective.

A proposal joins what runbooks know to the catalogue of actions. A plan is the proposal bound to one service, incident,
attempt and target; its digest is what is judged, permitted and looked up again.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from pitcrew.core.action import (
    Action,
    ConnectNetwork,
    Irreversible,
    RemoveFile,
    Restart,
    Start,
    Unpause,
    declared_command,
    is_destructive,
    obstacle,
    to_data,
    undo_of,
)
from pitcrew.core.diagnosis import Cause, Diagnosis
from pitcrew.core.evidence import Evidence, Source
from pitcrew.core.observation import Absent, RuntimeFacts, Sight
from pitcrew.core.record import Json, digest
from pitcrew.core.resource import Actions, HealthyService
from pitcrew.core.runbook import FILLED_IN, Match, Remedy, excluded, pinned


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """What is judged and permitted. `instance` is the run of the target that it was made for.

    `undo` is the action that takes it back, or None with `irreversible` saying why; `target_digest` binds the
    declaration of the target, `policy_digest` the policy it was judged under.
    """

    service: str
    incident: str
    attempt: int
    target: str
    target_id: str
    target_digest: str
    instance: str
    action: Action
    undo: Action | None
    irreversible: str
    verify_for_s: int
    deviations: tuple[str, ...]
    policy_digest: str

    @property
    def data(self) -> dict[str, Json]:
        """The plan as JSON data: what is shown to an approver, and what the digest is over."""
        return {
            "service": self.service,
            "incident": self.incident,
            "attempt": self.attempt,
            "target": self.target,
            "target_id": self.target_id,
            "target_digest": self.target_digest,
            "instance": self.instance,
            "action": dict(to_data(self.action)),
            "undo": dict(to_data(self.undo)) if self.undo else None,
            "irreversible": self.irreversible,
            "verify_for_s": self.verify_for_s,
            "deviations": list(self.deviations),
            "policy_digest": self.policy_digest,
        }

    @property
    def digest(self) -> str:
        """SHA-256 over the plan as canonical JSON."""
        return digest(self.data)


@dataclass(frozen=True, kw_only=True, slots=True)
class Proposal:
    """One action for one target, its undo, and where it comes from; `undo_at_end` as the runbook says."""

    action: Action
    undo: Action | Irreversible
    runbook: str
    cause: Cause
    evidence: tuple[str, ...]
    undo_at_end: bool
    why: str
    runbook_digest: str = ""
    """Of the runbook as it was then; empty in records of before runbooks were pinned."""

    @property
    def pin(self) -> str:
        """The runbook as it is cited."""
        return pinned(self.runbook, self.runbook_digest)


@dataclass(frozen=True, kw_only=True, slots=True)
class NoRemedy:
    """Nothing can be proposed: each remedy that was looked at with the reason it fell out, and what to ask a person."""

    reasons: tuple[str, ...]
    ask: str


def propose(
    service: HealthyService,
    diagnoses: Sequence[Diagnosis],
    matches: Sequence[Match],
    evidence: Sequence[Evidence],
    sight: Sight,
    tried: Sequence[Action],
) -> Proposal | NoRemedy:
    """The first remedy of the best runbook that fits, or why there is none.

    `tried` holds the actions that already were ineffective in this incident; they are not repeated.
    """
    leading = diagnoses[0]
    if leading.cause is Cause.UNKNOWN:
        return NoRemedy(reasons=("the cause is unknown, and unknown is never a reason to act",), ask="find the cause")
    if not matches:
        return NoRemedy(reasons=(f"no runbook treats {leading.cause} with this evidence",), ask="decide what to do")
    if not isinstance(sight, RuntimeFacts):
        unseen = "the target does not exist" if isinstance(sight, Absent) else "the target cannot be seen"
        return NoRemedy(reasons=(unseen,), ask=_ask(matches[0], evidence))
    reasons: list[str] = []
    for match in matches:
        for remedy in match.runbook.head.remedies:
            bound = _excluded(remedy, evidence) or _bind(remedy, service, evidence, tried)
            reason = bound if isinstance(bound, str) else _unfit(bound, sight, evidence, leading, match, tried)
            if isinstance(bound, str) or reason:
                reasons.append(f"{match.runbook.head.id}: {remedy}: {reason}")
                continue
            undo = undo_of(bound, service.spec.remediation.actions)
            return _proposal(bound, undo, remedy, match, leading)
    return NoRemedy(
        reasons=tuple(reasons) or (f"runbook {matches[0].runbook.head.id} has no remedy that a machine may try",),
        ask=_ask(matches[0], evidence),
    )


def _ask(match: Match, evidence: Sequence[Evidence]) -> str:
    """What a person is asked, with the values of the facts that the runbook names in braces."""
    ask = match.runbook.head.ask
    for key in FILLED_IN:
        named = ", ".join(str(item.value) for item in evidence if item.key == key)
        ask = ask.replace(f"{{{key}}}", named or "unknown")
    return ask


def _proposal(
    action: Action, undo: Action | Irreversible, remedy: Remedy, match: Match, leading: Diagnosis
) -> Proposal:
    return Proposal(
        action=action,
        undo=undo,
        runbook=match.runbook.head.id,
        cause=leading.cause,
        evidence=tuple(dict.fromkeys((*leading.evidence, *match.evidence))),
        undo_at_end=remedy.undo == "at-end",
        why=f"{match.runbook.head.title}: {leading.summary}",
        runbook_digest=match.runbook.digest,
    )


def _excluded(remedy: Remedy, evidence: Sequence[Evidence]) -> str:
    exclusion = excluded(remedy.not_when, evidence)
    return f"the runbook excludes it: {exclusion}" if exclusion else ""


def _bind(
    remedy: Remedy, service: HealthyService, evidence: Sequence[Evidence], tried: Sequence[Action]
) -> Action | str:
    """The remedy as an action with its parameters from the service's declaration, or why it cannot be."""
    declared: Actions = service.spec.remediation.actions
    match remedy.action:
        case "start":
            return Start() if declared.start else "the service does not declare it"
        case "restart":
            allowed = declared.restart
            return Restart(grace_s=allowed.grace_period_seconds) if allowed else "the service does not declare it"
        case "removeFile":
            if declared.remove_file is None:
                return "the service does not declare it"
            present = [item.value for item in evidence if item.key == "file.present" and item.source is Source.RUNTIME]
            files = [RemoveFile(path=path) for path in declared.remove_file.paths if path in present]
            untried = [file for file in files if file not in tried]
            if untried:
                return untried[0]
            return files[0] if files else "none of the declared files exists"
        case "unpause":
            return Unpause() if declared.unpause else "the service does not declare it"
        case "connectNetwork":
            return _connection(service, evidence, tried)
        case "runCommand":
            return declared_command(declared, remedy.command or "") or "the service declares no command of this name"


def _connection(service: HealthyService, evidence: Sequence[Evidence], tried: Sequence[Action]) -> Action | str:
    if service.spec.remediation.actions.connect_network is None:
        return "the service does not declare it"
    gone = [item.value for item in evidence if item.key == "network.detached" and item.source is Source.RUNTIME]
    found = [
        ConnectNetwork(network=network.name, aliases=tuple(network.aliases))
        for network in service.spec.desired.networks
        if network.name in gone
    ]
    untried = [connection for connection in found if connection not in tried]
    if untried:
        return untried[0]
    return found[0] if found else "it is attached to every declared network"


def _unfit(
    action: Action,
    sight: RuntimeFacts,
    evidence: Sequence[Evidence],
    leading: Diagnosis,
    match: Match,
    tried: Sequence[Action],
) -> str | None:
    if action in tried:
        return "it was already tried in this incident and did not help"
    cited = {*leading.evidence, *match.evidence}
    if not cited <= {item.id for item in evidence}:
        return "the diagnosis cites evidence that does not exist"
    sources = {item.source for item in evidence if item.id in cited}
    if is_destructive(action) and not sources & {Source.RUNTIME}:
        return "it destroys something, and no runtime fact supports it"
    return obstacle(action, sight)
