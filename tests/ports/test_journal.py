"""The contract of the Journal port, on the fake and on each adapter."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from pitcrew.adapters.journal.files import JournalFiles
from pitcrew.core.errors import InvalidInput
from pitcrew.core.record import GENESIS, SEALED, Entry, Head
from pitcrew.ports import Journal
from tests.fakes.clock import FakeClock
from tests.fakes.journal import FakeJournal


@pytest.fixture(params=["fake", "files"])
def journal(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Journal]:
    if request.param == "fake":
        yield FakeJournal(FakeClock())
    else:
        files = JournalFiles.open(tmp_path / "journal", lambda last: FakeClock())
        yield files
        files.close()


def opened(number: int, incident: str = "victim-1") -> Entry:
    return Entry(type="Opened", service="default/victim", incident=incident, data={"n": number})


def test_an_empty_journal_has_the_head_of_nothing(journal: Journal) -> None:
    assert journal.head == Head(seq=0, hash=GENESIS)
    assert list(journal.read()) == []


def test_a_record_is_there_when_append_returns(journal: Journal) -> None:
    record = asyncio.run(journal.append(opened(1)))
    assert list(journal.read()) == [record]
    assert journal.head == record.head
    assert (record.seq, record.prev, record.service, record.data) == (1, GENESIS, "default/victim", {"n": 1})
    assert record.instant == FakeClock().now()


def test_records_appended_at_once_stand_in_the_order_of_their_calls(journal: Journal) -> None:
    async def run() -> None:
        await asyncio.gather(*(journal.append(opened(number)) for number in range(50)))

    asyncio.run(run())
    records = list(journal.read())
    assert [record.data["n"] for record in records] == list(range(50))
    assert [record.prev for record in records] == [GENESIS, *(record.hash for record in records[:-1])]


def test_one_incident_is_read_by_its_own_records(journal: Journal) -> None:
    async def run() -> None:
        await journal.append(opened(1, "victim-1"))
        await journal.append(opened(2, "victim-12"))
        await journal.append(Entry(type="Noted", incident="", data={"incident": "victim-1"}))
        await journal.append(opened(3, "victim-1"))

    asyncio.run(run())
    assert [record.data["n"] for record in journal.read("victim-1")] == [1, 3]


def test_what_cannot_be_spelt_harms_its_own_caller_only(journal: Journal) -> None:
    async def run() -> tuple[object, ...]:
        bad = Entry(type="Opened", data={"ratio": 0.5})  # type: ignore[dict-item]
        return await asyncio.gather(
            journal.append(opened(1)), journal.append(bad), journal.append(opened(2)), return_exceptions=True
        )

    _, refused, _ = asyncio.run(run())
    assert isinstance(refused, InvalidInput)
    assert "data.ratio: 0.5 is a float" in str(refused)
    assert [(record.seq, record.data["n"]) for record in journal.read()] == [(1, 1), (2, 2)]


def test_nobody_appends_a_seal(journal: Journal) -> None:
    with pytest.raises(InvalidInput, match="only a person"):
        asyncio.run(journal.append(Entry(type=SEALED, data={})))


def test_who_stops_waiting_takes_nothing_back(journal: Journal) -> None:
    async def run() -> None:
        waiting = asyncio.create_task(journal.append(opened(1)))
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        await journal.append(opened(2))

    asyncio.run(run())
    assert [record.data["n"] for record in journal.read()] == [1, 2]
