"""The records of Driver, Official and Mechanic are held against each other, permit by permit."""

import json
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from pitcrew.adapters.ledger.files import LedgerFile
from pitcrew.core.incident import Incident
from pitcrew.core.record import Entry, Instant
from pitcrew.core.report import Section, section_text
from pitcrew.entrypoints.cli.joined import joined, read_ledgers
from tests.loop import virtual
from tests.loop.composed import House

OFFICIAL, MECHANIC = Path("official/ledger.jsonl"), Path("mechanic/spent.jsonl")


@pytest.fixture
def healed(tmp_path: Path) -> Incident:
    """An incident that was healed, with the ledgers of both in its state directory."""
    kept: list[Incident] = []

    async def play() -> None:
        house = House(tmp_path)
        async with house.running():
            house.flag()
            await house.healed()
        kept.append(house.incident)

    virtual.run(play())
    return kept[0]


def faults(section: Section) -> list[str]:
    """Every contradiction that is told."""
    return [line.strip().removeprefix("CONTRADICTION: ") for line in section.lines if "CONTRADICTION" in line]


def rewritten(path: Path, change: Callable[[dict[str, Any]], Entry]) -> None:
    """A ledger that was kept otherwise: each of its lines is changed, and the chain holds."""
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    path.unlink()
    ledger = LedgerFile(path=path)
    ledger.read()
    for line in lines:
        at = Instant(at=datetime.fromisoformat(line["at"]), boot=line["boot"], boottime_ns=line["boottime_ns"])
        ledger.append(change(line), at)


def entry(line: dict[str, Any], **data: Any) -> Entry:
    """The line as it was, but for some of its data."""
    return Entry(type=line["type"], data={**line["data"], **data}, service=line["service"], incident=line["incident"])


def test_the_three_records_of_a_permit_join_up(healed: Incident, tmp_path: Path) -> None:
    section = joined(healed, read_ledgers(tmp_path, ()))
    assert healed.attempt.permit is not None
    (line,) = section.lines
    assert line.startswith(f"permit {healed.attempt.permit.serial} to do plan {healed.attempt.plan.digest[:16]}")
    for part in ("in the journal", "Official: given", "own risk Low", "Mechanic: spent", "settled Done"):
        assert part in line
    assert section.data["contradictions"] == 0  # type: ignore[index,call-overload]
    assert section.title in section_text(section)


def test_ledgers_of_elsewhere_are_named_and_what_is_not_here_is_said(healed: Incident, tmp_path: Path) -> None:
    away = tmp_path / "away"
    away.mkdir()
    for number, name in enumerate((OFFICIAL, MECHANIC)):
        (tmp_path / name).rename(away / f"{number}.jsonl")
    alone = joined(healed, read_ledgers(tmp_path, ()))
    assert [line for line in alone.lines if "no record of the" in line] == [
        "no record of the Official is here; name its ledger with --ledger",
        "no record of the Mechanic is here; name its ledger with --ledger",
    ]
    given = joined(healed, read_ledgers(tmp_path, sorted(away.iterdir())))
    assert "settled Done" in given.lines[0]
    lost = read_ledgers(tmp_path, [tmp_path / "nowhere"])
    assert lost.doubts == (f"{tmp_path / 'nowhere'}: there is no such ledger",)


def test_a_permit_that_the_official_never_gave_is_told(healed: Incident, tmp_path: Path) -> None:
    rewritten(tmp_path / OFFICIAL, lambda line: entry(line, serial="f" * 32))
    found = faults(joined(healed, read_ledgers(tmp_path, ())))
    assert found == [
        "the journal has this permit, and the Official gave none with this serial",
        "the Mechanic spent it, and the Official gave none with this serial",
    ]


def test_a_spent_permit_that_the_journal_does_not_know_is_told(healed: Incident, tmp_path: Path) -> None:
    for name in (OFFICIAL, MECHANIC):
        rewritten(tmp_path / name, lambda line: entry(line, serial="f" * 32))
    found = faults(joined(healed, read_ledgers(tmp_path, ())))
    assert "the Mechanic spent it, and the journal does not know it" in found
    assert "the journal says that it was done, and the Mechanic spent no permit with this serial" in found


def test_records_of_different_plans_and_ends_are_told(healed: Incident, tmp_path: Path) -> None:
    rewritten(tmp_path / OFFICIAL, lambda line: entry(line, plan="0" * 64))
    rewritten(
        tmp_path / MECHANIC, lambda line: entry(line, **({"end": "NotDone"} if line["type"] == "Settled" else {}))
    )
    found = faults(joined(healed, read_ledgers(tmp_path, ())))
    assert found[0] == "the journal says that it was done, and the Mechanic that it was not"
    assert found[1].startswith("they tell of different plans: Official: do plan 0000000000000000; Mechanic: do plan")
    assert found[2] == "the plan in the Official's line has another digest than the permit"


def test_a_damaged_ledger_is_not_believed(healed: Incident, tmp_path: Path) -> None:
    path = tmp_path / MECHANIC
    path.write_bytes(path.read_bytes().replace(b"Done", b"Dome", 1))
    found = read_ledgers(tmp_path, ())
    assert found.mechanic is None
    assert "nothing may rest on it" in found.doubts[0]
