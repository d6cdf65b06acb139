"""Remediation: what PitCrew may do to a service, how often, and how long it is watched."""

from typing import Annotated

from pydantic import Field

from pitcrew.core.resource.base import Duration, FilePath, Model


class StartAction(Model):
    """Permission to start the target when it is not running."""


class RestartAction(Model):
    """Permission to restart the target."""

    grace_period_seconds: Annotated[int, Field(strict=True, ge=0, le=300)] = 10
    """Seconds between the polite signal and the kill; default 10."""


class RemoveFileAction(Model):
    """Permission to remove files, by exact path."""

    paths: Annotated[list[FilePath], Field(min_length=1, max_length=32)]
    """Absolute paths of regular files inside the target; for a process inside its working directory, and a
    relative path starts there."""


class UnpauseAction(Model):
    """Permission to let a paused container run on; a person paused it, so it is never a Low risk."""


class ConnectNetworkAction(Model):
    """Permission to attach the container to the networks of `spec.desired.networks`, with their aliases."""


class Actions(Model):
    """What PitCrew may do to this service, by name; nothing named means observe only."""

    start: StartAction | None = None
    """Start the target when it died."""
    restart: RestartAction | None = None
    """Restart the target."""
    remove_file: RemoveFileAction | None = None
    """Remove declared files."""
    unpause: UnpauseAction | None = None
    """Let a paused container run on."""
    connect_network: ConnectNetworkAction | None = None
    """Attach the container to a declared network again, live."""


class Remediation(Model):
    """What may be done, how often, and how long it is watched."""

    actions: Actions = Field(default_factory=Actions)
    """Actions that PitCrew may use, by name; default none: observe only."""
    attempts: Annotated[int, Field(strict=True, ge=1, le=10)] = 3
    """Remedies tried in one incident before it is escalated to a person; default 3."""
    verify_for: Annotated[Duration, Field(ge=1, le=3600, validate_default=False)] = 10
    """How long the deviation must stay away before a remedy counts as effective, such as `10s`; default 10s."""
