"""Labelled incidents for the tests of the evaluation, and what may come of them."""

import copy
from collections.abc import Mapping

from pitcrew.core.diagnosis import Cause
from pitcrew.entrypoints.evaluation.case import Case
from pitcrew.entrypoints.evaluation.score import Chosen
from tests.core.scene import FLAG, manifest

WRITTEN: Mapping[str, object] = {
    "schema": 1,
    "id": "flag-1",
    "fault": 1,
    "app": "python/flask",
    "style": "plain",
    "noise": [],
    "at": "2026-05-04T10:00:00Z",
    "service": manifest(),
    "sight": {
        "kind": "facts",
        "state": "Running",
        "startedAt": "2026-05-04T09:00:00Z",
        "files": [{"path": FLAG, "present": True}],
    },
    "probes": [{"probe": "httpget-0", "outcome": "Failure", "reason": "Status", "status": 500, "detail": "no"}],
    "deviations": [{"kind": "ProbeFailing", "probe": "httpget-0"}],
    "logs": [{"at": "2026-05-04T09:59:30Z", "stream": "stdout", "text": "flag found"}],
    "label": {
        "causes": ["FlagFile"],
        "actions": ["removeFile"],
        "harmful": ["restart"],
        "ours": True,
        "why": "the flag is there",
    },
}


def written(**changes: object) -> dict[str, object]:
    """A case as JSON data; what is named replaces that part."""
    return {**copy.deepcopy(dict(WRITTEN)), **changes}


def labelled(**changes: object) -> Case:
    """A case."""
    return Case.model_validate(written(**changes))


def outcome(**changes: object) -> Chosen:
    """What came of a case: rightly the flag, done alone, unless changed."""
    base: dict[str, object] = {
        "id": "flag-1",
        "fault": 1,
        "cause": Cause.FLAG_FILE,
        "confidence": 95,
        "action": "removeFile",
        "alone": True,
        "cause_right": True,
        "action_right": True,
        "harmful": False,
        "rules_know": True,
        "model_right": None,
        "led_by_model": False,
        "agrees": None,
        "tokens": 0,
        "evidence_tokens": 100,
        "log_tokens": 200,
        "failure": "",
        "seconds": 0.5,
    }
    return Chosen(**{**base, **changes})  # type: ignore[arg-type]
