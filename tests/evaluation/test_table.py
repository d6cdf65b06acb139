"""The scores as people read them, compared with golden files; `PITCREW_GOLDEN=write` writes those anew."""

import json
import os
from pathlib import Path

from pitcrew.core.diagnosis import Cause
from pitcrew.entrypoints.evaluation.table import RULES_ALONE, Run, by_fault, data, table
from tests.evaluation.labelled import outcome

GOLDEN = Path(__file__).parent.parent / "golden"

RULES = Run(
    name=RULES_ALONE,
    chosen=(
        outcome(),
        outcome(
            id="hang-1", fault=6, cause=Cause.HANG, confidence=85, action="restart", alone=False, cause_right=False
        ),
        outcome(id="odd-1", fault=0, cause=Cause.UNKNOWN, confidence=0, action="none", alone=False, rules_know=False),
    ),
)
MODEL = Run(
    name="Consult, played-1",
    chosen=(
        outcome(agrees=True, model_right=True, tokens=900, seconds=3.0),
        outcome(id="hang-1", fault=6, cause=Cause.HANG, action="restart", action_right=False, harmful=True, tokens=800),
        outcome(id="odd-1", fault=0, cause=Cause.UNKNOWN, action="none", alone=False, rules_know=False, failure="late"),
    ),
)


def as_golden(name: str, text: str) -> None:
    if os.environ.get("PITCREW_GOLDEN") == "write":
        (GOLDEN / name).write_text(text)
    assert text == (GOLDEN / name).read_text()


def test_runs_stand_side_by_side_as_in_the_golden_file() -> None:
    as_golden("eval-table.md", table([RULES, MODEL]))


def test_faults_are_told_apart_as_in_the_golden_file() -> None:
    as_golden("eval-by-fault.md", by_fault(RULES))


def test_the_data_holds_every_case_with_the_sums_and_is_json() -> None:
    found = json.loads(json.dumps(data([RULES, MODEL])))
    assert [run["name"] for run in found["runs"]] == [RULES.name, MODEL.name]
    assert [case["id"] for case in found["runs"][1]["cases"]] == ["flag-1", "hang-1", "odd-1"]
    assert found["runs"][1]["sums"]["harmful"] == 1
    assert 0.01 < found["runs"][0]["harmfulMost"] < 0.7
