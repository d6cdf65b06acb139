"""How answers of the engine are read: who ended a container, frames of any length, what is kept on disk."""

import json
import stat
import struct
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from pitcrew.adapters.runtime.docker.events import EngineEvent, EventMemory, ooms, own_deaths, parse_event
from pitcrew.adapters.runtime.docker.facts import Inspected, ended_for_memory, policy_restarts, stopped_by
from pitcrew.adapters.runtime.docker.frames import head_of, last_lines, parse_instant, split_frames, split_lines
from pitcrew.adapters.runtime.docker.undo import Keepsakes, Kept
from pitcrew.core.errors import Refused
from pitcrew.core.observation import StoppedBy

END = datetime(2026, 5, 1, 12, 0, tzinfo=UTC)


def exited(policy: str, *, exit_code: int = 1, retries_max: int = 0, restarts: int = 0) -> Inspected:
    state = {"Status": "exited", "ExitCode": exit_code, "FinishedAt": "2026-05-01T12:00:00.5Z", "StartedAt": "x"}
    policy_data = {"Name": policy, "MaximumRetryCount": retries_max}
    return Inspected(document={"State": state, "HostConfig": {"RestartPolicy": policy_data}, "RestartCount": restarts})


def event(action: str, seconds: float, **fields: Any) -> EngineEvent:
    at_ns = int((END + timedelta(seconds=seconds)).timestamp() * 1e9)
    return EngineEvent(container_id="c", at_ns=at_ns, action=action, **fields)


TERM, KILL, HUP = ({"signal": number} for number in ("15", "9", "1"))


@pytest.mark.parametrize(
    ("policy", "events", "who"),
    [
        pytest.param("no", [], StoppedBy.UNKNOWN, id="nothing remembered, no policy: ask"),
        pytest.param("always", [], StoppedBy.PERSON, id="always and exited: a person"),
        pytest.param("unless-stopped", [], StoppedBy.PERSON, id="unless-stopped and exited: a person"),
        pytest.param("no", [event("die", 0)], StoppedBy.ITSELF, id="die without kill"),
        pytest.param("no", [event("kill", -1, **TERM), event("die", 0), event("stop", 1)], StoppedBy.PERSON, id="stop"),
        pytest.param("no", [event("kill", -1, **KILL), event("die", 0)], StoppedBy.PERSON, id="docker kill"),
        pytest.param("no", [event("kill", -1, **HUP), event("die", 0)], StoppedBy.ITSELF, id="a reload, then a crash"),
        pytest.param(
            "no",
            [event("kill", -90, **TERM), event("die", -80), event("stop", -79), event("start", -60), event("die", 0)],
            StoppedBy.ITSELF,
            id="a stop that is over",
        ),
        pytest.param("no", [event("kill", -91, **TERM), event("die", -90)], StoppedBy.UNKNOWN, id="another death"),
    ],
)
def test_who_ended_a_container(policy: str, events: list[EngineEvent], who: StoppedBy) -> None:
    assert stopped_by(exited(policy), events) is who


@pytest.mark.parametrize(
    ("told", "events", "short"),
    [
        pytest.param(True, [event("oom", -0.1), event("die", 0)], True, id="in the main process"),
        pytest.param(False, [event("die", 0), event("oom", 0.1)], True, id="the engine heard of it too late"),
        pytest.param(True, [event("oom", -60), event("die", 0)], False, id="in a child, long before"),
        pytest.param(
            True,
            [event("oom", -2), event("die", -2), event("start", -1), event("die", 0)],
            False,
            id="in the run before, a moment ago",
        ),
        pytest.param(True, [event("oom", -90), event("die", -89), event("start", -80)], True, id="nothing remembered"),
        pytest.param(False, [], False, id="nothing remembered and nothing told"),
        pytest.param(True, [event("oom", 0), event("die", 0), event("start", 9)], True, id="in the run before this"),
    ],
)
def test_whether_the_kernel_ended_it_for_memory(told: bool, events: list[EngineEvent], short: bool) -> None:
    state = {"Status": "exited", "ExitCode": 137, "FinishedAt": "2026-05-01T12:00:00.5Z", "OOMKilled": told}
    assert ended_for_memory(Inspected(document={"State": state}), events) is short


