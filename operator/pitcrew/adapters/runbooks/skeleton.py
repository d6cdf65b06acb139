"""A runbook to begin with: it passes lint as it is, and says at each field what belongs there."""

import json
import re
from typing import get_args

from pitcrew.core.diagnosis import RULES, Cause
from pitcrew.core.errors import InvalidInput
from pitcrew.core.runbook import ID_PATTERN, Remedy
from pitcrew.core.signal import Signal

_SKELETON = """---
id: {id}
title: {title}
# What it treats. PitCrew's rules diagnose it, or a model does where one is configured.
cause: {cause}
# All of these must hold on the evidence. These are what the rules look for; add what tells your case apart.
# `pitcrew why INCIDENT -o yaml` shows key and value of each fact; a signal over the log is {{log: some words}}.
signals:
{signals}
# None of these may hold; a log that could not be read counts as if it did.
# not-when:
#   - {{log: no space left on device}}
# What is tried, in this order, out of {actions};
# only what a service declares under spec.remediation.actions. Without remedies a person is asked at once.
# undo: at-end leaves one in place while the next builds on it.
# remedies:
#   - {{action: restart}}
# What a person is asked when the remedies end, or where there are none.
ask: look at the service by hand; say here where to begin and whom to call
# What shows that it helped, in words. What is watched is the deviation itself, over the service's verifyFor.
verify: the failing probe stays good over the verification window
---
# {title}

**What it is.** What happens, and why it does.

**How to see it.** What the probes, the log and the runtime show.

**Why these remedies.** What each changes, and what it does not.

**When not.** What makes them useless or harmful.
"""

_PLAIN = re.compile(r"(?!true|false|yes|no|on|off|null)[A-Za-z][A-Za-z.]+")


def skeleton(runbook: str, cause: str) -> str:
    """The text of a runbook with this id for this cause, with the signals that the rules look for.

    Raises InvalidInput where one of them cannot be used.
    """
    if not re.fullmatch(ID_PATTERN, runbook):
        raise InvalidInput(f"id {runbook!r}: take small letters, digits and dashes, at most 63, a dash not first")
    rule = next((rule for rule in RULES if rule.cause == cause), None)
    if rule is None:
        known = ", ".join(each for each in Cause if each is not Cause.UNKNOWN)
        raise InvalidInput(f"cause {cause!r}: no runbook can treat that; take one of {known}")
    return _SKELETON.format(
        id=runbook,
        title=_titled(rule.summary),
        cause=rule.cause,
        signals="\n".join(f"  - {_flow(signal)}" for signal in rule.signals),
        actions=", ".join(get_args(Remedy.model_fields["action"].annotation)),
    )


def _titled(summary: str) -> str:
    """A summary of the rules as a title: its first part, so that it stays one plain line of YAML."""
    words = re.split(r"[,;:]", summary)[0]
    return words[0].upper() + words[1:]


def _flow(signal: Signal) -> str:
    """A signal as YAML in one line."""
    parts = signal.model_dump(mode="json", exclude_defaults=True)
    return "{" + ", ".join(f"{name}: {_value(value)}" for name, value in parts.items()) + "}"


def _value(value: object) -> str:
    """A value as YAML; a list of one is the one, and JSON is YAML too."""
    if isinstance(value, list):
        return _value(value[0]) if len(value) == 1 else f"[{', '.join(map(_value, value))}]"
    return value if isinstance(value, str) and _PLAIN.fullmatch(value) else json.dumps(value)
