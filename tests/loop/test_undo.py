"""What did not help is undone: at once or at the end, last first, once, and never after a recovery."""

from pathlib import Path

import pytest

from pitcrew.core.action import Action, RemoveFile, RestoreFile
from pitcrew.settings import Settings
from tests.fakes.engine import FakeTarget, Mishap
from tests.loop.composed import FLAG, House, manifest
from tests.loop.virtual import run

OTHER = "/app/other.flag"
AT_ONCE = """---
id: flag-file
title: A declared flag file keeps the service unhealthy
cause: FlagFile
signals:
  - {fact: state, equals: Running}
  - {fact: probe.failing, equals: [Status, ExitCode, EngineUnhealthy]}
  - {fact: file.present}
not-when:
  - {fact: suspended, equals: true}
remedies:
  - {action: removeFile}
  - {action: restart}
ask: find out who writes the flag file
verify: the failing probe stays good
---
Undone at once.
"""


def sick(state: Path, *, at_once: bool = False) -> House:
    """A house whose victim fails whatever is removed; the effects are told in `done`."""
    books = state / "books"
    if at_once:
        books.mkdir()
        books.chmod(0o700)
        (books / "flag-file.md").write_text(AT_ONCE, encoding="utf-8")
    actions = {"removeFile": {"paths": [FLAG, OTHER]}, "restart": {}}
    service = manifest(remediation={"actions": actions})
    house = House(state, service, settings=Settings(state=state, runbooks=(books,) if at_once else ()))
    house.prober.sick.add("victim")
    house.flag()
    return house


def paths(house: House) -> list[str]:
    """Every effect from now on, with its path."""
    done: list[str] = []

    def note(target: FakeTarget, action: Action) -> None:
        done.append(f"{action.name} {action.path}" if isinstance(action, RemoveFile | RestoreFile) else action.name)

    house.engine.before_effect = note
    return done


def escalated(house: House) -> bool:
    return bool(house.incidents()) and house.incident.outcome == "Escalated"


def test_an_ineffective_remedy_is_undone_before_the_next_one(tmp_path: Path) -> None:
    async def test() -> None:
        house = sick(tmp_path, at_once=True)
        done = paths(house)
        async with house.running():
            await house.until(lambda: escalated(house))
        assert done == [f"removeFile {FLAG}", f"restoreFile {FLAG}", "restart"]
        assert house.engine.targets["victim"].files[FLAG].data == b"broken"

    run(test())


def test_remedies_that_build_on_each_other_are_undone_last_first_on_escalation(tmp_path: Path) -> None:
    async def test() -> None:
        house = sick(tmp_path)
        house.engine.write("victim", OTHER, b"other")
        done = paths(house)
        async with house.running():
            await house.until(lambda: escalated(house))
        removed = [one.split()[1] for one in done if one.startswith("removeFile")]
        restored = [one.split()[1] for one in done if one.startswith("restoreFile")]
        assert removed == [FLAG, OTHER]
        assert restored == [OTHER, FLAG]
        assert done[-2:] == [f"restoreFile {OTHER}", f"restoreFile {FLAG}"]

    run(test())


def test_what_was_removed_stays_removed_after_a_recovery(tmp_path: Path) -> None:
    async def test() -> None:
        house = sick(tmp_path)

        def restart_heals(target: FakeTarget, action: Action) -> None:
            if action.name == "restart":
                house.prober.sick.clear()

        house.engine.after_effect = restart_heals
        async with house.running():
            await house.healed()
            await house.passes(300)
        assert house.effects() == ["removeFile", "restart"]
        assert FLAG not in house.engine.targets["victim"].files
        assert house.incident.outcome == "Recovered"

    run(test())


@pytest.mark.parametrize("mishap", [Mishap.ANSWER_LOST, Mishap.REQUEST_LOST, Mishap.NOT_ASKED])
def test_an_undo_whose_answer_is_lost_is_read_off_the_target(mishap: Mishap, tmp_path: Path) -> None:
    async def test() -> None:
        house = sick(tmp_path)
        done = paths(house)

        async def goes_wrong() -> None:
            house.engine.mishaps.append(mishap)

        house.journal.after["UndoIntended"] = goes_wrong
        async with house.running():
            await house.until(lambda: escalated(house))
            await house.passes(300)
        assert done.count(f"restoreFile {FLAG}") == (0 if mishap is Mishap.NOT_ASKED else 1)

    run(test())


UNDO = ["UndoPermitted", "UndoIntended", "Undone", "Escalated", "Failed", "Kept", "Verified"]


@pytest.mark.parametrize("record", [one for one in UNDO if one != "Failed"])
@pytest.mark.parametrize("crash", [False, True], ids=["ended", "crashed"])
def test_an_undo_goes_on_after_a_restart_and_happens_once(record: str, crash: bool, tmp_path: Path) -> None:
    async def test() -> None:
        house = sick(tmp_path)
        done = paths(house)
        house.journal.after[record] = house.freezes if crash else house.ends_here
        async with house.crashing() if crash else house.running():
            await house.until(lambda: record in house.story())
            await house.passes(1)
        async with house.running():
            await house.until(lambda: escalated(house))
            await house.passes(100)
        assert done == [f"removeFile {FLAG}", "restart", f"restoreFile {FLAG}"]
        assert len(house.incidents()) == 1

    run(test())


def test_a_stop_lets_no_undo_through(tmp_path: Path) -> None:
    async def test() -> None:
        house = sick(tmp_path)

        async def stop() -> None:
            house.stopped = True

        house.journal.after["UndoPermitted"] = stop
        async with house.running():
            await house.until(lambda: escalated(house))
        assert house.effects() == ["removeFile", "restart"]
        assert "UndoTurned" in house.story()

    run(test())
