"""The process that forks operators, and the line that tells how many were killed."""

from collections.abc import Iterator

import pytest

from tests.crash.nursery import Nursery
from tests.crash.suite import Tally

TALLY = pytest.StashKey[Tally]()


def pytest_sessionfinish(session: pytest.Session) -> None:
    """A worker of pytest-xdist hands its tally to the session that prints it."""
    output, tally = getattr(session.config, "workeroutput", None), session.config.stash.get(TALLY, None)
    if output is not None and tally is not None and tally.kills:
        output.setdefault("lines", []).append(str(tally))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    tally = config.stash.get(TALLY, None)
    if tally is not None and tally.kills:
        terminalreporter.write_line(str(tally))


@pytest.fixture(scope="session")
def nursery() -> Iterator[Nursery]:
    """Where operators come from."""
    opened = Nursery()
    yield opened
    opened.close()


@pytest.fixture(scope="session")
def tally(request: pytest.FixtureRequest) -> Tally:
    """What the session comes to; printed at its end."""
    counted: Tally = request.config.stash.setdefault(TALLY, Tally())
    return counted
