"""The records of Driver, Official and Mechanic side by side: for each permit of an incident, what each of them kept.

The three keep their own, and none can write another's; where one lacks what another has, or says otherwise, it is said.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pitcrew.adapters.ledger.reading import LedgerReader
from pitcrew.core.action import Seen
from pitcrew.core.errors import JournalError
from pitcrew.core.incident import Attempt, Incident
from pitcrew.core.permit import Direction
from pitcrew.core.record import Json, Record, digest
from pitcrew.core.report import Section, one_line
from pitcrew.mechanic.spent import SETTLED, SPENT, End
from pitcrew.official.asked import ASKED, DECIDED
from pitcrew.official.issued import TYPE as PERMIT

OWN = (Path("official") / "ledger.jsonl", Path("mechanic") / "spent.jsonl")
"""The ledgers of a state directory."""
_OF_OFFICIAL, _OF_MECHANIC = (PERMIT, ASKED, DECIDED), (SPENT, SETTLED)


@dataclass(frozen=True, kw_only=True, slots=True)
class Ledgers:
    """What the ledgers hold; `official` and `mechanic` are None where none of that role is there, `doubts` say why one
    cannot be believed."""

    official: Sequence[Record] | None = None
    mechanic: Sequence[Record] | None = None
    doubts: tuple[str, ...] = ()


@dataclass(kw_only=True, slots=True)
class _Permit:
    """One permit by its serial, as each of the three tells it: plan digest and direction."""

    serial: str
    journal: tuple[str, str] | None = None
    issued: Record | None = None
    spent: Record | None = None
    settled: Record | None = None
    done: bool = False
    faults: list[str] = field(default_factory=list)


def read_ledgers(state: Path, given: Sequence[Path]) -> Ledgers:
    """The ledgers of a state directory and those that are named; each tells by its records whose it is."""
    official: list[Record] | None = None
    mechanic: list[Record] | None = None
    doubts = [f"{path}: there is no such ledger" for path in given if not path.is_file()]
    for path in (*(state / name for name in OWN if (state / name).is_file()), *(one for one in given if one.is_file())):
        try:
            records = LedgerReader(path=path).read()
        except JournalError as error:
            doubts.append(str(error))
            continue
        if any(record.type in _OF_OFFICIAL for record in records):
            official = [*(official or []), *records]
        elif any(record.type in _OF_MECHANIC for record in records):
            mechanic = [*(mechanic or []), *records]
        elif records:
            doubts.append(f"{path}: neither the Official's ledger nor a Mechanic's")
    return Ledgers(official=official, mechanic=mechanic, doubts=tuple(doubts))


def joined(incident: Incident, ledgers: Ledgers) -> Section:
    """What Official and Mechanic kept of one incident beside the journal, and where they contradict."""
    permits = _permits(incident, ledgers)
    for one in permits:
        one.faults += _faults(one, ledgers)
    lines = [*_missing(ledgers), *_asked(incident, ledgers.official or ())]
    for one in permits:
        lines += [_told(one, ledgers), *(f"  CONTRADICTION: {fault}" for fault in one.faults)]
    data: dict[str, Json] = {
        "permits": [_data(one) for one in permits],
        "doubts": list(ledgers.doubts),
        "contradictions": sum(len(one.faults) for one in permits),
    }
    title = "records of Official and Mechanic"
    return Section(key="records", title=title, lines=tuple(map(one_line, lines)), data=data)


def _missing(ledgers: Ledgers) -> Iterator[str]:
    for doubt in ledgers.doubts:
        yield f"not believed: {doubt}"
    for name, found in (("Official", ledgers.official), ("Mechanic", ledgers.mechanic)):
        if found is None:
            yield f"no record of the {name} is here; name its ledger with --ledger"


def _permits(incident: Incident, ledgers: Ledgers) -> list[_Permit]:
    """Every permit that any of the three tells of, in order of the journal, then of the ledgers."""
    found: dict[str, _Permit] = {}
    for attempt in incident.attempts:
        for permit, acted in ((attempt.permit, _done(attempt)), (attempt.undo_permit, False)):
            if permit is not None:
                kept = found.setdefault(permit.serial, _Permit(serial=permit.serial))
                kept.journal, kept.done = (permit.plan_digest, str(permit.direction)), acted
    for record in (*(ledgers.official or ()), *(ledgers.mechanic or ())):
        serial = record.data.get("serial")
        if not isinstance(serial, str) or not (serial in found or record.incident == incident.id):
            continue
        kept = found.setdefault(serial, _Permit(serial=serial))
        match record.type:
            case "Permit":
                kept.issued = record
            case "Spent":
                kept.spent = record
            case "Settled":
                kept.settled = record
            case _:
                continue
    return list(found.values())


def _done(attempt: Attempt) -> bool:
    return attempt.seen is Seen.DONE


def _says(record: Record) -> tuple[str, str]:
    return str(record.data.get("plan")), str(record.data.get("direction"))


def _faults(one: _Permit, ledgers: Ledgers) -> Iterator[str]:
    """Why the three do not tell the same of one permit."""
    if one.journal and one.issued is None and ledgers.official is not None:
        yield "the journal has this permit, and the Official gave none with this serial"
    if one.spent and one.issued is None and ledgers.official is not None:
        yield "the Mechanic spent it, and the Official gave none with this serial"
    if one.spent and one.journal is None:
        yield "the Mechanic spent it, and the journal does not know it"
    if one.done and one.spent is None and ledgers.mechanic is not None:
        yield "the journal says that it was done, and the Mechanic spent no permit with this serial"
    if one.done and one.settled and one.settled.data.get("end") == End.NOT_DONE:
        yield "the journal says that it was done, and the Mechanic that it was not"
    told = {name: _says(record) for name, record in _records(one)} | ({"journal": one.journal} if one.journal else {})
    if len(set(told.values())) > 1:
        kept = "; ".join(f"{name}: {direction} plan {plan[:16]}" for name, (plan, direction) in told.items())
        yield f"they tell of different plans: {kept}"
    plan = one.issued.data.get("plan_data") if one.issued else None
    if one.issued and isinstance(plan, Mapping) and digest(plan) != one.issued.data.get("plan"):
        yield "the plan in the Official's line has another digest than the permit"


def _records(one: _Permit) -> Iterator[tuple[str, Record]]:
    for name, record in (("Official", one.issued), ("Mechanic", one.spent), ("Mechanic at its end", one.settled)):
        if record is not None:
            yield name, record


def _asked(incident: Incident, records: Sequence[Record]) -> Iterator[str]:
    for record in records:
        if record.incident == incident.id and record.type == ASKED:
            plan, risk = str(record.data.get("plan_digest"))[:16], _level(record)
            yield f"{record.at:%H:%M:%S} the Official asked people about plan {plan}, own risk {risk}"
        if record.incident == incident.id and record.type == DECIDED:
            yield f"{record.at:%H:%M:%S} the Official took: {record.data.get('decision')} by {record.data.get('by')}"


def _level(record: Record) -> str:
    risk = record.data.get("risk")
    return f"{risk.get('level')}, {risk.get('score')} of 100" if isinstance(risk, Mapping) else "not kept"


def _told(one: _Permit, ledgers: Ledgers) -> str:
    plan, direction = one.journal or next((_says(record) for _, record in _records(one)), ("", str(Direction.DO)))
    told = [f"permit {one.serial} to {direction} plan {plan[:16]}: {'' if one.journal else 'not '}in the journal"]
    if ledgers.official is not None:
        given = f"given {one.issued.at:%H:%M:%S}, own risk {_level(one.issued)}" if one.issued else "not in its ledger"
        told.append(f"Official: {given}")
    if ledgers.mechanic is not None:
        spent = f"spent {one.spent.at:%H:%M:%S}" if one.spent else "not spent"
        end = f", settled {one.settled.data.get('end')} {one.settled.at:%H:%M:%S}" if one.settled else ""
        told.append(f"Mechanic: {spent}{end}")
    return "; ".join(told)


def _data(one: _Permit) -> Json:
    return {
        "serial": one.serial,
        "inJournal": one.journal is not None,
        "givenAt": one.issued.at.isoformat() if one.issued else None,
        "ownRisk": one.issued.data.get("risk") if one.issued else None,
        "spentAt": one.spent.at.isoformat() if one.spent else None,
        "end": str(one.settled.data.get("end")) if one.settled else None,
        "contradictions": list(one.faults),
    }
