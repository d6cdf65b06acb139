"""The journal in files: durable or refused, verified when opened, and honest about damage."""

import asyncio
import errno
import gzip
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from pitcrew.adapters.journal.disk import Disk, read_key
from pitcrew.adapters.journal.files import JournalFiles, Limits, audit
from pitcrew.core.chain import Damage
from pitcrew.core.errors import InvalidInput, JournalDamaged, JournalUnwritable
from pitcrew.core.heads import OutsideHead
from pitcrew.core.record import FRAGMENT_SET_ASIDE, SEALED, Entry, Instant, Record
from tests.fakes.clock import FakeClock

GOLDEN = Path(__file__).parent.parent / "golden" / "journal-v1.jsonl"
KEY = b"0123456789abcdef0123456789abcdef"


class CountingDisk(Disk):
    """The real disk, counting its fsyncs; while `held` they wait."""

    def __init__(self) -> None:
        self.syncs = 0
        self.writes = 0
        self.arrived = threading.Event()
        self.go = threading.Event()
        self.go.set()

    def write(self, descriptor: int, data: bytes) -> None:
        self.writes += 1
        super().write(descriptor, data)

    def sync(self, descriptor: int) -> None:
        self.syncs += 1
        self.arrived.set()
        assert self.go.wait(30)
        super().sync(descriptor)


