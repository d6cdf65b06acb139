"""`pitcrew eval` as people meet it: a real process over files of cases."""

import json
import os
import subprocess
import sys
from pathlib import Path

from pitcrew.entrypoints.evaluation.case import read_cases
from tests.evaluation.labelled import labelled, written

ROOT = Path(__file__).parent.parent.parent
SECRET = "hunter2-very-secret"


def pitcrew(*words: object) -> "subprocess.CompletedProcess[str]":
    env = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT / "operator"), "HOME": str(ROOT / "nowhere")}
    command = [sys.executable, "-m", "pitcrew", "eval", *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, env=env, check=False, timeout=60)


def file_of(path: Path, *cases: dict[str, object]) -> Path:
    path.write_text("".join(json.dumps(case) + "\n" for case in cases))
    return path


def test_two_cases_are_played_scored_and_written_as_data(tmp_path: Path) -> None:
    stopped = written(
        id="stopped-1",
        fault=17,
        sight={"kind": "facts", "state": "Exited", "exitCode": 143, "stoppedBy": "Person"},
        probes=[],
        deviations=[],
        label={
            "causes": ["StoppedBySomeone"],
            "actions": ["none"],
            "harmful": ["start"],
            "ours": False,
            "why": "a person",
        },
    )
    file, data = file_of(tmp_path / "two.jsonl", written(), stopped), tmp_path / "scores.json"
    done = pitcrew("run", file, "--json", data)
    assert (done.returncode, done.stderr) == (0, "")
    assert "| cases | 2 |" in done.stdout
    assert "| harmful, without a person | 0 (at most 77.6 %) |" in done.stdout
    assert "| 17 | 1 | 1 | 1 | 0 |" in done.stdout
    (run,) = json.loads(data.read_text())["runs"]
    assert [(case["id"], case["cause"], case["action"], case["alone"]) for case in run["cases"]] == [
        ("flag-1", "FlagFile", "removeFile", True),
        ("stopped-1", "StoppedBySomeone", "none", False),
    ]


def test_cases_that_do_not_fit_are_refused_with_their_place(tmp_path: Path) -> None:
    file = file_of(tmp_path / "bad.jsonl", written(guess=1))
    done = pitcrew("run", file)
    assert done.returncode != 0
    assert f"{file}:1: guess: Extra inputs are not permitted" in done.stderr
    assert done.stdout == ""


def test_no_case_at_all_is_no_score(tmp_path: Path) -> None:
    done = pitcrew("run", tmp_path)
    assert done.returncode != 0
    assert "no case is there" in done.stderr


def with_secrets() -> dict[str, object]:
    process = {"process": {"command": ["app"], "workingDir": "/srv", "env": {"PLAIN": SECRET}}}
    service = labelled().model_dump(mode="json", by_alias=True)["service"]
    service["spec"]["target"] = {**process, "docker": None}
    service["spec"]["remediation"]["actions"] = {"restart": {}}
    sight = {
        "kind": "facts",
        "state": "Running",
        "error": f"password={SECRET}",
        "engineHealth": {"status": "unhealthy", "failingStreak": 1, "output": f"token: {SECRET}"},
    }
    probe = {"probe": "httpget-0", "outcome": "Failure", "reason": "Status", "detail": f"api_key={SECRET}"}
    return written(
        service=service,
        sight=sight,
        probes=[probe],
        logs=[{"text": f"login with password={SECRET}"}, {"text": "\x1b[31mred\x1b[0m"}],
        events=[{"at": "2026-05-04T09:59:00Z", "kind": "Died", "detail": f"secret={SECRET}"}],
        processes=[f"1 S wait app --password {SECRET}"],
        missing=[f"stats: token={SECRET}"],
    )


def test_what_others_recorded_is_redacted_on_its_way_in(tmp_path: Path) -> None:
    theirs, ours = file_of(tmp_path / "theirs.jsonl", with_secrets()), tmp_path / "ours.jsonl"
    done = pitcrew("import", theirs, "--into", ours)
    assert (done.returncode, done.stdout) == (0, f"1 cases added to {ours}\n")
    assert SECRET not in ours.read_text()
    (case,) = read_cases([ours])
    assert "\x1b" not in case.logs[1].text
    assert case.label == labelled().label


def test_an_id_that_is_there_already_is_refused_and_nothing_is_added(tmp_path: Path) -> None:
    ours = file_of(tmp_path / "ours.jsonl", written())
    theirs = file_of(tmp_path / "theirs.jsonl", written(id="new-1"), written())
    before = ours.read_text()
    done = pitcrew("import", theirs, "--into", ours)
    assert done.returncode != 0
    assert "holds flag-1 already" in done.stderr
    assert ours.read_text() == before


def test_one_problem_keeps_all_of_them_out(tmp_path: Path) -> None:
    ours = tmp_path / "ours.jsonl"
    done = pitcrew("import", file_of(tmp_path / "theirs.jsonl", written(), written(id="b", guess=1)), "--into", ours)
    assert done.returncode != 0
    assert not ours.exists()
