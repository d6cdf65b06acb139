"""The three roles as `make stack-up` and `make stack-demo` bring them up: what they are told of each other before the
first start, and what is asked of them from outside."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from pitcrew.core.record import Record, parse
from tools.demo_world import say

ROLES = ("mechanic", "official", "driver")
SIGNING = ("official", "mechanic")
"""Who has a key. Each gets the public half of the other's."""
PEEK = """
import socket, sys
for path in sys.argv[1:]:
    with socket.socket(socket.AF_UNIX) as one:
        try:
            one.settimeout(5)
            one.connect(path)
            one.sendall(b"GET /version HTTP/1.0\\r\\nHost: docker\\r\\n\\r\\n")
            print(path, "answers" if b" 200 " in one.recv(4096) else "refuses")
        except OSError as error:
            print(path, error.strerror)
"""
"""Run as a role: what becomes of its trying to ask the engine at each of the paths."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Fact:
    """One thing that is so, or not, and how it was seen."""

    good: bool
    text: str


class Crew(Protocol):
    """The three roles on this machine."""

    @property
    def kind(self) -> str:
        """What they are, for people."""

    def home(self, role: str) -> str:
        """The state directory of a role as itself sees it."""

    def as_role(self, role: str, *argv: str, stdin: str = "") -> str:
        """Run a command as a role, with its state directory, whether or not anything runs yet; what it prints."""

    def beside(self, *argv: str) -> str:
        """Run a command as an auditor, who reads the directories of all three and writes none; what it prints."""

    def make(self, manifest: str) -> None:
        """Make what each keeps, keys and tokens included, and the manifest that all read; nothing runs yet."""

    def start(self) -> None:
        """Start all three and wait until they answer."""

    def down(self) -> None:
        """End all three and forget everything."""

    def told(self) -> str:
        """The last lines of the logs of all three."""

    def powers(self) -> Iterable[Fact]:
        """Who can reach what, looked at from outside of PitCrew."""


def introduce(crew: Crew) -> None:
    """Make a key for each that signs and a token for the Driver at each that asks for one, and hand them over.

    Private keys never leave their role, nor do tokens leave the Driver: those who ask keep hashes.
    """
    for role in SIGNING:
        crew.as_role(role, "pitcrew", "keys", "init", "--role", role, "--state", crew.home(role))
        shown = crew.as_role(role, "pitcrew", "keys", "show", "--role", role, "--state", crew.home(role))
        other = next(one for one in SIGNING if one != role)
        keep(crew, other, f"{role}.pub", shown)
        file = f"{crew.home(role)}/tokens.json"
        token = crew.as_role(role, "pitcrew", "tokens", "add", "driver", "--role", "driver", "--file", file)
        keep(crew, "driver", f"{role}-token", token)
    keep(crew, "official", "allowed_signers", "")
    say("Stack", "each that signs has a key of its own, and the Driver a token for each")


def keep(crew: Crew, role: str, name: str, text: str) -> None:
    """Put a file into the state directory of a role, readable for it alone."""
    crew.as_role(role, "sh", "-c", 'umask 077 && cat >"$1"', "sh", f"{crew.home(role)}/{name}", stdin=text)


def journal(crew: Crew) -> list[Record]:
    """Every whole record of the Driver's journal."""
    text = crew.as_role("driver", "sh", "-c", 'cat "$1"/journal/*.jsonl 2>/dev/null || true', "sh", crew.home("driver"))
    return [parse(line.encode()) for line in text.split("\n")[:-1]]


def spoken_of(crew: Crew, serial: str) -> Sequence[str]:
    """The roles in whose records a permit stands, by its serial number."""
    look = 'grep -rlF --include="*.jsonl" -e "$1" "$2" || true'
    return [role for role in ROLES if crew.as_role(role, "sh", "-c", look, "sh", serial, crew.home(role))]