class FailingDisk(Disk):
    """A disk that runs full after a part of a write, or forgets what it was to keep."""

    def __init__(self) -> None:
        self.full = False
        self.sync_failures = 0
        self.truncate_failures = 0

    def write(self, descriptor: int, data: bytes) -> None:
        if self.full:
            os.write(descriptor, data[: len(data) // 2])
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        super().write(descriptor, data)

    def sync(self, descriptor: int) -> None:
        if self.sync_failures:
            self.sync_failures -= 1
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        super().sync(descriptor)

    def truncate(self, descriptor: int, size: int) -> None:
        if self.truncate_failures:
            self.truncate_failures -= 1
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        super().truncate(descriptor, size)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal"


@contextmanager
def opened(
    path: Path,
    *,
    clock: FakeClock | None = None,
    limits: Limits | None = None,
    key: bytes | None = None,
    disk: Disk | None = None,
) -> Iterator[JournalFiles]:
    journal = JournalFiles.open(path, lambda last: clock or FakeClock(), limits=limits, key=key, disk=disk)
    try:
        yield journal
    finally:
        journal.close()


def note(number: int) -> Entry:
    return Entry(type="Noted", incident="victim-1", data={"n": number})


def append(journal: JournalFiles, *numbers: int) -> list[Record]:
    async def run() -> list[Record]:
        return [await journal.append(note(number)) for number in numbers]

    return asyncio.run(run())


def numbers(journal: JournalFiles) -> list[object]:
    return [record.data["n"] for record in journal.read() if record.type == "Noted"]


def flip(file: Path, at: int) -> None:
    raw = bytearray(file.read_bytes())
    raw[at] ^= 1
    file.write_bytes(raw)


def three_segments(path: Path) -> None:
    with opened(path, limits=Limits(segment_bytes_max=1)) as journal:
        append(journal, 1, 2, 3)


# Durable and in order


def test_the_files_are_for_their_owner_only(path: Path) -> None:
    with opened(path) as journal:
        append(journal, 1)
    assert (path.stat().st_mode & 0o777, (path / "000001.jsonl").stat().st_mode & 0o777) == (0o700, 0o600)


def test_reopening_goes_on_with_the_chain(path: Path) -> None:
    with opened(path) as journal:
        (first,) = append(journal, 1)
    with opened(path) as journal:
        assert journal.head == first.head
        (second,) = append(journal, 2)
        assert (second.seq, second.prev) == (2, first.hash)
    assert audit(path, heads=[OutsideHead(hash=second.hash)]).fault is None


def test_the_clock_goes_on_from_the_last_record(path: Path) -> None:
    with opened(path) as journal:
        append(journal, 1, 2)
        last = journal.chain.last
    seen: list[Record | None] = []

    def clock_after(record: Record | None) -> FakeClock:
        seen.append(record)
        return FakeClock()

    JournalFiles.open(path, clock_after).close()
    assert seen == [last]


def test_who_waits_together_shares_one_fsync(path: Path) -> None:
    disk = CountingDisk()
    with opened(path, disk=disk) as journal:
        append(journal, 0)
        disk.syncs = disk.writes = 0
        disk.arrived.clear()
        disk.go.clear()

        async def run() -> None:
            first = asyncio.create_task(journal.append(note(1)))
            await asyncio.to_thread(disk.arrived.wait, 30)
            rest = [asyncio.create_task(journal.append(note(number))) for number in range(2, 102)]
            await asyncio.sleep(0)
            assert journal.head.seq == 1, "nothing is reported before its fsync"
            disk.go.set()
            await asyncio.gather(first, *rest)

        asyncio.run(run())
        assert (disk.writes, disk.syncs) == (2, 2)
        assert numbers(journal) == list(range(102))


def test_a_closed_journal_refuses_and_keeps_what_waited(path: Path) -> None:
    with opened(path) as journal:
        append(journal, 1)
    with pytest.raises(JournalUnwritable, match="closed"):
        append(journal, 2)


class BrokenClock(FakeClock):
    """A clock with a bug."""

    def now(self) -> Instant:
        raise ZeroDivisionError("a bug in the clock")


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_bug_in_the_writer_leaves_nobody_waiting(path: Path) -> None:
    with opened(path, clock=BrokenClock()) as journal:
        with pytest.raises(JournalUnwritable, match="the journal writer failed"):
            append(journal, 1)
        journal.close()
        with pytest.raises(JournalUnwritable, match="closed"):
            append(journal, 2)


def test_every_flipped_bit_in_the_files_is_found(path: Path) -> None:
    three_segments(path)
    head = audit(path).head.hash
    for file in sorted(path.glob("*.jsonl")):
        whole = file.read_bytes()
        for at in range(len(whole)):
            flip(file, at)
            assert audit(path, heads=[OutsideHead(hash=head)]).fault is not None, (file.name, at)
            file.write_bytes(whole)
    assert audit(path, heads=[OutsideHead(hash=head)]).fault is None


APPEND_FOR_EVER = """
import asyncio, sys
from pathlib import Path
from pitcrew.adapters.clock.boot import BootClock
from pitcrew.adapters.journal.files import JournalFiles, Limits
from pitcrew.core.record import Entry

async def run(journal):
    async def one(number):
        record = await journal.append(Entry(type="Noted", data={"n": number, "padding": "x" * 5000}))
        print(record.seq, record.hash, flush=True)
    while True:
        await asyncio.gather(*map(one, range(20)))

asyncio.run(run(JournalFiles.open(Path(sys.argv[1]), BootClock.after, limits=Limits(segment_bytes_max=300_000))))
"""


def test_what_was_reported_durable_is_there_after_a_kill(path: Path) -> None:
    writer = subprocess.Popen([sys.executable, "-c", APPEND_FOR_EVER, str(path)], stdout=subprocess.PIPE, text=True)
    assert writer.stdout is not None
    reported = [writer.stdout.readline().split() for _ in range(150)]
    writer.kill()
    reported += [line.split() for line in writer.stdout if line.endswith("\n")]
    writer.wait()
    writer.stdout.close()
    with opened(path) as journal:
        kept = {(str(record.seq), record.hash) for record in journal.read()}
        assert {(seq, head) for seq, head in reported} <= kept
        append(journal, 1)
    assert audit(path).fault is None


# Rotation and archive


def test_a_full_segment_is_followed_by_a_new_one_of_the_same_chain(path: Path) -> None:
    three_segments(path)
    assert sorted(file.name for file in path.glob("*.jsonl")) == ["000001.jsonl", "000002.jsonl", "000003.jsonl"]
    with opened(path) as journal:
        assert numbers(journal) == [1, 2, 3]
        assert journal.chain.fault is None


def test_an_aged_segment_is_followed_by_a_new_one(path: Path) -> None:
    clock = FakeClock()
    limits = Limits(segment_age_max_s=100)
    with opened(path, clock=clock, limits=limits) as journal:
        append(journal, 1)
        clock.move(99)
        append(journal, 2)
    with opened(path, clock=clock, limits=limits) as journal:
        clock.move(1)
        append(journal, 3)
    assert [file.read_bytes().count(b"\n") for file in sorted(path.glob("*.jsonl"))] == [2, 1]


def test_old_segments_are_compressed_and_stay_part_of_the_chain(path: Path) -> None:
    three_segments(path)
    clock = FakeClock()
    clock.move(1000)
    with opened(path, clock=clock, limits=Limits(archive_after_s=1000)) as journal:
        assert asyncio.run(journal.archive()) == [1, 2]
        append(journal, 4)
        assert numbers(journal) == [1, 2, 3, 4]
    names = sorted(file.name for file in path.rglob("*.jsonl*"))
    assert names == ["000001.jsonl.gz", "000002.jsonl.gz", "000003.jsonl"]
    assert audit(path).head.seq == 4


def test_young_segments_are_not_compressed(path: Path) -> None:
    three_segments(path)
    with opened(path, limits=Limits(archive_after_s=1000)) as journal:
        assert asyncio.run(journal.archive()) == []


def test_archiving_that_was_cut_short_is_done_again(path: Path) -> None:
    three_segments(path)
    (path / "archive" / "000001.jsonl.gz").write_bytes(b"half")
    clock = FakeClock()
    clock.move(1000)
    with opened(path, clock=clock, limits=Limits(archive_after_s=1000)) as journal:
        assert numbers(journal) == [1, 2, 3]
        asyncio.run(journal.archive())
        assert numbers(journal) == [1, 2, 3]


def test_an_edited_archive_is_found(path: Path) -> None:
    test_old_segments_are_compressed_and_stay_part_of_the_chain(path)
    archive = path / "archive" / "000002.jsonl.gz"
    archive.write_bytes(gzip.compress(gzip.decompress(archive.read_bytes()).replace(b'"n":2', b'"n":9')))
    fault = audit(path).fault
    assert fault is not None
    assert (fault.place, fault.damage) == ("000002.jsonl:1", Damage.ALTERED)
    archive.write_bytes(archive.read_bytes()[:40])
    fault = audit(path).fault
    assert fault is not None
    assert (fault.place, fault.seq) == ("000002.jsonl:1", 2)


def test_a_journal_of_archives_only_goes_on_in_a_new_segment(path: Path) -> None:
    test_old_segments_are_compressed_and_stay_part_of_the_chain(path)
    (path / "000003.jsonl").unlink()
    with opened(path) as journal:
        append(journal, 9)
    assert audit(path).head.seq == 3
    assert (path / "000003.jsonl").exists()


# Fragments


@pytest.mark.parametrize("fragment", [b"{", b'{"v":1,"seq":3', b"\x00" * 100])
def test_a_write_that_a_crash_cut_short_is_set_aside_and_recorded(path: Path, fragment: bytes) -> None:
    with opened(path) as journal:
        append(journal, 1, 2)
    with open(path / "000001.jsonl", "ab") as file:
        file.write(fragment)
    with opened(path) as journal:
        append(journal, 3)
        assert numbers(journal) == [1, 2, 3]
        (told,) = [record for record in journal.read() if record.type == FRAGMENT_SET_ASIDE]
        (kept,) = (path / "fragments").iterdir()
        assert (told.seq, told.data["fragment"], told.data["bytes"]) == (3, kept.name, len(fragment))
        assert kept.read_bytes() == fragment
    with opened(path) as journal:
        assert [record.type for record in journal.read()].count(FRAGMENT_SET_ASIDE) == 1


def test_a_fragment_that_a_full_disk_keeps_from_being_recorded_is_recorded_before_anything_new(path: Path) -> None:
    with opened(path) as journal:
        append(journal, 1)
    (path / "fragments" / "000001-0-abc").write_bytes(b"left by a crash after it was set aside")
    disk = FailingDisk()
    disk.full = True
    with opened(path, disk=disk) as journal:
        assert journal.head.seq == 1
        disk.full = False
        append(journal, 2)
        assert [record.type for record in journal.read()] == ["Noted", FRAGMENT_SET_ASIDE, "Noted"]


# A disk that fails


@pytest.mark.parametrize("fault", ["full", "sync", "sync, and once more while mending"])
def test_what_could_not_be_made_durable_is_refused_and_leaves_no_trace(path: Path, fault: str) -> None:
    disk = FailingDisk()
    with opened(path, disk=disk) as journal:
        (first,) = append(journal, 1)
        before = (path / "000001.jsonl").read_bytes()
        disk.full = fault == "full"
        disk.sync_failures = {"full": 0, "sync": 1}.get(fault, 2)
        with pytest.raises(JournalUnwritable, match=r"cannot be written: (No space left|Input/output)"):
            append(journal, 2)
        assert journal.head == first.head
        assert numbers(journal) == [1]
        disk.full = False
        append(journal, 3)
        assert (path / "000001.jsonl").read_bytes().startswith(before)
        assert numbers(journal) == [1, 3]
    assert audit(path).fault is None


def test_everybody_in_a_failed_batch_is_told(path: Path) -> None:
    disk = FailingDisk()
    with opened(path, disk=disk) as journal:
        disk.full = True

        async def run() -> list[object]:
            return await asyncio.gather(*(journal.append(note(n)) for n in range(20)), return_exceptions=True)

        assert {type(answer) for answer in asyncio.run(run())} == {JournalUnwritable}
        assert journal.head.seq == 0


def test_nothing_is_written_behind_bytes_that_cannot_be_cut_off(path: Path) -> None:
    disk = FailingDisk()
    with opened(path, disk=disk) as journal:
        append(journal, 1)
        disk.sync_failures, disk.truncate_failures = 1, 2
        for number in (2, 3):
            with pytest.raises(JournalUnwritable):
                append(journal, number)
        append(journal, 4)
        assert numbers(journal) == [1, 4]
    assert audit(path).fault is None


def test_a_segment_that_somebody_else_writes_to_stops_everything(path: Path) -> None:
    with opened(path) as journal:
        append(journal, 1)
        with open(path / "000001.jsonl", "ab") as file:
            file.write(b"intruder\n")
        for _ in range(2):
            with pytest.raises(JournalDamaged, match="something else writes to it"):
                append(journal, 2)
        assert numbers(journal) == [1]
        asyncio.run(journal.seal_damage("ann", "a stray editor"))
        append(journal, 3)
        assert numbers(journal) == [1, 3]


# Damage


def test_a_damaged_journal_opens_to_be_read_and_refuses_to_be_written(path: Path) -> None:
    three_segments(path)
    flip(path / "000002.jsonl", 30)
    with opened(path) as journal:
        assert numbers(journal) == [1]
        assert journal.damage.startswith("000002.jsonl:1: record 2: altered:")
        with pytest.raises(JournalDamaged, match="pitcrew audit seal"):
            append(journal, 4)
        assert asyncio.run(journal.archive()) == ()


def test_a_person_seals_damage_and_the_chain_goes_on(path: Path) -> None:
    three_segments(path)
    flip(path / "000002.jsonl", 30)
    kept = {file.name: file.read_bytes() for file in path.glob("*.jsonl")}
    with opened(path) as journal:
        good = journal.head
        sealed = asyncio.run(journal.seal_damage("ann@example.org", "disk swapped"))
        append(journal, 5)
        assert numbers(journal) == [1, 5]
    assert sealed.type == SEALED
    assert (sealed.seq, sealed.prev) == (2, good.hash)
    assert (sealed.data["actor"], sealed.data["reason"]) == ("ann@example.org", "disk swapped")
    assert (sealed.data["place"], sealed.data["lastGood"]) == ("000002.jsonl:1", {"seq": 1, "hash": good.hash})
    assert {name: (path / name).read_bytes() for name in kept} == kept
    with opened(path) as journal:
        assert journal.damage == ""
        assert numbers(journal) == [1, 5]
        assert [str(gone.fault.place) for gone in journal.chain.acknowledged] == ["000002.jsonl:1"]
        append(journal, 6)
    assert audit(path).fault is None


@pytest.mark.parametrize(("actor", "reason"), [("", "why"), ("ann", " ")])
def test_nobody_seals_for_no_reason(path: Path, actor: str, reason: str) -> None:
    with opened(path) as journal, pytest.raises(InvalidInput, match="name who"):
        asyncio.run(journal.seal_damage(actor, reason))


def test_a_whole_journal_is_not_sealed(path: Path) -> None:
    with opened(path) as journal, pytest.raises(InvalidInput, match="nothing to seal"):
        asyncio.run(journal.seal_damage("ann", "just in case"))


def test_a_full_disk_leaves_damage_unsealed(path: Path) -> None:
    three_segments(path)
    flip(path / "000002.jsonl", 30)
    disk = FailingDisk()
    with opened(path, disk=disk) as journal:
        disk.full = True
        with pytest.raises(JournalUnwritable):
            asyncio.run(journal.seal_damage("ann", "why"))
        disk.full = False
        with pytest.raises(JournalDamaged):
            append(journal, 4)
        asyncio.run(journal.seal_damage("ann", "why"))
        append(journal, 5)
    assert audit(path).fault is None


@pytest.mark.parametrize("gone", [1, 2])
def test_a_removed_segment_is_found(path: Path, gone: int) -> None:
    three_segments(path)
    (path / f"00000{gone}.jsonl").unlink()
    fault = audit(path).fault
    assert fault is not None
    assert (fault.seq, fault.damage) == (gone, Damage.REMOVED)


def test_a_removed_last_segment_shows_against_the_head(path: Path) -> None:
    three_segments(path)
    head = audit(path).head.hash
    (path / "000003.jsonl").unlink()
    assert audit(path).fault is None
    fault = audit(path, heads=[OutsideHead(hash=head)]).fault
    assert fault is not None
    assert fault.damage is Damage.TRUNCATED


def test_a_record_altered_while_running_is_not_replayed(path: Path) -> None:
    with opened(path) as journal:
        append(journal, 1)
        file = path / "000001.jsonl"
        file.write_bytes(file.read_bytes().replace(b'"n":1', b'"n":2'))
        with pytest.raises(JournalDamaged, match=r"000001\.jsonl:1: its bytes"):
            list(journal.read())


# The key


def test_a_keyed_journal_is_kept_and_verified_with_its_key(path: Path) -> None:
    with opened(path, key=KEY) as journal:
        append(journal, 1, 2)
    assert audit(path, key=KEY).unkeyed == 0
    fault = audit(path, key=KEY[::-1]).fault
    assert fault is not None
    assert fault.damage is Damage.FORGED
    with pytest.raises(InvalidInput, match="kept with a key"):
        JournalFiles.open(path, lambda last: FakeClock())


def test_a_key_file_must_be_private_and_long(tmp_path: Path) -> None:
    file = tmp_path / "key"
    with pytest.raises(InvalidInput, match="cannot be read"):
        read_key(file)
    file.write_bytes(KEY + b"\n")
    file.chmod(0o640)
    with pytest.raises(InvalidInput, match="chmod 600"):
        read_key(file)
    file.chmod(0o600)
    assert read_key(file) == KEY
    file.write_bytes(b"short")
    with pytest.raises(InvalidInput, match="at least 32"):
        read_key(file)
    with pytest.raises(InvalidInput, match="not a regular file"):
        read_key(tmp_path)


def test_there_is_no_journal_where_there_is_no_directory(path: Path) -> None:
    with pytest.raises(InvalidInput, match="no journal here"):
        audit(path)


# Released journals replay for ever


def test_the_golden_journal_of_the_first_schema_replays(path: Path) -> None:
    path.mkdir()
    (path / "000001.jsonl").write_bytes(GOLDEN.read_bytes())
    chain = audit(path, key=KEY, heads=[OutsideHead(hash=GOLDEN.with_suffix(".head").read_text().strip())])
    assert (chain.fault, chain.head.seq, chain.unkeyed) == (None, 4, 2)
    with opened(path, key=KEY) as journal:
        assert [record.type for record in journal.read()] == ["Opened", "Noted", "Noted", "Closed"]
        assert [record.type for record in journal.read("victim-7")] == ["Opened", "Closed"]
        append(journal, 5)
        assert journal.head.seq == 5
