"""What rules in CEL see: what the Official knows itself, over what it was told."""

from collections.abc import Mapping
from datetime import datetime

from pitcrew.core.action import (
    Action,
    ConnectNetwork,
    DisconnectNetwork,
    Irreversible,
    RemoveFile,
    Restart,
    RestoreFile,
    RunCommand,
    Start,
    Unpause,
    declared_command,
    is_destructive,
    to_data,
    undo_of,
)
from pitcrew.core.policy import Case, target_digest
from pitcrew.core.proposal import Plan
from pitcrew.core.resource import HealthyService

TOLD = ("incident", "diagnosis", "risk", "history")


def case_of(service: HealthyService, plan: Plan, case: Case, now: datetime) -> Mapping[str, object]:
    """The variables of an expression: service, incident, diagnosis, action, risk, history and now.

    `service` has name, namespace, labels, criticality, mode, target; `action` has name, its parameters, destructive and
    reversible; `now` is a timestamp. What the case does not tell is an empty map, so that `has()` can ask for it.
    """
    told = {name: case.facts.get(name, {}) for name in TOLD}
    return {**told, "service": _service(service), "action": _action(service, plan.action), "now": now}


def _service(service: HealthyService) -> dict[str, object]:
    return {
        "name": service.metadata.name,
        "namespace": service.metadata.namespace,
        "labels": service.metadata.labels,
        "criticality": str(service.spec.criticality),
        "mode": str(service.spec.policy.mode),
        "target": {"kind": str(service.spec.target.kind), "label": service.spec.target.label},
    }


def _action(service: HealthyService, action: Action) -> dict[str, object]:
    reversible = not isinstance(undo_of(action, service.spec.remediation.actions), Irreversible)
    return {**to_data(action), "destructive": is_destructive(action), "reversible": reversible}


def unfit(service: HealthyService, plan: Plan) -> str | None:
    """Why a plan cannot be one for this service as declared now, or None. The Official does not take it on trust."""
    if plan.service != service.key:
        return f"the plan is for {plan.service}"
    if plan.target_digest != target_digest(service):
        return "the declaration of the target changed since the plan was made"
    undo = undo_of(plan.action, service.spec.remediation.actions)
    if plan.undo != (None if isinstance(undo, Irreversible) else undo):
        return "the plan's undo is not the one of its action"
    return None


def undeclared(service: HealthyService, action: Action) -> str | None:
    """Why an action is none that the service permits, with exactly these parameters, or None."""
    allowed = service.spec.remediation.actions
    match action:
        case Start():
            permitted = allowed.start is not None
        case Restart(grace_s=grace_s):
            permitted = allowed.restart is not None and allowed.restart.grace_period_seconds == grace_s
        case RemoveFile(path=path):
            permitted = allowed.remove_file is not None and path in allowed.remove_file.paths
        case Unpause():
            permitted = allowed.unpause is not None
        case ConnectNetwork(network=network, aliases=aliases):
            desired = {one.name: tuple(one.aliases) for one in service.spec.desired.networks}
            permitted = allowed.connect_network is not None and desired.get(network) == aliases
        case RunCommand(command=command):
            permitted = declared_command(allowed, command) == action
        case RestoreFile() | DisconnectNetwork():
            permitted = False
    return None if permitted else f"the service does not declare {action.name} with these parameters"
