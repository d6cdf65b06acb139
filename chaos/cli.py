"""The words: `break [FAULT] [SERVICE]`, `fix [SERVICE]`, `status [SERVICE]`, `list`; and `help`, `quit`.

Exit codes: 0 done, 1 could not (with the reason), 2 not a command.
"""

import argparse
import dataclasses
import shlex
import sys
from collections.abc import Sequence
from typing import NoReturn

from chaos import record
from chaos.errors import CannotError
from chaos.faults import FAULTS
from chaos.targets import GRACE_DEFAULT_S, Wish, choose

PROMPT = "chaos> "
SERVICE_DEFAULT = "victim"
DONE, COULD_NOT, USAGE = 0, 1, 2
LEAVE = frozenset({"quit", "exit"})


class _UsageError(Exception):
    """The words make no command."""


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise _UsageError(f"{message}\n{self.format_usage().rstrip()}")


def main(words: Sequence[str]) -> int:
    """Carry out one command, or open the prompt when there is none."""
    parser = _parser()
    try:
        asked = parser.parse_args(words)
    except _UsageError as problem:
        print(f"chaos: {problem}", file=sys.stderr)
        return USAGE
    except SystemExit:  # argparse has printed its help
        return DONE
    wish = Wish(docker=asked.docker, pidfile=asked.pidfile, manifest=asked.manifest, grace_s=asked.grace)
    return _carry_out(asked, wish) if asked.word else _converse(parser, wish)


def _converse(parser: _Parser, wish: Wish) -> int:
    """The prompt, until `quit` or the end of the input."""
    print("Breaks a service from outside, and puts it right again. `help` shows the words, `quit` leaves.")
    while True:
        try:
            line = input(PROMPT)
        except (EOFError, KeyboardInterrupt):
            print()
            return DONE
        if line.strip() in LEAVE:
            return DONE
        _answer(parser, line, wish)


def _answer(parser: _Parser, line: str, wish: Wish) -> None:
    try:
        words = shlex.split(line, comments=True)
        if words in (["help"], ["?"]):
            print(__doc__.split("\n\n")[0])
            _list()
        elif words:
            asked = parser.parse_args(words)
            _carry_out(asked, _merged(wish, asked))
    except SystemExit:  # argparse has printed its help
        return
    except (ValueError, _UsageError) as problem:
        print(f"chaos: {problem}", file=sys.stderr)


def _merged(wish: Wish, asked: argparse.Namespace) -> Wish:
    """What was said when the prompt was opened holds until a line says otherwise."""
    if asked.docker or asked.pidfile:
        wish = dataclasses.replace(wish, docker=asked.docker, pidfile=asked.pidfile)
    if asked.manifest:
        wish = dataclasses.replace(wish, manifest=asked.manifest)
    return wish if asked.grace == GRACE_DEFAULT_S else dataclasses.replace(wish, grace_s=asked.grace)


def _carry_out(asked: argparse.Namespace, wish: Wish) -> int:
    try:
        match asked.word:
            case "break":
                _break(asked.fault, asked.service, wish)
            case "fix":
                _fix(asked.service, wish)
            case "status":
                _status(asked.service, wish)
            case _:
                _list()
    except CannotError as problem:
        print(f"chaos: {problem}", file=sys.stderr)
        return COULD_NOT
    return DONE


def _break(name: str, service: str, wish: Wish) -> None:
    fault, target = FAULTS[name], choose(service, wish, gone_too=False)
    if name != "none":
        record.write(target.record(name))
    print(f"{name}: {fault.inflict(target)}")
    print(f"  see:  {fault.see}")
    print(f"  undo: `fix {service}`: {fault.undo}")


def _fix(service: str, wish: Wish) -> None:
    target = choose(service, wish, gone_too=True)
    for line in target.restore() or ["nothing to undo"]:
        print(f"{target.title}: {line}")
    if (remembered := record.read(service)) is not None and target.is_in(remembered):
        record.forget(service)


def _status(service: str, wish: Wish) -> None:
    target = choose(service, wish, gone_too=True)
    remembered = record.read(service)
    facts = [("target", target.title), ("last fault", remembered.fault if remembered else "none that is not fixed")]
    for name, value in [*facts, *target.look()]:
        print(f"{name + ':':<15}{value}")


def _list() -> None:
    for fault in FAULTS.values():
        print(f"{fault.name}\n  does: {fault.does}\n  see:  {fault.see}\n  undo: {fault.undo}")


def _parser() -> _Parser:
    parser = _Parser(prog="chaos", description="Break a service, and put it right again.", allow_abbrev=False)
    where = parser.add_mutually_exclusive_group()
    where.add_argument("--docker", action="store_true", help="the service is a container")
    where.add_argument("--pidfile", metavar="PATH", help="the service is the process of this pidfile (CHAOS_PIDFILE)")
    parser.add_argument("--manifest", metavar="FILE", help="read the target from this manifest (CHAOS_MANIFEST)")
    parser.add_argument(
        "--grace",
        type=float,
        default=GRACE_DEFAULT_S,
        metavar="SECONDS",
        help="how long `fix` waits for somebody else to bring a process back (default %(default)s)",
    )
    words = parser.add_subparsers(dest="word", metavar="break|fix|status|list")
    break_ = words.add_parser("break", help="set a fault")
    break_.add_argument(
        "fault", nargs="?", default="flag", choices=list(FAULTS), metavar="FAULT", help=" ".join(FAULTS)
    )
    _add_service(break_)
    _add_service(words.add_parser("fix", help="restore whatever is broken"))
    _add_service(words.add_parser("status", help="how the service is"))
    words.add_parser("list", help="the faults: what each does, how to see it, how it is undone")
    return parser


def _add_service(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("service", nargs="?", default=SERVICE_DEFAULT, metavar="SERVICE", help="default %(default)s")
