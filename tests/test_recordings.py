"""What a model once answered is played again: to the same kind of incident, asked in the same way, at the same turn."""

import json
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from tools.record_model import ACTS, recording
from tools.recorded_model import RECORDED, Recording, playing, recordings

MODEL = "small-1"


def request(user: str, way: str = "json_object", *earlier: str) -> dict[str, Any]:
    """A question; `earlier` are answers of the model that it is shown again."""
    said = [{"role": "assistant", "content": text} for text in earlier]
    return {"messages": [{"role": "user", "content": user}, *said], "response_format": {"type": way}}


def answered(url: str, asked: dict[str, Any]) -> tuple[int, str]:
    sent = urllib.request.Request(f"{url}/chat/completions", json.dumps(asked).encode())
    try:
        with urllib.request.urlopen(sent, timeout=10) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def says(act: str, way: str, turn: int, status: int, response: str) -> Recording:
    return Recording(
        model=MODEL, date="2026-11-23", when=ACTS[act], way=way, turn=turn, status=status, response=response
    )


def test_what_was_recorded_is_played_whatever_else_the_prompt_holds(tmp_path: Path) -> None:
    live = [
        says("flag", "json_schema", 0, 500, "not this way"),
        says("flag", "json_object", 0, 200, "nonsense"),
        says("flag", "json_object", 1, 200, "repaired"),
        says("hang", "json_object", 0, 200, "hangs"),
    ]
    asked = {
        (500, "not this way"): request(f"boundary 1: {ACTS['flag']}", "json_schema"),
        (200, "nonsense"): request(f"boundary 1: {ACTS['flag']}"),
        (200, "repaired"): request(f"boundary 1: {ACTS['flag']}", "json_object", "nonsense"),
        (200, "hangs"): request(f"boundary 1: {ACTS['hang']}"),
    }
    with playing(live) as upstream, recording(upstream, MODEL, tmp_path) as url:
        assert {answer: answered(url, one) for answer, one in asked.items()} == {answer: answer for answer in asked}
        assert answered(url, request("another incident"))[0] == 404
    assert {path.name for path in tmp_path.iterdir()} == {
        "flag-json_schema-0.json", "flag-json_object-0.json", "flag-json_object-1.json", "hang-json_object-0.json",
    }  # fmt: skip

    known = recordings(tmp_path)
    assert {one.model for one in known} == {MODEL}
    with playing(known) as url:
        for answer, one in asked.items():
            one["messages"][0]["content"] = one["messages"][0]["content"].replace("boundary 1", "boundary 2")
            assert answered(url, one) == answer
        assert answered(url, request("another incident"))[0] == 404


@pytest.mark.parametrize("on", ["docker", "process"])
def test_the_demo_has_an_answer_to_each_act_on_each_kind_of_target(on: str) -> None:
    assert {one.when for one in recordings(RECORDED / on) if one.status == 200} == set(ACTS.values())
