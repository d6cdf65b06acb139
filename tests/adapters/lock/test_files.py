"""Locks of targets: one holder on the machine, told by name, let go of at its end."""

import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from pitcrew.adapters.lock.files import TargetLocks
from pitcrew.core.errors import Refused


def test_a_second_holder_is_told_who_the_first_is(tmp_path: Path) -> None:
    first, second = TargetLocks(tmp_path / "locks", owner="/var/a"), TargetLocks(tmp_path / "locks", owner="/var/b")
    assert first.acquire("engine", "target")
    assert not second.acquire("engine", "target")
    assert second.holder("engine", "target") == f"pid {os.getpid()}, /var/a"


def test_the_holder_may_ask_again(tmp_path: Path) -> None:
    locks = TargetLocks(tmp_path / "locks", owner="a")
    assert locks.acquire("engine", "target")
    assert locks.acquire("engine", "target")


def test_other_targets_and_other_engines_are_free(tmp_path: Path) -> None:
    first, second = TargetLocks(tmp_path / "locks", owner="a"), TargetLocks(tmp_path / "locks", owner="b")
    assert first.acquire("engine", "target")
    assert second.acquire("engine", "other")
    assert second.acquire("elsewhere", "target")


@pytest.mark.parametrize("let_go", [TargetLocks.close, lambda locks: locks.release("engine", "target")])
def test_a_lock_that_was_let_go_can_be_taken(tmp_path: Path, let_go: Callable[[TargetLocks], None]) -> None:
    first, second = TargetLocks(tmp_path / "locks", owner="a"), TargetLocks(tmp_path / "locks", owner="b")
    assert first.acquire("engine", "target")
    let_go(first)
    assert second.acquire("engine", "target")
    assert second.holder("engine", "target").endswith(", b")


def test_the_directory_is_open_to_all_users_and_the_files_can_be_locked_by_them(tmp_path: Path) -> None:
    locks = TargetLocks(tmp_path / "locks", owner="a")
    locks.acquire("engine", "target")
    assert stat.S_IMODE((tmp_path / "locks").stat().st_mode) == 0o1777
    assert [stat.S_IMODE(file.stat().st_mode) for file in (tmp_path / "locks").iterdir()] == [0o666]


def test_a_link_in_the_place_of_a_lock_or_of_the_directory_is_refused(tmp_path: Path) -> None:
    locks = TargetLocks(tmp_path / "locks", owner="a")
    assert locks.acquire("engine", "target")
    (name,) = [file.name for file in (tmp_path / "locks").iterdir()]
    victim = tmp_path / "victim"
    victim.write_text("precious")
    (tmp_path / "trap").mkdir()
    (tmp_path / "trap" / name).symlink_to(victim)
    (tmp_path / "linked").symlink_to(tmp_path / "trap")
    for directory in ("trap", "linked"):
        with pytest.raises(Refused):
            TargetLocks(tmp_path / directory, owner="b").acquire("engine", "target")
    assert victim.read_text() == "precious"
