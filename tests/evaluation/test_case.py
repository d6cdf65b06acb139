"""Reading labelled incidents: what does not fit is refused with file, line and field, and nothing is guessed."""

import json
from pathlib import Path

import pytest

from pitcrew.core.errors import InvalidInput
from pitcrew.entrypoints.evaluation.case import Case, read_cases
from pitcrew.entrypoints.evaluation.case import written as as_line
from tests.evaluation.labelled import WRITTEN, labelled, written


def file_of(path: Path, *cases: object) -> Path:
    path.write_text("".join(f"{one if isinstance(one, str) else json.dumps(one)}\n" for one in cases))
    return path


def test_files_and_directories_are_read_in_order_and_blank_lines_are_nothing(tmp_path: Path) -> None:
    (tmp_path / "more").mkdir()
    first = file_of(tmp_path / "z.jsonl", written(id="first"), "", written(id="second"))
    file_of(tmp_path / "more" / "b.jsonl", written(id="fourth"))
    file_of(tmp_path / "more" / "a.jsonl", written(id="third"))
    file_of(tmp_path / "more" / "notes.txt", "no case")
    assert [case.id for case in read_cases([first, tmp_path / "more"])] == ["first", "second", "third", "fourth"]


LABEL = WRITTEN["label"]
assert isinstance(LABEL, dict)
SIGHT = WRITTEN["sight"]
assert isinstance(SIGHT, dict)
WRONG: dict[str, tuple[object, str]] = {
    "an unknown field": (written(guess=1), "guess: Extra inputs are not permitted"),
    "an unknown cause": (written(label={**LABEL, "causes": ["Gremlins"]}), "label.causes.0: Input should be"),
    "a label without a cause": (written(label={**LABEL, "causes": []}), "label.causes: "),
    "an unknown first step": (written(label={**LABEL, "actions": ["reboot"]}), "label.actions.0: Input should be"),
    "a state nobody knows": (written(sight={**SIGHT, "state": "Asleep"}), "sight.facts.state: Input should be"),
    "a time without its zone": (written(at="2026-05-04T10:00:00"), "at: Input should have timezone info"),
    "an id for a shell": (written(id="flag; rm"), "id: String should match pattern"),
    "a format of later": (written(schema=2), "schema: Input should be 1"),
    "a manifest that is none": (written(service={"kind": "HealthyService"}), "service.apiVersion: Field required"),
    "no JSON": ("{", "case: Invalid JSON"),
}


@pytest.mark.parametrize(("wrong", "told"), WRONG.values(), ids=WRONG.keys())
def test_what_does_not_fit_is_told_with_file_line_and_field(wrong: object, told: str, tmp_path: Path) -> None:
    file = file_of(tmp_path / "cases.jsonl", written(id="good"), wrong)
    with pytest.raises(InvalidInput) as refused:
        read_cases([file])
    assert str(refused.value).splitlines()[0].startswith(f"{file}:2: {told}")


def test_every_problem_is_told_at_once(tmp_path: Path) -> None:
    file = file_of(tmp_path / "cases.jsonl", written(schema=2), written(id="good"), written(guess=1))
    with pytest.raises(InvalidInput) as refused:
        read_cases([file])
    assert [line.split(": ")[0] for line in str(refused.value).splitlines()] == [f"{file}:1", f"{file}:3"]


def test_an_id_stands_once_in_all_files(tmp_path: Path) -> None:
    files = [file_of(tmp_path / name, written()) for name in ("a.jsonl", "b.jsonl")]
    with pytest.raises(InvalidInput) as refused:
        read_cases(files)
    expected = f"{files[1]}:1: id: flag-1 stands at {files[0]}:1 already; give each case its own"
    assert str(refused.value) == expected


def test_a_file_that_cannot_be_read_is_told_by_its_name(tmp_path: Path) -> None:
    (tmp_path / "latin.jsonl").write_bytes(b"\xff\xfe")
    with pytest.raises(InvalidInput) as refused:
        read_cases([tmp_path / "nowhere.jsonl", tmp_path / "latin.jsonl"])
    told = str(refused.value).splitlines()
    assert [line.split(": ")[1] for line in told] == ["cannot be read", "cannot be read"]


def test_a_case_written_is_read_as_the_same_case(tmp_path: Path) -> None:
    case = labelled()
    (again,) = read_cases([file_of(tmp_path / "again.jsonl", as_line(case))])
    assert again == case
    assert isinstance(again, Case)


def test_the_text_of_a_log_is_its_lines() -> None:
    assert labelled().log_text == "flag found"
