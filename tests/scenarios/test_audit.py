"""`pitcrew audit verify` on what a real run left behind: it holds as it is, and no way of tampering goes unseen."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.scenarios.operator import Operator, condition, last_number
from tests.scenarios.stage import FLAG, ProcessStage

Lines = list[bytes]
BAD = 5
"""The record that is tampered with, counted from 1."""


@pytest.fixture(scope="module")
def stage_left() -> Iterator[ProcessStage]:
    """The stage of `left`."""
    stage = ProcessStage()
    stage.declare()
    yield stage
    stage.close()


@pytest.fixture(scope="module")
def left(stage_left: ProcessStage) -> Operator:
    """An operator that healed a flag and ended; its state is what these tests read."""
    operator = stage_left.operator()
    before = last_number(operator.wait_until_quiet())
    stage_left.chaos("break", "flag")
    operator.wait_until_healed(after=before)
    assert operator.stop() == 0
    return operator


@pytest.fixture
def copy(left: Operator, tmp_path: Path) -> Operator:
    """A copy of its state to tamper with."""
    state = tmp_path / "state"
    shutil.copytree(left.state, state, ignore=shutil.ignore_patterns("process"))
    return Operator(state=state, manifests=tmp_path, environ={})


def test_what_a_run_leaves_behind_holds_and_ends_in_the_head_of_its_status(left: Operator) -> None:
    head = left.status()["journalHead"]
    for words in ((), ("--head", f"{head['seq']}:{head['hash']}")):
        shown = left.pitcrew("audit", "verify", *words)
        assert (shown.returncode, shown.stderr) == (0, "")
        assert shown.stdout.split()[:4] == ["JOURNAL", "holds", "head", f"{head['seq']}:{head['hash']}"]
    assert f"seq={head['seq']} hash={head['hash']}" in left.log.splitlines()[-1]


def _flip(lines: Lines) -> Lines:
    line = bytearray(lines[BAD - 1])
    line[line.index(b'"default/victim"') + 1] ^= 1
    return [*lines[: BAD - 1], bytes(line), *lines[BAD:]]


def _remove(lines: Lines) -> Lines:
    return [*lines[: BAD - 1], *lines[BAD:]]


def _swap(lines: Lines) -> Lines:
    return [*lines[: BAD - 1], lines[BAD], lines[BAD - 1], *lines[BAD + 1 :]]


def _insert(lines: Lines) -> Lines:
    return [*lines[: BAD - 1], lines[BAD - 2], *lines[BAD - 1 :]]


def _cut(lines: Lines) -> Lines:
    return lines[:-3]


@pytest.mark.parametrize("tamper", [_flip, _remove, _swap, _insert])
def test_a_change_inside_is_found_and_the_first_bad_record_is_named(
    copy: Operator, tamper: Callable[[Lines], Lines]
) -> None:
    _rewrite(copy.state, tamper)
    shown = copy.pitcrew("audit", "verify")
    assert shown.returncode == 1
    assert "DOES NOT HOLD" in shown.stdout
    first_bad = next(line for line in shown.stdout.splitlines() if line.startswith("first bad record"))
    assert f"000001.jsonl:{BAD}" in first_bad


def test_a_cut_tail_is_found_against_the_head(copy: Operator) -> None:
    head = copy.status()["journalHead"]["hash"]
    _rewrite(copy.state, _cut)
    for words in ((), ("--head", head)):
        shown = copy.pitcrew("audit", "verify", *words)
        assert shown.returncode == 1
        assert "DOES NOT HOLD" in shown.stdout
        assert head[:12] in next(line for line in shown.stdout.splitlines() if line.startswith("first bad record"))


def test_an_operator_on_a_tampered_journal_says_so_and_does_nothing(stage_left: ProcessStage, left: Operator) -> None:
    kept = _segment(left.state).read_bytes()
    _rewrite(left.state, _flip)
    tampered = _segment(left.state).read_bytes()
    stage_left.put(FLAG, b"")
    try:
        left.start()
        seen = left.wait_for(lambda seen: condition(seen, "EffectsHalted"), "the halt in the status")
        assert f"000001.jsonl:{BAD}" in condition(seen, "EffectsHalted")["message"]
        assert stage_left.flagged
        assert left.stop() == 0
        assert _segment(left.state).read_bytes() == tampered
    finally:
        left.stop()
        _segment(left.state).write_bytes(kept)


def _segment(state: Path) -> Path:
    return state / "journal" / "000001.jsonl"


def _rewrite(state: Path, tamper: Callable[[Lines], Lines]) -> None:
    path = _segment(state)
    path.write_bytes(b"".join(tamper(path.read_bytes().splitlines(keepends=True))))
