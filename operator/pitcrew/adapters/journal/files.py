"""The journal in files: one chain over JSONL segments, written by one thread, one fsync for all who wait."""

import asyncio
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

from pitcrew.adapters.journal.disk import Disk
from pitcrew.adapters.journal.fragments import fragment_entry, kept_fragments, set_aside
from pitcrew.adapters.journal.segments import Layout, archive_segment, lines, segment_lines
from pitcrew.adapters.journal.tail import Tail
from pitcrew.core.chain import Chain, verify
from pitcrew.core.errors import InvalidInput, JournalDamaged, JournalUnwritable
from pitcrew.core.heads import OutsideHead
from pitcrew.core.record import (
    FRAGMENT_SET_ASIDE,
    SEALED,
    Entry,
    Head,
    Record,
    canonical,
    hash_holds,
    parse,
    seal,
)
from pitcrew.core.untrusted import clean
from pitcrew.ports import Clock


@dataclass(frozen=True, kw_only=True, slots=True)
class Limits:
    """When the journal goes on in a new file, and when old files are compressed."""

    segment_bytes_max: int = 16 << 20
    """A segment that reached this is closed; small enough to read and compress in a blink."""
    segment_age_max_s: int = 86_400
    """A segment whose first record is older is closed, so that archiving by age has whole days to take."""
    archive_after_s: int = 30 * 86_400
    """A closed segment whose last record is older is compressed; it stays part of the chain."""
    batch_records_max: int = 512
    """How many records share one write, which bounds what one waiter waits for."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Waiting:
    entry: Entry
    future: "Future[Record]"


def audit(directory: Path, *, key: bytes | None = None, heads: Sequence[OutsideHead] = ()) -> Chain:
    """What the files of a journal prove, read only. A journal in use may show its last write as a fragment.

    Raises InvalidInput when there is no such directory, JournalUnwritable when it cannot be read.
    """
    if not directory.is_dir():
        raise InvalidInput(f"{directory}: no journal here; give the state directory of an operator")
    return _verified(Layout(directory=directory), key, heads)


def _verified(layout: Layout, key: bytes | None, heads: Sequence[OutsideHead] = ()) -> Chain:
    return verify(_stored(layout), key=key, heads=heads)


def _stored(layout: Layout) -> Iterator[tuple[str, bytes]]:
    try:
        yield from lines(layout)
    except OSError as error:
        raise _unwritable(layout, "be read", error) from None


def _unwritable(layout: Layout, what: str, error: OSError) -> JournalUnwritable:
    return JournalUnwritable(f"{layout.directory}: the journal cannot {what}: {error.strerror or error}; mend the disk")


class JournalFiles:
    """The Journal port on disk. Made by `open`; whoever opens it holds the lock of the state directory."""

    def __init__(
        self, layout: Layout, chain: Chain, clock: Clock, tail: Tail, *, limits: Limits, key: bytes | None, disk: Disk
    ) -> None:
        self.clock = clock
        """The trusted clock that stamps the records, going on from the last one."""
        self._layout = layout
        self._chain = chain
        self._tail = tail
        self._limits = limits
        self._key = key
        self._disk = disk
        self._damage = str(chain.fault or "")
        self._owed: Sequence[Entry] = ()
        self._queue: list[_Waiting] = []
        self._closed = False
        self._wake = threading.Condition()
        self._writing = threading.Lock()
        self._writer = threading.Thread(target=self._run, name="journal-writer", daemon=True)

    @classmethod
    def open(
        cls,
        directory: Path,
        clock_after: Callable[[Record | None], Clock],
        *,
        limits: Limits | None = None,
        key: bytes | None = None,
        disk: Disk | None = None,
    ) -> "JournalFiles":
        """Read and verify everything, set a cut-off write aside, and be ready to append.

        A chain that does not hold still opens: `read` gives its good beginning, `append` refuses until `seal_damage`.

        Raises InvalidInput for a journal kept with a key that is opened without, JournalUnwritable when the files
        cannot be read or a fragment not be set aside.
        """
        layout, disk = Layout(directory=directory), disk or Disk()
        try:
            layout.create(disk)
            chain = set_aside(layout, _verified(layout, key), disk)
        except OSError as error:
            raise _unwritable(layout, "be opened", error) from None
        if key is None and chain.last is not None and chain.last.mac:
            raise InvalidInput(f"{directory}: this journal is kept with a key; give the file of its key")
        clock, tail = clock_after(chain.last), _tail(layout, disk)
        journal = cls(layout, chain, clock, tail, limits=limits or Limits(), key=key, disk=disk)
        journal._owe(kept_fragments(layout))
        journal._writer.start()
        return journal

    @property
    def head(self) -> Head:
        return self._chain.head

    @property
    def chain(self) -> Chain:
        """What the journal proves: damage, damage acknowledged, records without mac."""
        return self._chain

    @property
    def damage(self) -> str:
        """Why nothing is appended until a person seals the journal; empty when all is well."""
        return self._damage

    async def append(self, entry: Entry) -> Record:
        if entry.type == SEALED:
            raise InvalidInput(f"{SEALED}: only a person seals damage, with `pitcrew audit seal`")
        waiting = _Waiting(entry=entry, future=Future())
        # A running future cannot be cancelled: who stops waiting takes nothing back.
        waiting.future.set_running_or_notify_cancel()
        with self._wake:
            if self._closed:
                raise JournalUnwritable(f"{self._layout.directory}: the journal is closed")
            self._queue.append(waiting)
            self._wake.notify()
        return await asyncio.wrap_future(waiting.future)

    def read(self, incident: str | None = None) -> Iterator[Record]:
        chain = self._chain
        named = b"" if incident is None else b'"incident":' + canonical(incident)
        for index, (place, line) in enumerate(_stored(self._layout)):
            if index >= chain.lines:
                return
            if named in line and chain.reads(index):
                record = _reread(place, line)
                if incident is None or record.incident == incident:
                    yield record

    async def seal_damage(self, actor: str, reason: str) -> Record:
        """A person acknowledges the damage: the chain goes on behind the last good record, in a new segment.

        The damaged files stay as they are; no record in them from the damage on is read again, which forgets what they
        told of incidents, permits and budgets. The `Sealed` record carries their digest.

        Raises InvalidInput when nothing is damaged or nobody is named, JournalUnwritable when the disk refuses.
        """
        if not actor.strip() or not reason.strip():
            raise InvalidInput("audit seal: name who acknowledges the damage, and why")
        return await asyncio.to_thread(self._seal_damage, clean(actor, 200), clean(reason, 2_000))

    async def archive(self) -> Sequence[int]:
        """Compress what is old enough; gives the numbers of those segments. Nothing of a damaged journal is touched.

        Raises JournalUnwritable when the disk refuses; nothing is lost then, and it can be tried again.
        """
        return await asyncio.to_thread(self._archive)

    def close(self) -> None:
        """Write what waits, then end the writer."""
        with self._wake:
            self._closed = True
            self._wake.notify()
        self._writer.join()
        self._tail.close()

    # The writer thread

    def _run(self) -> None:
        try:
            while batch := self._next_batch():
                self._commit(batch)
        finally:
            self._give_up()

    def _next_batch(self) -> Sequence[_Waiting]:
        """Everybody who waits, up to a bound; nobody only when the journal is closed."""
        with self._wake:
            self._wake.wait_for(lambda: self._queue or self._closed)
            batch = self._queue[: self._limits.batch_records_max]
            del self._queue[: len(batch)]
            return batch

    def _commit(self, batch: Sequence[_Waiting]) -> None:
        """One write and one fsync for the whole batch; everybody in it learns how it went, whatever happens."""
        try:
            with self._writing:
                self._pay_owed()
                written = self._write(batch)
        except (JournalUnwritable, JournalDamaged) as error:
            _fail(batch, error)
        else:
            for waiting, record in written:
                waiting.future.set_result(record)
        finally:
            _fail(batch, JournalUnwritable(f"{self._layout.directory}: the journal writer failed; see its traceback"))

    def _write(self, batch: Sequence[_Waiting]) -> Sequence[tuple[_Waiting, Record]]:
        if self._damage:
            raise JournalDamaged(f"{self._damage}; nothing acts until a person runs `pitcrew audit seal`")
        sealed, data = self._sealed(batch)
        if sealed:
            try:
                self._make_durable(sealed[-1][1], data, len(sealed))
            except JournalDamaged as error:
                self._damage = str(error)
                raise
        return sealed

    def _sealed(self, batch: Sequence[_Waiting]) -> tuple[Sequence[tuple[_Waiting, Record]], bytes]:
        """The records of those entries that can be spelt, chained; the others learn why theirs cannot."""
        head, sealed, data = self.head, [], bytearray()
        for waiting in batch:
            try:
                line = seal(waiting.entry, self.clock.now(), head, self._key)
            except InvalidInput as error:
                waiting.future.set_exception(error)
                continue
            record = parse(line)
            head = record.head
            sealed.append((waiting, record))
            data += line
        return sealed, bytes(data)

    def _make_durable(self, last: Record, data: bytes, count: int) -> None:
        limits = self._limits
        try:
            if self._tail.is_full(last.at, bytes_max=limits.segment_bytes_max, age_max_s=limits.segment_age_max_s):
                self._tail.rotate()
            self._tail.write(data, last.at)
        except OSError as error:
            raise _unwritable(self._layout, "be written", error) from None
        self._chain = replace(self._chain, head=last.head, last=last, lines=self._chain.lines + count)

    def _owe(self, fragments: Mapping[str, bytes]) -> None:
        """Record each fragment that has no record yet, now if the disk allows, else before anything new."""
        if fragments:
            told = {record.data.get("fragment") for record in self.read() if record.type == FRAGMENT_SET_ASIDE}
            self._owed = [fragment_entry(name, kept) for name, kept in fragments.items() if name not in told]
            self._commit(())

    def _pay_owed(self) -> None:
        if self._owed:
            self._write([_Waiting(entry=entry, future=Future()) for entry in self._owed])
            self._owed = ()

    def _give_up(self) -> None:
        with self._wake:
            self._closed = True
            left, self._queue = self._queue, []
        _fail(left, JournalUnwritable(f"{self._layout.directory}: the journal is closed"))

    # Sealing and archiving

    def _seal_damage(self, actor: str, reason: str) -> Record:
        with self._writing:
            chain = _verified(self._layout, self._key)
            if chain.fault is None:
                raise InvalidInput(f"{self._layout.directory}: the chain holds; there is nothing to seal")
            tail = Tail(self._layout, self._disk, number=self._layout.numbers()[-1] + 1)
            line = seal(_sealing(chain, actor, reason), self.clock.now(), chain.head, self._key)
            record = parse(line)
            try:
                tail.write(line, record.at)
            except OSError as error:
                raise _unwritable(self._layout, "be sealed", error) from None
            self._tail.close()
            self._tail, self._chain, self._damage = tail, _verified(self._layout, self._key), ""
            return record

    def _archive(self) -> Sequence[int]:
        if self._damage:
            return ()
        try:
            old = [
                number for number in self._layout.plain_numbers() if number < self._tail.number and self._is_old(number)
            ]
            for number in old:
                archive_segment(self._layout, number, self._disk)
        except OSError as error:
            raise _unwritable(self._layout, "be archived", error) from None
        return old

    def _is_old(self, number: int) -> bool:
        last = b""
        for line in segment_lines(self._layout, number):
            last = line
        try:
            return self.clock.now().at - parse(last).at >= timedelta(seconds=self._limits.archive_after_s)
        except InvalidInput:
            return False


def _fail(batch: Sequence[_Waiting], error: Exception) -> None:
    for waiting in batch:
        if not waiting.future.done():
            waiting.future.set_exception(error)


def _reread(place: str, line: bytes) -> Record:
    """A record that was good when the journal was opened."""
    try:
        record = parse(line)
    except InvalidInput as error:
        raise JournalDamaged(f"{place}: {error}") from None
    if not hash_holds(record, line):
        raise JournalDamaged(f"{place}: its bytes do not have the hash it carries")
    return record


def _sealing(chain: Chain, actor: str, reason: str) -> Entry:
    fault = chain.fault
    return Entry(
        type=SEALED,
        data={
            "actor": actor,
            "reason": reason,
            "place": fault.place if fault else "",
            "damage": fault.damage if fault else "",
            "detail": clean(fault.detail, 2_000) if fault else "",
            "lastGood": {"seq": chain.head.seq, "hash": chain.head.hash},
            "skipped": chain.skipped,
        },
    )


def _tail(layout: Layout, disk: Disk) -> Tail:
    """The end to write on: the newest segment, or a new one where that is archived or there is none."""
    newest = max(layout.numbers(), default=0)
    if newest not in layout.plain_numbers():
        return Tail(layout, disk, number=newest + 1)
    first = next(segment_lines(layout, newest), b"")
    try:
        begun_at = parse(first).at
    except InvalidInput:
        begun_at = None
    return Tail(layout, disk, number=newest, size=layout.plain(newest).stat().st_size, begun_at=begun_at)
