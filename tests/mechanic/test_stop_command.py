"""`pitcrew stop --mechanic`: a person stops a Mechanic itself, with nothing else of PitCrew running."""

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.mechanic.attacks import attacked, planned
from tests.mechanic.lane import Lane, start_targets
from tests.waiting import eventually


@pytest.fixture(scope="module")
def lane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lane]:
    lane = Lane(root=tmp_path_factory.mktemp("lane"), services=("alpha",))
    lane.start()
    try:
        start_targets(lane)
        yield lane
    finally:
        lane.close()


def stop(lane: Lane, *more: str, url: str = "") -> tuple[int, str]:
    """The command, in a directory without a state: its exit code, and what it says."""
    argv = [sys.executable, "-m", "pitcrew", "stop", "--mechanic", url or lane.url, *more]
    ended = subprocess.run(argv, env=lane.environ, cwd=lane.root, capture_output=True, text=True, timeout=60)
    return ended.returncode, ended.stdout + ended.stderr


def token(lane: Lane, who: str) -> tuple[str, str]:
    return "--token-file", str(lane.root / f"{who}.token")


def test_an_operator_stops_it_and_permits_that_are_out_open_nothing(lane: Lane) -> None:
    plan = planned(lane)
    permit, file = lane.permit(plan, ttl_s=300), lane.state / "STOP"
    code, said = stop(lane, *token(lane, "operator"), "--reason", "looks\nwrong")
    assert (code, said) == (0, f"stopped the Mechanic at {lane.url}: remove {file} on its machine to go on\n")
    assert file.read_text() == "stopped by operator over MCP: looks\\x0awrong\n"
    attacked(lane, permit, plan, "stopped")
    file.unlink()
    before = lane.effects
    asyncio.run(lane.carry_out(permit, plan))
    eventually(lambda: lane.effects == before + 1, what="the restart that the stop had refused")


@pytest.mark.parametrize(
    ("who", "why"),
    [("driver", "driver lacks the role operator for stop"), ("nobody", "pitcrew tokens add NAME --role operator")],
)
def test_a_token_that_is_refused_stops_nothing_and_is_told_why(lane: Lane, who: str, why: str) -> None:
    code, said = stop(lane, *token(lane, who))
    assert code == 1
    assert why in said
    assert "nothing was stopped" in said
    assert not (lane.state / "STOP").exists()


def test_what_cannot_be_used_is_named(lane: Lane, tmp_path: Path) -> None:
    assert stop(lane) == (
        3,
        "pitcrew: --mechanic: name the file with your token, which has the role operator, by --token-file\n",
    )
    absent = tmp_path / "absent"
    code, said = stop(lane, "--token-file", str(absent))
    assert code == 3
    assert f"{absent}: the token cannot be read" in said
    code, said = stop(lane, *token(lane, "operator"), url="127.0.0.1:7301")
    assert code == 3
    assert "not an http or https address" in said
    assert not (lane.state / "STOP").exists()


def test_one_that_cannot_be_reached_is_told_with_what_to_do_by_hand(lane: Lane) -> None:
    lane.end()
    code, said = stop(lane, *token(lane, "operator"))
    assert code == 4
    assert f"at {lane.url}: cannot be reached" in said
    assert "touch STATE/STOP on its machine" in said
