"""The resource `RemediationPolicy`: guardrails of the platform team over many services; they only ever tighten."""

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from pitcrew.core.resource.base import DnsName, Duration, Ladder, Model
from pitcrew.core.resource.diagnosis import DiagnosingCap
from pitcrew.core.resource.policy import Budget, Mode, Rule
from pitcrew.core.resource.remediation import Actions

POLICY_KIND = "RemediationPolicy"


def _is_action(name: str) -> str:
    known = [str(field.alias) for field in Actions.model_fields.values()]
    if name not in known:
        raise ValueError(f"no such action; allowed: {', '.join(known)}")
    return name


ActionName = Annotated[str, AfterValidator(_is_action)]


class Selector(Model):
    """Which services are bound: those with every label, in one of the namespaces; `{}` binds all services.

    A guardrail must not miss a service by an omission, so that the selector is always written down.
    """

    match_labels: Annotated[dict[str, str], Field(max_length=64)] = Field(default_factory=dict)
    """Labels that a service must all have; default: whatever its labels."""
    namespaces: Annotated[list[DnsName], Field(max_length=64)] = Field(default_factory=list)
    """Namespaces that are bound; default: all."""

    def selects(self, namespace: str, labels: Mapping[str, str]) -> bool:
        """Whether a service is bound."""
        inside = not self.namespaces or namespace in self.namespaces
        return inside and all(labels.get(name) == value for name, value in self.match_labels.items())


class PolicyMetadata(Model):
    """The name; a policy is of no namespace."""

    name: DnsName
    """Name of the policy, unique among all; at most 63 characters."""


class Guardrail(Model):
    """What is asked of every service that is selected, beside its own policy; what is absent says nothing."""

    selector: Selector
    """Which services are bound; `{}` binds all of them, and has to be written."""
    mode: Mode | None = None
    """Shadow and Observe keep the services from being acted on; Enforce says nothing; default: says nothing."""
    auto_up_to: Ladder | None = None
    """Above this risk a person is asked, whatever the service says; default: says nothing."""
    approve_up_to: Ladder | None = None
    """Above this risk nothing is done, whatever the service says; default: says nothing."""
    budget: Budget | None = None
    """Actions per window for each target; default: says nothing."""
    cooldown: Annotated[Duration, Field(ge=0, le=86400)] | None = None
    """Time between the end of one incident's last action and the first action of another; default: says nothing."""
    actions: Annotated[list[ActionName], Field(max_length=32)] | None = None
    """The only actions that may be used, by name; an empty list permits none; default: says nothing."""
    diagnosis: DiagnosingCap | None = None
    """The most that these services may ask a model, and send it; default: says nothing."""
    rules: Annotated[list[Rule], Field(max_length=32)] = Field(default_factory=list)
    """Named guards in CEL; all are evaluated, the strictest wins."""

    @model_validator(mode="after")
    def _names_are_unique(self) -> "Guardrail":
        names = [rule.name for rule in self.rules]
        if len(set(names)) != len(names):
            raise ValueError("each rule needs a name of its own")
        return self


class RemediationPolicy(Model):
    """Guardrails over the services that it selects. It allows nothing by itself: each service's own policy decides,
    and of all that speak the strictest wins."""

    api_version: Literal["pitcrew.dev/v1alpha1"]
    """Always `pitcrew.dev/v1alpha1`."""
    kind: Literal["RemediationPolicy"]
    """Always `RemediationPolicy`."""
    metadata: PolicyMetadata
    """The name."""
    spec: Guardrail
    """What is asked, and of which services."""

    @property
    def name(self) -> str:
        """The name of the policy."""
        return self.metadata.name
