"""The process that forks operators, and the line that tells how many were killed."""

from collections.abc import Iterator

import pytest

from tests.crash.nursery import Nursery
from tests.crash.suite import Tally

TALLY = pytest.StashKey[Tally]()


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
