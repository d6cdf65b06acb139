"""Verification: whether a remedy helped, over a sustained window, against the original deviation.

The deviation must stay away for `verify_for_s` without a break. Until the target had time to settle, a deviation is not
yet a failure; after that it is. What cannot be told starts the window anew and decides nothing (S5).
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import assert_never

from pitcrew.core.action import (
    Action,
    ConnectNetwork,
    DisconnectNetwork,
    RemoveFile,
    Restart,
    RestoreFile,
    RunCommand,
    Start,
    Unpause,
)
from pitcrew.core.resource import HealthyService

PROBE_INTERVAL_S = 1
"""Seconds between two live looks while verifying."""


class Stand(StrEnum):
    """Where a verification stands."""

    PENDING = "Pending"
    PASSED = "Passed"
    FAILED = "Failed"


@dataclass(frozen=True, kw_only=True, slots=True)
class Verification:
    """The window so far: when it began, since when the deviation is away, and how many looks it took."""

    began_at: datetime
    verify_for_s: int
    settle_s: int
    good_since: datetime | None = None
    looks: int = 0
    stand: Stand = Stand.PENDING


def settle_s(action: Action, service: HealthyService) -> int:
    """Seconds a target may take until an effect shows: a file is read at once, a start takes a while, and whatever is
    declared as initial delay comes on top."""
    delay_s = max((probe.initial_delay_seconds for _, probe in service.probes), default=0)
    match action:
        case RemoveFile() | RestoreFile():
            return 5
        case ConnectNetwork() | DisconnectNetwork() | Unpause():
            return 10 + delay_s
        case Start() | RunCommand():
            return 30 + delay_s
        case Restart(grace_s=grace_s):
            return grace_s + 30 + delay_s
        case _:
            assert_never(action)


def look(verification: Verification, deviates: bool | None, now: datetime) -> Verification:
    """The verification after one more live look; `deviates` is None when it could not be told."""
    if verification.stand is not Stand.PENDING:
        return verification
    seen = replace(verification, looks=verification.looks + 1)
    if deviates is None:
        return replace(seen, good_since=None)
    if deviates:
        late = now - verification.began_at >= timedelta(seconds=verification.settle_s)
        return replace(seen, good_since=None, stand=Stand.FAILED if late else Stand.PENDING)
    since = verification.good_since or now
    enough = now - since >= timedelta(seconds=verification.verify_for_s)
    return replace(seen, good_since=since, stand=Stand.PASSED if enough else Stand.PENDING)