@pytest.mark.parametrize(
    ("events", "count"),
    [
        pytest.param([event("start", -99), event("oom", -9), event("oom", -5)], 2, id="in children of this run"),
        pytest.param([event("start", -99), event("oom", -1)], 0, id="just now: the main one may follow"),
        pytest.param([event("oom", -50), event("die", -50), event("start", -9)], 0, id="in the run before"),
        pytest.param([event("start", -900), event("oom", -601), event("oom", -599)], 1, id="more than ten minutes ago"),
    ],
)
def test_how_often_children_ran_out_of_memory(events: list[EngineEvent], count: int) -> None:
    assert ooms(events, END) == count


def test_a_policy_with_retries_left_brings_back_what_failed() -> None:
    assert policy_restarts(exited("on-failure", retries_max=3, restarts=2))
    assert not policy_restarts(exited("on-failure", retries_max=3, restarts=3))
    assert not policy_restarts(exited("on-failure", exit_code=0))
    assert not policy_restarts(exited("no"))


def test_only_deaths_of_the_last_ten_minutes_that_nobody_asked_for_are_counted() -> None:
    events = [event("die", -700), event("start", -690), event("die", -60), event("start", -50)]
    events += [event("kill", -40, **TERM), event("die", -39), event("stop", -38), event("start", -37), event("die", 0)]
    assert own_deaths(events, END) == 2


def test_an_event_that_comes_twice_is_remembered_once_and_in_its_place() -> None:
    memory = EventMemory()
    for each in (event("die", 1), event("start", 0), event("die", 1)):
        memory.remember(each)
    assert [each.action for each in memory.of_container("c")] == ["start", "die"]


@pytest.mark.parametrize("document", [None, [], {}, {"Actor": []}, {"Actor": {"Attributes": {}}, "timeNano": "x"}])
def test_what_is_no_event_is_none(document: object) -> None:
    assert parse_event(document) is None


def frame(stream: int, data: bytes, *, claimed: int | None = None) -> bytes:
    return struct.pack(">BxxxL", stream, len(data) if claimed is None else claimed) + data


@pytest.mark.parametrize("step", [1, 3, 8, 1000])
def test_frames_are_told_apart_however_they_are_cut(step: int) -> None:
    raw = frame(1, b"2026-05-01T12:00:00.123456789Z out\n") + frame(2, b"2026-05-01T12:00:01Z err\n")
    chunks = [raw[place : place + step] for place in range(0, len(raw), step)]
    lines = last_lines(split_lines(split_frames(chunks, tty=False)), lines_max=9, bytes_max=99)
    assert [(line.stream, line.text) for line in lines] == [("stdout", "out"), ("stderr", "err")]
    assert lines[0].at == datetime(2026, 5, 1, 12, 0, 0, 123456, tzinfo=UTC)


def test_a_frame_that_claims_four_gigabytes_is_not_believed() -> None:
    pieces = split_frames([frame(1, b"x" * 100, claimed=0xFFFFFFFF)], tty=False)
    assert head_of(pieces, bytes_max=10) == "x" * 10


@pytest.mark.parametrize("text", ["0001-01-01T00:00:00Z", "", "soon", None, "2026-13-01T00:00:00Z"])
def test_no_instant_is_none(text: object) -> None:
    assert parse_instant(text) is None


def test_what_is_kept_is_for_its_owner_only_and_a_changed_keepsake_is_refused(tmp_path: Path) -> None:
    keepsakes = Keepsakes(tmp_path)
    kept = Kept(path="/app/flag", data=b"secret", uid=7, gid=8, mode=0o640, mtime=1.5)
    keepsakes.keep("abc", kept)
    assert keepsakes.find("abc", "/app/flag") == kept
    assert keepsakes.find("abc", "/app/other") is None
    inside = list((tmp_path / "undo").rglob("*"))
    assert {stat.S_IMODE(each.stat().st_mode) for each in inside if each.is_file()} == {0o600}
    assert {stat.S_IMODE(each.stat().st_mode) for each in inside if each.is_dir()} == {0o700}
    (about,) = (each for each in inside if each.name == "kept.json")
    assert "secret" not in about.read_text()
    assert json.loads(about.read_text())["path"] == "/app/flag"
    (data,) = (each for each in inside if each.suffix == ".bytes")
    data.write_bytes(b"other")
    with pytest.raises(Refused, match="changed"):
        keepsakes.find("abc", "/app/flag")
