"""The victim as a local process, run for real on a free loopback port."""

import importlib.metadata
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.engine import ROOT
from tests.victim.asking import get
from tests.waiting import eventually

APP = ROOT / "victim-app" / "app.py"
REQUIREMENTS = ROOT / "victim-app" / "requirements.txt"


@dataclass(frozen=True, kw_only=True, slots=True)
class Victim:
    child: subprocess.Popen[bytes]
    folder: Path
    output: Path

    @property
    def flag(self) -> Path:
        return self.folder / "broken.flag"

    @property
    def port(self) -> int:
        return int(eventually(lambda: re.findall(r"Listening at: http://127\.0\.0\.1:(\d+)", self.text()))[0])

    def text(self) -> str:
        return self.output.read_text(encoding="utf-8")

    def lines(self, logger: str) -> list[dict[str, Any]]:
        whole = self.text().rpartition("\n")[0].splitlines()
        return [line for line in map(json.loads, whole) if line["logger"] == logger]


@pytest.fixture
def victim(tmp_path: Path) -> Iterator[Victim]:
    folder, output = tmp_path / "workdir", tmp_path / "out.log"
    folder.mkdir()
    environ = {**os.environ, "VICTIM_BIND": "127.0.0.1:0"}
    with output.open("wb") as stdout:
        child = subprocess.Popen([sys.executable, APP], cwd=folder, env=environ, stdout=stdout, stderr=stdout)
    started = Victim(child=child, folder=folder, output=output)
    try:
        eventually(lambda: get(started.port, "/health"), what="the victim's answer")
        yield started
    finally:
        child.terminate()
        child.wait(timeout=20)


def test_it_is_healthy_until_the_flag_exists_and_again_once_it_is_gone(victim: Victim) -> None:
    assert get(victim.port, "/health") == (200, "OK")
    victim.flag.touch()
    assert get(victim.port, "/health") == (500, "SERVICE UNHEALTHY")
    victim.flag.unlink()
    assert get(victim.port, "/health") == (200, "OK")


def test_only_a_flag_in_the_directory_it_was_started_in_counts(victim: Victim) -> None:
    (victim.folder.parent / "broken.flag").touch()
    assert get(victim.port, "/health") == (200, "OK")


def test_its_error_line_names_the_flag_file(victim: Victim) -> None:
    victim.flag.touch()
    get(victim.port, "/health")
    line = eventually(lambda: victim.lines("victim"), what="an error line")[0]
    assert line["level"] == "error"
    assert line["flag"] == str(victim.flag)
    assert str(victim.flag) in line["message"]


def test_the_work_is_the_same_each_time_and_other_paths_are_unknown(victim: Victim) -> None:
    answers = [get(victim.port, "/") for _ in range(2)]
    assert [answer[0] for answer in answers if answer] == [200, 200]
    assert len({json.loads(answer[1])["result"] for answer in answers if answer}) == 1
    unknown = get(victim.port, "/nowhere")
    assert unknown is not None
    assert unknown[0] == 404


def test_it_serves_the_items_of_its_catalogue_in_turn_and_one_that_cannot_be_read_is_an_error(victim: Victim) -> None:
    shelf = victim.folder / "catalogue"
    shelf.mkdir()
    files = [f"{name}.json" for name in "abcde"]
    for name in (*files[1:3], files[4]):
        (shelf / name).write_text(name, encoding="utf-8")
    (shelf / "index.json").write_text(json.dumps(files), encoding="utf-8")
    answers = [get(victim.port, "/") for _ in range(10)]
    assert [answer[0] for answer in answers if answer] == [500, 200, 200, 500, 200] * 2
    assert get(victim.port, "/health") == (200, "OK")
    lines = eventually(lambda: victim.lines("victim"), what="an error line")
    assert "a.json" in lines[0]["exception"]


def test_each_request_leaves_one_line_of_json_whatever_its_path_holds(victim: Victim) -> None:
    get(victim.port, "/%0a%1b%5b31mforged")
    line = eventually(
        lambda: [line for line in victim.lines("gunicorn.access") if "forged" in line["path"]], what="the access line"
    )[0]
    assert (line["method"], line["path"], line["status"]) == ("GET", "/\n\x1b[31mforged", 404)
    assert "\x1b" not in victim.text()


def test_it_ends_in_an_orderly_way_when_asked_to(victim: Victim) -> None:
    victim.child.send_signal(signal.SIGTERM)
    assert victim.child.wait(timeout=20) == 0
    assert "Shutting down" in victim.text()


def test_it_knows_nothing_of_pitcrew() -> None:
    assert "pitcrew" not in APP.read_text(encoding="utf-8").lower()


def test_its_requirements_are_pinned_and_complete() -> None:
    lines = [line for line in REQUIREMENTS.read_text(encoding="utf-8").splitlines() if line and line[0] != "#"]
    pinned = {_plain(line.partition("==")[0]) for line in lines if "==" in line}
    assert len(pinned) == len(lines)
    assert _closure({"flask", "gunicorn"}) == pinned


def _closure(names: set[str]) -> set[str]:
    """The packages and all they need, as the installed ones say."""
    needed = {
        _plain(re.split(r"[^A-Za-z0-9._-]", line, maxsplit=1)[0])
        for name in names
        for line in importlib.metadata.requires(name) or []
        if ";" not in line
    }
    return names if needed <= names else _closure(names | needed)


def _plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
