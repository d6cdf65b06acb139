"""Telling a running operator something, through its control socket; with the operator down nothing is changed."""

import json
import os
import socket
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import typer

from pitcrew.core.errors import InvalidInput, Refused, Unavailable
from pitcrew.core.order import REASON_BYTES_MAX
from pitcrew.core.record import Json
from pitcrew.core.untrusted import clean
from pitcrew.entrypoints.cli.output import Output, mapping, say, say_data, shown
from pitcrew.entrypoints.cli.signing import signed

SOCKET = "control.sock"
ANSWER_S = 15.0
ANSWER_BYTES_MAX = 1 << 20


def ask(state: Path, request: Mapping[str, Json]) -> Json:
    """The operator's answer.

    Raises:
        Unavailable: no operator answers; nothing was changed.
        Refused: it says no, and why.
    """
    answer = mapping(_talked(state, json.dumps(request).encode() + b"\n"))
    if "error" in answer:
        raise Refused(str(answer["error"]))
    return answer.get("ok")


def _talked(state: Path, line: bytes) -> Json:
    place = state / "run" / SOCKET
    try:
        directory = os.open(state / "run", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC | os.O_PATH)
    except OSError as error:
        raise Unavailable(_away(place, error)) from None
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as talk:
            talk.settimeout(ANSWER_S)
            talk.connect(f"/proc/self/fd/{directory}/{SOCKET}")
            talk.sendall(line)
            with talk.makefile("rb") as answers:
                return _read(answers.readline(ANSWER_BYTES_MAX), place)
    except OSError as error:
        raise Unavailable(_away(place, error)) from None
    finally:
        os.close(directory)


def _read(answer: bytes, place: Path) -> Json:
    try:
        found: Json = json.loads(answer)
    except ValueError:
        raise Unavailable(f"{place}: the operator ended the talk without an answer; see `pitcrew get`") from None
    return found


def _away(place: Path, error: OSError) -> str:
    return (
        f"no operator answers at {place} ({error.strerror or error}); nothing was changed: start it with `pitcrew run`"
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class Pen:
    """Whether a decision is signed, and with which key; None is the usual one of `~/.ssh`."""

    sign: bool = False
    key: Path | None = None


class Desk(Protocol):
    """Where people are asked, and say what they decide."""

    def question(self, name: str) -> Mapping[str, Json]:
        """What is asked. Raises Refused or Unavailable."""
        ...

    def decide(self, plan: str, decision: str, reason: str, signature: str) -> str:
        """What was taken, for people. Raises Refused or Unavailable."""
        ...


@dataclass(kw_only=True, slots=True)
class OperatorAt:
    """The operator of a state directory on this machine, which knows who asks by itself."""

    state: Path
    _incident: str = ""

    def question(self, name: str) -> Mapping[str, Json]:
        """What an incident asks. Raises as `ask` does."""
        self._incident = name
        return mapping(ask(self.state, {"do": "question", "incident": name}))

    def decide(self, plan: str, decision: str, reason: str, signature: str) -> str:
        """Decide on the plan of the incident that was asked about. Raises as `ask` does."""
        request: dict[str, Json] = {"do": "decide", "incident": self._incident, "plan": plan, "decision": decision}
        return str(ask(self.state, {**request, "reason": reason, **({"signed": signature} if signature else {})}))


def question(desk: Desk, name: str, output: Output) -> None:
    """Show what is asked. Raises Unavailable or Refused as the desk does."""
    _show(desk.question(name), output)


def decide(
    desk: Desk, incident: str, decision: str, reason: str, plan: str | None, pen: Pen, *, yes: bool, output: Output
) -> None:
    """Show the plan that an incident asks about, and decide on exactly that one.

    Raises Unavailable or Refused as the desk does, InvalidInput where `plan` is not what is asked.
    """
    found = desk.question(incident)
    _show(found, output)
    digest = str(found["digest"])
    if plan is not None and (len(plan) < 8 or not digest.startswith(plan)):
        raise InvalidInput(f"the plan that is asked about is {digest}, not {plan}")
    if plan is None and not yes and sys.stdin.isatty() and not typer.confirm(f"{decision} this plan?"):
        say("nothing was decided")
        raise typer.Exit(1)
    reason = clean(reason, REASON_BYTES_MAX)
    signature = signed(found, decision, reason, pen.key) if pen.sign or pen.key else ""
    say(shown(desk.decide(digest, decision, reason, signature)), error=output.for_tools)


def _show(question: Mapping[str, Json], output: Output) -> None:
    if output.for_tools:
        say_data(question, output)
        return
    risk = mapping(question["risk"])
    say(f"{shown(question['incident'])} of {shown(question['service'])} asks: {shown(question['does'])}")
    for title, name in (("why", "why"), ("undo", "undo"), ("asked", "asked"), ("expires", "expiresAt")):
        say(f"  {title:<8} {shown(question[name])}")
    say(f"  {'risk':<8} {shown(risk['level'])}, {shown(risk['score'])} of 100")
    for factor in _lines(risk["factors"]):
        say(f"           {shown(factor)}")
    say("  rules")
    for rule in _lines(question["rules"]):
        say(f"           {shown(rule)}")
    if question["decided"]:
        say(f"  decided  {shown(question['decided'])}")
    say(f"  plan     {shown(question['digest'])}")
    for name, value in mapping(question["plan"]).items():
        say(f"           {shown(name)}: {shown(json.dumps(value, ensure_ascii=True))}")


def _lines(value: Json) -> list[Json]:
    return list(value) if isinstance(value, list) else []


def order(state: Path, request: Mapping[str, Json]) -> None:
    """Give an order and print what holds now. Raises as `ask` does."""
    say(shown(ask(state, request)))


def seconds(text: str | None) -> int | None:
    """A duration such as `90s`, `10m` or `1h` in seconds. Raises InvalidInput where it is none."""
    if text is None:
        return None
    unit = {"s": 1, "m": 60, "h": 3600, "d": 86_400}.get(text[-1:])
    if unit is None or not text[:-1].isdecimal():
        raise InvalidInput(f"{text!r} is no duration; write 90s, 10m, 8h or 2d")
    return int(text[:-1]) * unit
