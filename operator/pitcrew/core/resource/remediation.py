"""Remediation: what PitCrew may do to a service, how often, and how long it is watched."""

from typing import Annotated

from pydantic import Field, field_validator, model_validator

from pitcrew.core.resource.base import Argument, DnsName, Duration, FilePath, Model

ARGV_CHARS_MAX = 4096
"""All arguments of a command together: it is shown whole to whoever decides, and recorded with each plan."""


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


class Command(Model):
    """A command inside the target that its owner wrote; runbooks choose it by its name and cannot add to it."""

    name: DnsName
    """Name of the command, unique in the service; a runbook says `{action: runCommand, command: NAME}`."""
    argv: Annotated[list[Argument], Field(min_length=1, max_length=64)]
    """The argument list, at most 4096 characters in all; no shell is involved. It is shown and recorded as it is, so
    that secrets do not belong in it."""
    timeout_seconds: Annotated[int, Field(strict=True, ge=1, le=300)] = 30
    """Seconds until it is ended, which counts as failed; default 30."""
    undo: DnsName | None = None
    """Name of another declared command that takes it back; default: it cannot be taken back."""

    @field_validator("argv")
    @classmethod
    def _argv_can_be_shown(cls, argv: list[str]) -> list[str]:
        if (count := sum(map(len, argv))) > ARGV_CHARS_MAX:
            raise ValueError(f"has {count} characters in all; allowed: at most {ARGV_CHARS_MAX}; put it in a script")
        return argv


class RunCommandAction(Model):
    """Permission to run declared commands; nobody but their owner knows what they do, so they are never a Low risk."""

    commands: Annotated[list[Command], Field(min_length=1, max_length=32)]
    """The commands that may be run."""

    @model_validator(mode="after")
    def _undos_lead_to_an_end(self) -> "RunCommandAction":
        undo_by_name = {one.name: one.undo for one in self.commands}
        if len(undo_by_name) != len(self.commands):
            raise ValueError("each command needs a name of its own")
        for name, undo in undo_by_name.items():
            if undo is not None and undo not in undo_by_name:
                raise ValueError(f"undo of {name}: no command is named {undo}; declared: {', '.join(undo_by_name)}")
            if _comes_back(name, undo_by_name):
                raise ValueError(f"undo of {name}: leads back to {name}; an undo is another command, and no circle")
        return self


def _comes_back(name: str, undo_by_name: dict[str, str | None]) -> bool:
    """Whether the chain of undos that begins at a command reaches it again."""
    met: set[str] = set()
    undo = undo_by_name[name]
    while undo is not None and undo not in met:
        met.add(undo)
        undo = undo_by_name.get(undo)
    return name in met


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
    run_command: RunCommandAction | None = None
    """Run declared commands inside the target."""


class Remediation(Model):
    """What may be done, how often, and how long it is watched."""

    actions: Actions = Field(default_factory=Actions)
    """Actions that PitCrew may use, by name; default none: observe only."""
    attempts: Annotated[int, Field(strict=True, ge=1, le=10)] = 3
    """Remedies tried in one incident before it is escalated to a person; default 3."""
    verify_for: Annotated[Duration, Field(ge=1, le=3600, validate_default=False)] = 10
    """How long the deviation must stay away before a remedy counts as effective, such as `10s`; default 10s."""
