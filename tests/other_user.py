"""Another user of this machine, who gives commands: a fork of this process that takes on the user's identity.

Only root can do so; without root the tests that need it say so.
"""

import os
import pwd
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from pitcrew.entrypoints.cli import apply, orders, signing  # a user who cannot read the checkout finds them loaded
from pitcrew.entrypoints.cli.app import app, guarded

LOADED = (apply, orders, signing)
needs_root = pytest.mark.skipif(
    os.geteuid() != 0, reason="needs root, to act as a second user; run the tests as root, as .ci/run does"
)


@dataclass(frozen=True, kw_only=True)
class Done:
    """What a command of the other user gave."""

    returncode: int
    output: str


def pitcrew_as(user: str, *words: str, state: Path) -> Done:
    """`pitcrew WORDS --state STATE` as this user; stdout and stderr together."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        _become(user, writing)
        sys.argv = ["pitcrew", *words, "--state", str(state)]
        code = guarded(app)
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    os.close(writing)
    with os.fdopen(reading, "rb") as output:
        said = output.read().decode(errors="replace")
    _, status = os.waitpid(child, 0)
    return Done(returncode=os.waitstatus_to_exitcode(status), output=said)


def _become(user: str, writing: int) -> None:
    """Take on the user's identity, for good, with nothing to read and the pipe to write to."""
    entry = pwd.getpwnam(user)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.dup2(writing, 1)
    os.dup2(writing, 2)
    sys.stdout = os.fdopen(1, "w", closefd=False)
    sys.stderr = os.fdopen(2, "w", closefd=False)
    os.initgroups(user, entry.pw_gid)
    os.setgid(entry.pw_gid)
    os.setuid(entry.pw_uid)
