"""The catalogue of actions: a closed union. What is not here cannot be done to a target.

Each action names, beside itself, what it needs of the target, how it is undone or why not, and how it weighs.
A model cannot name any of this; only runbooks, written by people, and `proposal` join causes to actions.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Annotated, Literal, assert_never

from pydantic import Field, TypeAdapter

from pitcrew.core.observation import RuntimeFacts, RuntimeState
from pitcrew.core.resource import Actions
from pitcrew.core.untrusted import clean, redact


@dataclass(frozen=True, kw_only=True, slots=True)
class Start:
    """Start a target that does not run."""

    name: Literal["start"] = "start"


@dataclass(frozen=True, kw_only=True, slots=True)
class Restart:
    """Stop politely, kill after `grace_s` seconds, start again."""

    name: Literal["restart"] = "restart"
    grace_s: int


@dataclass(frozen=True, kw_only=True, slots=True)
class RemoveFile:
    """Remove one declared regular file inside the target; its bytes, owner and mode are kept for the undo."""

    name: Literal["removeFile"] = "removeFile"
    path: str


@dataclass(frozen=True, kw_only=True, slots=True)
class RestoreFile:
    """Put back a file that `removeFile` took away; only ever an undo."""

    name: Literal["restoreFile"] = "restoreFile"
    path: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Unpause:
    """Let a paused target run on."""

    name: Literal["unpause"] = "unpause"


@dataclass(frozen=True, kw_only=True, slots=True)
class ConnectNetwork:
    """Attach a running target to a declared network, under its declared aliases; nothing is restarted."""

    name: Literal["connectNetwork"] = "connectNetwork"
    network: str
    aliases: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class DisconnectNetwork:
    """Detach what `connectNetwork` attached; only ever an undo."""

    name: Literal["disconnectNetwork"] = "disconnectNetwork"
    network: str


@dataclass(frozen=True, kw_only=True, slots=True)
class RunCommand:
    """Run a declared command, an argument list without a shell, and end it after `timeout_s` seconds."""

    name: Literal["runCommand"] = "runCommand"
    command: str
    argv: tuple[str, ...]
    timeout_s: int


Action = Start | Restart | RemoveFile | RestoreFile | Unpause | ConnectNetwork | DisconnectNetwork | RunCommand

_CATALOGUE: TypeAdapter[Action] = TypeAdapter(Annotated[Action, Field(discriminator="name")])


class Seen(StrEnum):
    """What a look at the live target says about an effect whose answer was lost."""

    UNKNOWN = "Unknown"
    NOT_DONE = "NotDone"
    DONE = "Done"


@dataclass(frozen=True, kw_only=True, slots=True)
class Irreversible:
    """There is nothing to undo, and why."""

    reason: str


def declared_command(declared: Actions, name: str) -> RunCommand | None:
    """A command as it is declared now, or None."""
    commands = declared.run_command.commands if declared.run_command else []
    return next(
        (
            RunCommand(command=one.name, argv=tuple(one.argv), timeout_s=one.timeout_seconds)
            for one in commands
            if one.name == name
        ),
        None,
    )


def undo_of(action: Action, declared: Actions) -> Action | Irreversible:
    """The action that takes another one back, or the reason why there is none; of a command only its owner knows it."""
    match action:
        case Start():
            return Irreversible(reason="a start changes nothing but that the target runs")
        case Restart():
            return Irreversible(
                reason="the run that ended cannot be brought back; disk and configuration are as before"
            )
        case RemoveFile(path=path):
            return RestoreFile(path=path)
        case Unpause():
            return Irreversible(reason="what was frozen runs on; pausing it anew would bring the deviation back")
        case ConnectNetwork(network=network):
            return DisconnectNetwork(network=network)
        case RunCommand(command=command):
            return _declared_undo(declared, command)
        case RestoreFile() | DisconnectNetwork():
            return Irreversible(reason="it is itself an undo")
        case _:
            assert_never(action)


def _declared_undo(declared: Actions, command: str) -> RunCommand | Irreversible:
    commands = declared.run_command.commands if declared.run_command else []
    undo = next((one.undo for one in commands if one.name == command), None)
    found = declared_command(declared, undo) if undo else None
    return found or Irreversible(reason=f"the service declares no command that takes {command} back")


def failure_of(action: RunCommand, exit_code: int | None, output: str) -> str:
    """Why a command that ended counts as failed, with the beginning of what it said, bounded and redacted; empty where
    it does not. `exit_code` is None where it was ended at its timeout."""
    if exit_code == 0:
        return ""
    how = f"was not done after {action.timeout_s} s and was ended" if exit_code is None else f"ended with {exit_code}"
    said = clean(output, _SAID_BYTES_MAX).strip()
    return f"{action.command} {how}" + (f"; it said: {said}" if said else "")


_SAID_BYTES_MAX = 256


def is_destructive(action: Action) -> bool:
    """Whether something that was there is gone afterwards (S7 asks for a second, independent source); of a command
    nobody but its owner knows."""
    return isinstance(action, Restart | RemoveFile | RunCommand)


def is_all_or_nothing(action: Action) -> bool:
    """Whether a target that answers "failed" is as it was; a command that failed may have done half of its work."""
    return not isinstance(action, RunCommand)


def takes_s(action: Action) -> int:
    """Seconds that an effect may take by its own parameters, on top of what any effect may take."""
    match action:
        case Restart(grace_s=grace_s):
            return grace_s
        case RunCommand(timeout_s=timeout_s):
            return timeout_s
        case _:
            return 0


def obstacle(action: Action, facts: RuntimeFacts) -> str | None:
    """Why an action cannot be carried out on a target as it is now, or None."""
    match action:
        case Start():
            if facts.state in (RuntimeState.RUNNING, RuntimeState.PAUSED, RuntimeState.RESTARTING):
                return f"start needs a target that does not run, this one is {facts.state}"
        case Restart():
            if facts.state not in (RuntimeState.RUNNING, RuntimeState.EXITED):
                return f"restart needs a running or exited target, this one is {facts.state}"
        case RemoveFile() | RestoreFile():
            if facts.state is not RuntimeState.RUNNING:
                return f"{action.name} needs a running target that is not paused, this one is {facts.state}"
        case Unpause():
            if facts.state is not RuntimeState.PAUSED:
                return f"unpause needs a paused target, this one is {facts.state}"
        case ConnectNetwork() | DisconnectNetwork():
            if facts.state is not RuntimeState.RUNNING:
                return f"{action.name} needs a running target, this one is {facts.state}"
        case RunCommand():
            if facts.state is not RuntimeState.RUNNING:
                return f"runCommand needs a running target that is not paused, this one is {facts.state}"
        case _:
            assert_never(action)
    return None


def to_data(action: Action) -> dict[str, str | int | list[str]]:
    """The action as JSON data: its name and its parameters."""
    return {key: list(value) if isinstance(value, tuple) else value for key, value in asdict(action).items()}


def from_data(data: Mapping[str, object]) -> Action:
    """The action that `to_data` wrote.

    Raises:
        ValueError: the name is not in the catalogue, or the parameters are not exactly its own.
    """
    action = _CATALOGUE.validate_python(dict(data))
    if to_data(action) != dict(data):
        raise ValueError(f"{action.name}: parameters are not exactly its own: {sorted(data)}")
    return action


def describe(action: Action) -> str:
    """The action in a few words for people."""
    match action:
        case Start():
            return "start the target"
        case Restart(grace_s=grace_s):
            return f"restart the target (grace {grace_s} s)"
        case RemoveFile(path=path):
            return f"remove {path}"
        case RestoreFile(path=path):
            return f"put {path} back"
        case Unpause():
            return "unpause the target"
        case ConnectNetwork(network=network, aliases=aliases):
            return f"attach the target to network {network}" + (f" as {', '.join(aliases)}" if aliases else "")
        case DisconnectNetwork(network=network):
            return f"detach the target from network {network}"
        case RunCommand(command=command, argv=argv, timeout_s=timeout_s):
            return f"run {command} ({redact(' '.join(map(_word, argv)))}; at most {timeout_s} s)"
        case _:
            assert_never(action)


_PLAIN_WORD = re.compile(r"[A-Za-z0-9%+,./:=@_-]+")


def _word(word: str) -> str:
    """An argument as people read it: where one begins and ends, and what is in it, is never in doubt."""
    if _PLAIN_WORD.fullmatch(word):
        return word
    quoted = json.dumps(word, ensure_ascii=False)
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in quoted)


@dataclass(frozen=True, kw_only=True, slots=True)
class Trace:
    """What an effect is recognised by afterwards; part of the durable intent.

    `op` is unique for one permit; `instance` is the run of the target right before the effect; `notes` holds what the
    actuator needs to read the outcome off the target later (no secrets, no file contents).
    """

    op: str
    target_id: str
    instance: str
    notes: Mapping[str, str]
