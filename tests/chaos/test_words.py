"""The words and the prompt."""

import ast
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest

from chaos import limits
from chaos.catalogue import INDEX, two_fifths
from chaos.faults import FAULTS
from tests.chaos.conftest import Chaos
from tests.engine import ROOT

NO_ENGINE = "unix:///nonexistent/docker.sock"


def test_the_list_says_of_each_fault_what_it_does_how_to_see_it_and_how_it_is_undone(chaos: Chaos) -> None:
    shown = chaos("list").stdout
    names = "flag kill stop hang pause detach badenv oom latency errors none"
    assert list(FAULTS) == names.split()
    for fault in FAULTS.values():
        assert f"{fault.name}\n  does: {fault.does}\n  see:  {fault.see}\n  undo: {fault.undo}\n" in shown


@pytest.mark.parametrize("count", range(3, 12))
def test_two_fifths_of_the_data_files_are_taken_and_never_two_in_a_row(count: int) -> None:
    names = [f"{number:02}.json" for number in range(count)]
    taken = two_fifths([*names, INDEX])
    assert abs(len(taken) / count - 0.4) <= 0.3
    assert count % 5 or len(taken) / count == 0.4
    assert all(int(later[:2]) - int(earlier[:2]) > 1 for earlier, later in pairwise(taken))


LIMITS = {"Memory": 64 << 20, "MemorySwap": 128 << 20, "CpuPeriod": 50_000, "CpuQuota": 25_000}
BACK: dict[str, tuple[dict[str, int], dict[str, int]]] = {
    "as they were": (
        LIMITS,
        {"mem_limit": 64 << 20, "memswap_limit": 128 << 20, "cpu_period": 50_000, "cpu_quota": 25_000},
    ),
    "no limits": (
        dict.fromkeys(LIMITS, 0),
        {"mem_limit": 1 << 30, "memswap_limit": 2 << 30, "cpu_period": 100_000, "cpu_quota": -1},
    ),
    "no limit on swap": (
        {"Memory": 64 << 20, "MemorySwap": -1},
        {"mem_limit": 64 << 20, "memswap_limit": 2 << 30},
    ),
    "nothing lowered": ({}, {}),
}


@pytest.mark.parametrize(("before", "changed"), BACK.values(), ids=BACK.keys())
def test_limits_are_given_back_in_the_words_that_an_engine_takes(
    before: dict[str, int], changed: dict[str, int]
) -> None:
    assert limits.back(before, host_bytes=1 << 30) == changed


@pytest.mark.parametrize(
    ("used", "limit", "lowered"),
    [(30 << 20, 0, 60 << 20), (1 << 20, 0, 6 << 20), (30 << 20, 40 << 20, 40 << 20)],
    ids=["twice what it uses", "what an engine takes", "never more than it has"],
)
def test_a_memory_limit_is_lowered_to_what_a_start_still_needs(used: int, limit: int, lowered: int) -> None:
    assert limits.tight(used=used, now={"Memory": limit}) == lowered


@pytest.mark.parametrize(
    "words", [["break", "earthquake"], ["mend"], ["fix", "a", "b"], ["--docker", "--pidfile", "x", "fix"], ["--bad"]]
)
def test_what_is_no_command_ends_with_two_and_the_usage(chaos: Chaos, words: list[str]) -> None:
    ended = chaos(*words)
    assert (ended.returncode, "usage: chaos" in ended.stderr) == (2, True)


def test_help_is_no_error(chaos: Chaos) -> None:
    ended = chaos("--help")
    assert (ended.returncode, "usage: chaos" in ended.stdout) == (0, True)


def test_nothing_found_says_what_was_looked_for(chaos: Chaos) -> None:
    ended = chaos("break", "flag", "nobody", DOCKER_HOST=NO_ENGINE)
    assert ended.returncode == 1
    for word in ("container named nobody", NO_ENGINE, "no engine answers", "pidfile", "manifests", "--pidfile PATH"):
        assert word in ended.stderr


@pytest.mark.parametrize("service", ["../victim", "-x/..", "a/b", ""])
def test_a_service_is_a_name_and_not_a_path(chaos: Chaos, service: str) -> None:
    assert chaos("--", "status", service).returncode in (1, 2)


@pytest.mark.parametrize("typed", ["list\nquit\n", "list\n", "mend\n\nlist\nexit\n", "break 'x\nlist\n"])
def test_the_prompt_answers_each_line_and_leaves_on_quit_or_at_the_end(chaos: Chaos, typed: str) -> None:
    ended = chaos(typed=typed)
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.count("chaos> ") >= 2
    assert "undo:" in ended.stdout


def test_the_prompt_goes_on_after_what_could_not_be_done_and_helps(chaos: Chaos) -> None:
    ended = chaos(typed="status nobody\nhelp\n", DOCKER_HOST=NO_ENGINE)
    assert (ended.returncode, "nothing found" in ended.stderr, "break [FAULT]" in ended.stdout) == (0, True, True)


def test_the_file_runs_by_its_path_from_anywhere(tmp_path: Path) -> None:
    command = [sys.executable, str(ROOT / "chaos" / "chaos.py"), "list"]
    ended = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=30, check=False)
    assert (ended.returncode, ended.stdout.startswith("flag\n")) == (0, True), ended.stderr


def test_a_manifest_that_is_named_must_be_readable_and_speak_of_the_service(chaos: Chaos, tmp_path: Path) -> None:
    (tmp_path / "other.yaml").write_text("kind: HealthyService\nmetadata: {name: other}\n", encoding="utf-8")
    (tmp_path / "bad.yaml").write_text("{", encoding="utf-8")
    assert "declares no HealthyService named 'victim'" in chaos("--manifest", "other.yaml", "status").stderr
    assert "cannot be read as YAML" in chaos("--manifest", "bad.yaml", "status").stderr
    assert "cannot be read" in chaos("--manifest", "absent.yaml", "status").stderr


def test_it_imports_nothing_of_pitcrew() -> None:
    for file in (ROOT / "chaos").glob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            assert not any(name.partition(".")[0] == "pitcrew" for name in names), file
