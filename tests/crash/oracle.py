"""What must hold whenever PitCrew was killed, told from the disk and from witnesses outside it.

Each rule names what was broken and where. The ledgers are read as the roles themselves read them; effects are those
that witnesses saw, never what the wrapped ports counted.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from pathlib import Path

from pitcrew.adapters.journal.files import audit
from pitcrew.adapters.journal.segments import Layout, lines
from pitcrew.adapters.ledger.files import LedgerFile
from pitcrew.core.approval import Decision
from pitcrew.core.event import (
    EVENT_TYPES,
    Decided,
    Intended,
    Judged,
    Permitted,
    Planned,
    UndoIntended,
    UndoPermitted,
    from_record,
)
from pitcrew.core.heads import OutsideHead
from pitcrew.core.incident import (
    Phase,
    replay_all,
)
from pitcrew.core.permit import Direction
from pitcrew.core.policy import Effect
from pitcrew.core.record import FRAGMENT_SET_ASIDE, Record, parse
from pitcrew.mechanic.spent import SPENT, End, Uses
from pitcrew.official.issued import TYPE as PERMIT


class Violation(Exception):
    """Something that must hold does not."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Ending:
    """How a story ended: for users, on disk, in the books, and what was done to the workload on the way."""

    answer: int
    health: str
    reports: tuple[str, ...]
    files: tuple[str, ...]
    incidents: tuple[str, ...]
    effects: tuple[tuple[str, int], ...]


def incidents_in(records: Sequence[Record]) -> tuple[str, ...]:
    """Every incident with its outcome and phase, in order of opening."""
    return tuple(f"{one.id} {one.outcome} {one.phase}" for one in replay_all(records))


def is_quiet(records: Sequence[Record]) -> bool:
    """Whether there was an incident, and none is left that PitCrew has to move on."""
    found = replay_all(records)
    return bool(found) and all(
        one.phase is Phase.CLOSED or (one.phase is Phase.ESCALATED and one.reported_events == one.events)
        for one in found
    )


def at_death(records: Sequence[Record], witnessed: Counter[str]) -> Iterator[str]:
    """What must hold on the disk that a kill leaves behind: no effect without a durable intent (S1)."""
    intents = sum(record.type in ("Intended", "UndoIntended") for record in records)
    if witnessed.total() > intents:
        yield f"{dict(witnessed)} happened with {intents} intents in the journal when it was killed"


def at_the_end(state: Path, head: str | None, torn: int, witnessed: Counter[str]) -> Iterator[str]:
    """What must hold of journal and ledgers.

    `head` is the last record that was durable at the last kill, `torn` how many writes of the journal were cut short.
    """
    chain = audit(state / "journal", heads=[OutsideHead(hash=head)] if head else [])
    if chain.fault is not None:
        yield f"journal: {chain.fault}"
        return
    records = _journal(state)
    if (told := sum(record.type == FRAGMENT_SET_ASIDE for record in records)) != torn:
        yield f"{torn} writes of the journal were cut short, and it tells of {told}"
    kept = LedgerFile(path=_permits(state)).read()
    issued = {str(record.data["serial"]): record.at for record in kept if record.type == PERMIT}
    used = LedgerFile(path=state / "mechanic" / "spent.jsonl").read()
    intended = dict(_intents(records))
    yield from _out_of_order(records, issued)
    yield from _unintended(used, intended)
    yield from _repeated(used, witnessed)


def _permits(state: Path) -> Path:
    return state / "official" / "ledger.jsonl"


def _journal(state: Path) -> Sequence[Record]:
    return [parse(line) for _, line in lines(Layout(directory=state / "journal"))]


def _intents(records: Sequence[Record]) -> Iterator[tuple[str, datetime]]:
    for record in records:
        if record.type in ("Intended", "UndoIntended"):
            yield str(record.data["trace"]["op"]), record.at  # type: ignore[index,call-overload]


def _out_of_order(records: Sequence[Record], issued: dict[str, datetime]) -> Iterator[str]:
    """S1: verdict Allow, then permit, then intent, for one and the same digest."""
    planned: dict[str, str] = {}
    allowed: set[str] = set()
    permitted: set[str] = set()
    for record in records:
        if record.type not in EVENT_TYPES:
            continue
        match from_record(record):
            case Planned(plan=plan):
                planned[record.incident] = plan.digest
            case Judged(verdict=verdict) if verdict.effect is Effect.ALLOW:
                allowed.add(planned[record.incident])
            case Decided(approval=approval) if approval.decision is Decision.APPROVE:
                allowed.add(approval.plan_digest)
            case Permitted(permit=permit) | UndoPermitted(permit=permit):
                permitted.add(permit.serial)
                if permit.plan_digest not in allowed:
                    yield f"record {record.seq}: a permit for a plan without an earlier Allow"
                if not (at := issued.get(permit.serial)) or at > record.at:
                    yield f"record {record.seq}: a permit that the Official's ledger does not show before it"
            case Intended(trace=trace) | UndoIntended(trace=trace) if trace.op not in permitted:
                yield f"record {record.seq}: an intent without an earlier permit"
            case _:
                pass


def _unintended(used: Sequence[Record], intended: dict[str, datetime]) -> Iterator[str]:
    """S1: nothing is spent before its intent is durable."""
    for record in used:
        at = intended.get(str(record.data["serial"]))
        if record.type == SPENT and (at is None or at > record.at):
            yield f"spent record {record.seq}: a permit was spent without an earlier intent in the journal"


def _repeated(used: Sequence[Record], witnessed: Counter[str]) -> Iterator[str]:
    """S2: at most one effect for each plan and direction, and as many in the world as in the books."""
    uses = Uses()
    for record in used:
        uses.add(record)
    spent = [use for use in uses.by_serial.values() if use.trace]
    for (plan, direction), times in Counter((u.plan, u.direction) for u in spent if u.end is not End.NOT_DONE).items():
        if times > 1:
            yield f"plan {plan[:12]} was carried out {times} times ({direction})"
    yield from (f"permit {use.serial[:12]} was spent and never settled" for use in spent if use.end is None)
    done = sum(use.end is End.DONE for use in spent)
    if witnessed.total() != done:
        directions = [str(Direction(use.direction)) for use in spent if use.end is End.DONE]
        yield f"witnesses saw {dict(witnessed)}, and {done} permits are settled as done ({', '.join(directions)})"


def differences(expected: Ending, ending: Ending) -> Iterator[str]:
    """Where an ending is not that of the story without a kill."""
    for each in fields(Ending):
        before, after = getattr(expected, each.name), getattr(ending, each.name)
        if before != after:
            yield f"{each.name}: {after}, and without a kill {before}"


def doubled(expected: Ending, ending: Ending) -> int:
    """Effects that a witness saw beyond those without a kill."""
    return (Counter(dict(ending.effects)) - Counter(dict(expected.effects))).total()


def lost(expected: Ending, ending: Ending) -> int:
    """Incidents that came to no end, or to none like that without a kill."""
    return len(set(expected.incidents) - set(ending.incidents))
