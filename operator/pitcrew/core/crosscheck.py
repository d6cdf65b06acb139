"""Cross-check: a check from inside beside what the same moment shows from outside (FAULTS row 21, rule 4).

A command inside a target can fail by its own fault: its tool is not in the image, it asks a wrong port, or the host is
too busy to run it in time. Whoever asks from outside and gets a good answer knows better.
"""

import re
from collections.abc import Collection, Sequence

from pitcrew.core.observation import Outcome, ProbeReason, ProbeResult
from pitcrew.core.resource import Probe

_CANNOT_RUN = re.compile(
    r"(?:^|\W)\S{0,64}sh: (?:line )?\d{0,4}:? ?[^\s:]{1,128}: (?:command )?not found\b"
    r"|: line \d{1,4}: [^\s:]{1,128}: (?:command not found|no such file or directory|permission denied)"
    r"|\bexecutable file not found\b|\bOCI runtime exec failed\b"
    r"|\b(?:unrecognized|unrecognised|unknown|invalid|illegal) option\b",
    re.I,
)
"""How shells, engines and the tools of a check say that the check is wrong, whatever the service does."""
_CANNOT_CONNECT = re.compile(
    r"\bconnection refused\b|\bcould ?n[o']t connect\b|\bfailed to connect\b|\bcould ?n[o']t resolve host\b"
    r"|\bbad address\b",
    re.I,
)


def cannot_run(result: ProbeResult) -> bool:
    """Whether a check itself cannot run: by the runtime's word, or by its own where a shell stands between."""
    if result.reason is ProbeReason.CHECK_BROKEN:
        return True
    by_command = result.reason in (ProbeReason.EXIT_CODE, ProbeReason.ENGINE_UNHEALTHY)
    return by_command and bool(_CANNOT_RUN.search(result.detail))


def contradicted(
    results: Sequence[ProbeResult], failing: Collection[str], asked: Sequence[tuple[str, Probe]]
) -> tuple[str, ...]:
    """Checks from inside that get no answer while every answer from outside is good, and one of them over HTTP.

    That a port takes connections is no such answer: the kernel does that for a program that hangs.
    """
    kinds = dict(asked)
    inside = [one for one in results if (kind := kinds.get(one.probe)) and (kind.exec or kind.docker_health)]
    outside = [one for one in results if one not in inside and one.outcome is not Outcome.UNKNOWN]
    answered = any((kind := kinds.get(one.probe)) and kind.http_get for one in outside)
    if not answered or any(one.outcome is not Outcome.SUCCESS for one in outside):
        return ()
    return tuple(one.probe for one in inside if one.probe in failing and _without_answer(one))


def _without_answer(result: ProbeResult) -> bool:
    return result.reason is ProbeReason.TIMEOUT or bool(_CANNOT_CONNECT.search(result.detail))
