"""Every recorded decision, verified anew by whoever holds the state directory and the file of allowed signers.

What is believed is the chain of the Official's ledger, and of each signature only what the keys say; what each plan
does is looked up in the journal by its digest.
"""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pitcrew.adapters.ledger.reading import LedgerReader
from pitcrew.adapters.signatures.ssh import SshSignatures
from pitcrew.core.action import describe
from pitcrew.core.approval import Approval, ApprovalRequest, Signed, Unverified, progress, settled, statement
from pitcrew.core.errors import InvalidInput
from pitcrew.core.record import Json
from pitcrew.entrypoints.cli.output import Output, say, say_data, say_table, shown
from pitcrew.entrypoints.cli.state import incidents_of, told_by
from pitcrew.official.asked import TYPES, Questions
from pitcrew.settings import load


@dataclass(frozen=True, kw_only=True, slots=True)
class Audited:
    """One decision, what it was about, and what proves it; `fault` is why it does not hold, or empty."""

    request: ApprovalRequest
    approval: Approval
    does: str
    proof: str
    fault: str = ""


def audit_decisions(state: Path, incident: str | None, allowed_signers: Path | None, output: Output) -> bool:
    """Print every decision of the ledger; whether all hold.

    Raises InvalidInput where nobody was ever asked about the incident, JournalError where the ledger does not hold.
    """
    questions = _questions(state)
    asked = [one for one in questions.requests.values() if incident in (None, one.incident)]
    if incident is not None and not asked:
        raise InvalidInput(f"nobody was ever asked about {incident!r}; `pitcrew incidents` lists incidents")
    settings = load({"state": state, "allowed_signers": allowed_signers})
    path = settings.allowed_signers
    signatures = SshSignatures(path) if path else None
    found = asyncio.run(_audited(questions, asked, _plans(state), signatures))
    if output.for_tools:
        say_data({"holds": not any(one.fault for one in found), "items": [_data(one) for one in found]}, output)
    else:
        _show(found, [(one, questions.given(one.plan_digest)) for one in asked])
    return not any(one.fault for one in found)


def _questions(state: Path) -> Questions:
    questions = Questions()
    for record in LedgerReader(path=state / "official" / "ledger.jsonl").read():
        if record.type in TYPES:
            questions.add(record)
    return questions


def _plans(state: Path) -> Mapping[str, str]:
    """What each plan of the journal does, by its digest, which the journal does not choose: it is computed."""
    if not (state / "journal").is_dir():
        return {}
    attempts = [attempt for one in incidents_of(told_by(state)) for attempt in one.attempts]
    return {one.plan.digest: f"{describe(one.plan.action)} on {one.plan.target}" for one in attempts}


async def _audited(
    questions: Questions, asked: Sequence[ApprovalRequest], plans: Mapping[str, str], signatures: SshSignatures | None
) -> Sequence[Audited]:
    found: list[Audited] = []
    for request in asked:
        for approval in questions.given(request.plan_digest):
            does = plans.get(request.plan_digest, "a plan that is not in this journal")
            proof, fault = f"unsigned, known by: {approval.by}", ""
            if approval.signed is not None:
                proof, fault = await _proven(request, approval, approval.signed, signatures)
            found.append(Audited(request=request, approval=approval, does=does, proof=proof, fault=fault))
    return found


async def _proven(
    request: ApprovalRequest, approval: Approval, signed: Signed, signatures: SshSignatures | None
) -> tuple[str, str]:
    """What proves a signed decision, and why it does not hold, or an empty text."""
    if signed.statement != statement(request, approval.decision, approval.reason):
        return "a signature", "it was made over another decision than the one that is recorded"
    if signatures is None:
        return "a signature", "not verified: name the file with --allowed-signers"
    now = await signatures.verify(signed.statement, signed.signature, approval.at)
    if isinstance(now, Unverified):
        return "a signature", now.reason
    if now != signed.signer or now.principal != approval.name:
        return "a signature", f"the key is {now.principal}'s, and {approval.name} is recorded"
    if now.principal not in request.users:
        return "a signature", f"{now.principal} was not asked"
    return f"signature of {now.principal}, {now.fingerprint}", ""


def _show(found: Sequence[Audited], asked: Sequence[tuple[ApprovalRequest, tuple[Approval, ...]]]) -> None:
    say_table(["INCIDENT", "PLAN", "WHEN (UTC)", "DECISION", "PROVEN BY", "HOLDS"], [_row(one) for one in found])
    for line in _details(found):
        say(line)
    for request, given in asked:
        if request.quorum > 1 and settled(request, given) is None:
            say(f"{request.incident}: plan {request.plan_digest[:16]} had {progress(request, given)}")


def _row(one: Audited) -> list[object]:
    what, plan = one.approval, one.request.plan_digest[:16]
    return [
        one.request.incident,
        plan,
        f"{what.at:%Y-%m-%d %H:%M:%S}",
        what.decision,
        one.proof,
        f"NO: {one.fault}" if one.fault else "yes",
    ]


def _details(found: Sequence[Audited]) -> Iterator[str]:
    for one in found:
        what, request = one.approval, one.request
        yield (
            f"{shown(request.incident)}: {shown(what.name or what.by)} said {what.decision} to: {shown(one.does)}, "
            f"risk {request.level}, plan {request.plan_digest}: {shown(what.reason)}"
        )


def _data(one: Audited) -> Json:
    what, signed = one.approval, one.approval.signed
    return {
        "incident": one.request.incident,
        "planDigest": one.request.plan_digest,
        "does": one.does,
        "risk": str(one.request.level),
        "decision": str(what.decision),
        "by": what.by,
        "reason": what.reason,
        "at": what.at.isoformat(),
        "proof": one.proof,
        "holds": not one.fault,
        "fault": one.fault or None,
        "statement": signed.statement if signed else None,
        "signature": signed.signature if signed else None,
        "fingerprint": signed.signer.fingerprint if signed else None,
        "carriedBy": what.carried_by or None,
    }
