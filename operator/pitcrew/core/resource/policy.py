"""Policy as a service declares it: when PitCrew acts by itself, asks, or stays still."""

from enum import StrEnum
from typing import Annotated

from pydantic import Field, StringConstraints, model_validator

from pitcrew.core.resource.base import DnsName, Duration, Ladder, Model


class Mode(StrEnum):
    """What PitCrew may do with what it decides."""

    ENFORCE = "Enforce"
    SHADOW = "Shadow"
    OBSERVE = "Observe"


class RuleEffect(StrEnum):
    """What a rule of a service may ask for; rules never allow."""

    REQUIRE_APPROVAL = "RequireApproval"
    HOLD = "Hold"
    DENY = "Deny"


class Budget(Model):
    """How many actions a window may see."""

    actions: Annotated[int, Field(strict=True, ge=0, le=100)] = 10
    """Actions at most in one window; default 10."""
    window: Annotated[Duration, Field(ge=60, le=7 * 86400, validate_default=False)] = 3600
    """Length of the sliding window; default 1h."""


class Rule(Model):
    """A guard of the service in CEL; it can only tighten."""

    name: DnsName
    """Name of the rule, as verdicts show it."""
    expression: Annotated[str, StringConstraints(min_length=1, max_length=1024)]
    """CEL over service, incident, diagnosis, action, risk, history and now; must give true or false."""
    effect: RuleEffect
    """What follows when the expression is true."""
    message: Annotated[str, StringConstraints(min_length=1, max_length=256)]
    """Why, for people."""


UserName = Annotated[str, StringConstraints(pattern=r"^[a-zA-Z0-9_][a-zA-Z0-9_.@-]{0,63}$")]


class Approvers(Model):
    """Who may decide on a plan of this service."""

    users: Annotated[list[UserName], Field(max_length=64)] = Field(default_factory=list)
    """Names of users of the machine PitCrew runs on."""
    groups: Annotated[list[UserName], Field(max_length=64)] = Field(default_factory=list)
    """Names of groups of that machine; each of their members may decide."""


class Policy(Model):
    """When PitCrew acts by itself, asks, or stays still."""

    mode: Mode = Mode.ENFORCE
    """Enforce acts, Shadow decides and records but never acts, Observe only watches; default Enforce."""
    auto_up_to: Ladder = "Low"
    """Highest risk that is acted on without a person; default Low."""
    approve_up_to: Ladder = "High"
    """Highest risk that a person may approve; above it nothing is done; default High."""
    approvers: Approvers = Field(default_factory=Approvers)
    """Who may approve or deny; nobody listed means that nobody can, and such a plan expires."""
    approve_within: Annotated[Duration, Field(ge=1, le=7 * 86400, validate_default=False)] = 3600
    """How long a request for approval stays open and an approval can be used; then it is a denial; default 1h."""
    budget: Budget = Field(default_factory=Budget)
    """Actions per window for this target."""
    cooldown: Annotated[Duration, Field(ge=0, le=86400, validate_default=False)] = 0
    """Time between the end of one incident's last action and the first action of another; default 0s."""
    rules: Annotated[list[Rule], Field(max_length=32)] = Field(default_factory=list)
    """Named guards in CEL; all are evaluated, the strictest wins."""

    @model_validator(mode="after")
    def _names_are_unique(self) -> "Policy":
        names = [rule.name for rule in self.rules]
        if len(set(names)) != len(names):
            raise ValueError("each rule needs a name of its own")
        return self
