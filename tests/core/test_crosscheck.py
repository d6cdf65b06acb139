"""Checks from inside beside what is seen from outside: which of them cannot run, and which are contradicted."""

from collections.abc import Mapping

import pytest

from pitcrew.core.crosscheck import cannot_run, contradicted
from pitcrew.core.observation import ProbeReason, ProbeResult
from pitcrew.core.resource import Probe
from tests.core.scene import BAD, GOOD, UNKNOWN, answer

R = ProbeReason

CANNOT: dict[str, tuple[ProbeReason, str, bool]] = {
    "by the runtime's word": (R.CHECK_BROKEN, "", True),
    "by a shell": (R.ENGINE_UNHEALTHY, "/bin/sh: 1: curl: not found", True),
    "by another shell": (R.EXIT_CODE, "bash: line 1: wget: command not found", True),
    "by a script": (R.EXIT_CODE, "/bin/check: line 3: wget: command not found", True),
    "by an engine": (R.ENGINE_UNHEALTHY, 'OCI runtime exec failed: exec: "curl": executable file not found', True),
    "by its tool": (R.ENGINE_UNHEALTHY, "wget: unrecognized option: spider-all", True),
    "an answer of the service": (R.EXIT_CODE, "404 page not found", False),
    "an answer about a user": (R.EXIT_CODE, "user 7: not found", False),
    "an answer over HTTP": (R.STATUS, "/bin/sh: 1: curl: not found", False),
    "nothing": (R.EXIT_CODE, "", False),
}


@pytest.mark.parametrize(("reason", "detail", "broken"), CANNOT.values(), ids=CANNOT.keys())
def test_a_check_says_that_it_cannot_run(reason: ProbeReason, detail: str, broken: bool) -> None:
    assert cannot_run(answer(BAD, reason=reason, detail=detail)) is broken


KINDS: Mapping[str, dict[str, object]] = {
    "http": {"httpGet": {"port": 80}},
    "tcp": {"tcpSocket": {"port": 80}},
    "own": {"dockerHealth": {}},
    "exec": {"exec": {"command": ["check"]}},
}
ASKED = tuple((name, Probe.model_validate(kind)) for name, kind in KINDS.items())
SLOW = answer(BAD, probe="own", reason=R.TIMEOUT)
REFUSED = answer(BAD, probe="exec", reason=R.EXIT_CODE, detail="curl: (7) Failed to connect to localhost port 81")
WELL = answer(GOOD, probe="http")
BESIDE: dict[str, tuple[list[ProbeResult], tuple[str, ...]]] = {
    "in time from outside": ([WELL, SLOW], ("own",)),
    "asks another port": ([WELL, REFUSED], ("exec",)),
    "an answer that it is unhealthy": ([WELL, answer(BAD, probe="own", reason=R.ENGINE_UNHEALTHY, detail="db")], ()),
    "outside bad as well": ([answer(BAD, probe="http", reason=R.TIMEOUT), SLOW], ()),
    "one outside bad": ([WELL, answer(BAD, probe="tcp", reason=R.REFUSED), SLOW], ()),
    "outside not known": ([answer(UNKNOWN, probe="http"), SLOW], ()),
    "only a port that takes connections": ([answer(GOOD, probe="tcp"), SLOW], ()),
    "all good": ([WELL, answer(GOOD, probe="own")], ()),
}


@pytest.mark.parametrize(("results", "names"), BESIDE.values(), ids=BESIDE.keys())
def test_a_check_is_contradicted_by_who_asks_from_outside(results: list[ProbeResult], names: tuple[str, ...]) -> None:
    assert contradicted(results, {"own", "exec", "http", "tcp"}, ASKED) == names


def test_a_check_that_failed_once_is_not_contradicted_yet() -> None:
    assert contradicted([WELL, SLOW], (), ASKED) == ()
