"""The state directory, the runbooks and the manifests as an assistant is shown them. Nothing here writes anything."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from pitcrew.adapters.lock.state import holder
from pitcrew.adapters.manifests.load import load as load_manifests
from pitcrew.adapters.policy.cel import check_rules
from pitcrew.adapters.runbooks.files import RunbookFiles
from pitcrew.adapters.search.fts5 import Fts5Search
from pitcrew.adapters.status.text import read_status
from pitcrew.adapters.stop.files import StopFile
from pitcrew.core.action import describe
from pitcrew.core.approval import told as told_decision
from pitcrew.core.assistant import PROPOSALS_MAX
from pitcrew.core.errors import InvalidInput
from pitcrew.core.incident import Attempt, Incident
from pitcrew.core.record import Json
from pitcrew.core.report import Section, advice_line, proposed_line, why
from pitcrew.core.resource import Rule
from pitcrew.core.runbook import Runbook
from pitcrew.core.shortlist import Listed, asked_of, shortlist
from pitcrew.entrypoints.cli.assistants import shown
from pitcrew.entrypoints.cli.assistants.shown import data
from pitcrew.entrypoints.cli.names import chosen, manifest_files
from pitcrew.entrypoints.cli.output import mapping
from pitcrew.entrypoints.cli.state import incidents_of, one_incident, told_by

SEARCH_MAX = 10
"""Runbooks that a search shows."""


# Incidents


def incidents(state: Path, service: str | None, limit: int) -> shown.Incidents:
    """The latest incidents. Raises InvalidInput, JournalUnwritable where the journal cannot be read."""
    told = told_by(state)
    found = [one for one in incidents_of(told) if service in (None, one.service, one.service.partition("/")[2])]
    kept = found[-limit:]
    return shown.Incidents(items=[_line(one) for one in kept], left_out=len(found) - len(kept), doubt=data(told.doubt))


def _line(one: Incident) -> shown.IncidentLine:
    return shown.IncidentLine(
        id=one.id,
        service=one.service,
        opened_at=one.opened_at,
        recovered_at=one.recovered_at,
        severity=str(one.severity),
        cause=str(one.cause),
        phase=str(one.phase),
        outcome=one.outcome,
        attempts=len(one.attempts),
    )


def incident(state: Path, name: str) -> shown.IncidentDetail:
    """One incident. Raises InvalidInput where there is none of that name."""
    told = told_by(state)
    one, _ = one_incident(told, name)
    items = one.evidence[: shown.EVIDENCE_MAX]
    return shown.IncidentDetail(
        incident=_line(one),
        target=data(one.target),
        deviations=[data(each) for each in one.deviations],
        evidence=[
            shown.EvidenceItem(
                id=item.id,
                source=str(item.source),
                key=data(item.key),
                value=data(item.value),
                text=data(item.text),
                count=item.count,
            )
            for item in items
        ],
        evidence_left_out=len(one.evidence) - len(items),
        diagnoses=[
            shown.DiagnosisLine(
                cause=str(each.cause),
                confidence=each.confidence,
                by=str(each.by),
                evidence=list(each.evidence),
                summary=data(each.summary),
            )
            for each in one.diagnoses
        ],
        opinions=[data(line) for line in (*map(advice_line, one.advice), *map(proposed_line, one.proposed))],
        attempts=[_attempt(each) for each in one.attempts],
        waits_because=data(one.stuck_because if one.open else ""),
        asked_of_people=data(one.ask if one.open else ""),
        proposals_left=PROPOSALS_MAX - len(one.proposed) if one.open else 0,
        doubt=data(told.doubt),
    )


def _attempt(one: Attempt) -> shown.AttemptLine:
    return shown.AttemptLine(
        attempt=one.plan.attempt,
        action=data(describe(one.plan.action)),
        runbook=one.proposal.pin,
        risk=str(one.risk.level),
        risk_score=one.risk.score,
        verdict=str(one.verdict.effect) if one.verdict else None,
        rulings=[data(f"{each.effect} {each.rule}: {each.message}") for each in one.verdict.rulings]
        if one.verdict
        else [],
        doubt=data(one.doubt),
        asked=data(one.request.of_whom if one.request else ""),
        approval=data(told_decision(one.approval)) if one.approval else None,
        helped=one.effective,
        verification=data(one.verified),
    )


def reasons(state: Path, name: str) -> shown.Why:
    """The chain of reasons of one incident. Raises InvalidInput where there is none of that name."""
    told = told_by(state)
    one, records = one_incident(told, name)
    lines = list(_lines(why(one, records), 0))
    kept = lines[: shown.LINES_MAX]
    return shown.Why(incident=one.id, lines=kept, left_out=len(lines) - len(kept), doubt=data(told.doubt))


def _lines(section: Section, depth: int) -> Iterator[shown.WhyLine]:
    yield shown.WhyLine(depth=depth, text=data(section.title))
    for line in section.lines:
        yield shown.WhyLine(depth=depth + 1, text=data(line))
    for part in section.parts:
        yield from _lines(part, depth + 1)


# Runbooks


def runbooks(source: RunbookFiles) -> shown.Runbooks:
    """Every runbook by id."""
    found = sorted(source.runbooks(), key=lambda each: each.head.id)
    kept = found[: shown.LISTED_MAX]
    return shown.Runbooks(items=[_runbook_line(each) for each in kept], left_out=len(found) - len(kept))


def _runbook_line(each: Runbook) -> shown.RunbookLine:
    return shown.RunbookLine(
        id=each.head.id,
        digest=each.digest,
        cause=str(each.head.cause),
        remedies=[str(remedy) for remedy in each.head.remedies],
        title=data(each.head.title),
        origin=data(each.origin),
    )


def runbook(source: RunbookFiles, id_: str) -> shown.RunbookDetail:
    """One runbook. Raises InvalidInput where there is none of that id."""
    found = next((each for each in source.runbooks() if each.head.id == id_), None)
    if found is None:
        raise InvalidInput(f"no runbook is named {id_!r}; list_runbooks has them")
    lines = [line for line in found.text.splitlines() if line.strip()]
    kept = lines[: shown.LINES_MAX]
    return shown.RunbookDetail(
        runbook=_runbook_line(found),
        signals=[data(signal) for signal in found.head.signals],
        not_when=[data(signal) for signal in found.head.not_when],
        ask=data(found.head.ask),
        verify=data(found.head.verify),
        text=[data(line) for line in kept],
        left_out=len(lines) - len(kept),
    )


def search(source: RunbookFiles, state: Path, words: str, name: str | None) -> shown.FoundRunbooks:
    """The best runbooks for words, and for an incident's evidence where one is named. Raises InvalidInput."""
    evidence = one_incident(told_by(state), name)[0].evidence if name else ()
    asked = f"{words} {asked_of(evidence)}".strip()
    if not asked:
        raise InvalidInput("nothing to search for; give words, or an incident that has evidence")
    found = shortlist(source.runbooks(), evidence, Fts5Search.over(source.runbooks()).search(asked))
    kept = found[:SEARCH_MAX]
    return shown.FoundRunbooks(items=[_found(one) for one in kept], left_out=len(found) - len(kept))


def _found(one: Listed) -> shown.FoundRunbook:
    proof = one.proof
    return shown.FoundRunbook(
        runbook=_runbook_line(one.runbook),
        proven=one.applies,
        holds=[data(signal) for signal in proof.holds] if proof else [],
        lacks=[data(signal) for signal in proof.lacks] if proof else [],
        excluded_by=[data(signal) for signal in proof.excludes] if proof else [],
        evidence=list(proof.evidence) if proof else [],
        words=[data(word) for word in one.words],
    )


# Policies and status


def policies(state: Path) -> shown.Policies:
    """What is declared now in the manifests of the services that the status knows."""
    loaded = load_manifests(manifest_files(read_status(state / "status")), extra_checks=check_rules)
    services = [
        shown.PolicyLine(
            of=str(key),
            mode=str(own.mode),
            auto_up_to=str(own.auto_up_to),
            approve_up_to=str(own.approve_up_to),
            approvers=[*own.approvers.users, *(f"@{group}" for group in own.approvers.groups)],
            actions=sorted(declared.service.spec.remediation.actions.model_dump(by_alias=True, exclude_none=True)),
            budget_actions=own.budget.actions,
            budget_window_s=int(own.budget.window),
            cooldown_s=int(own.cooldown),
            rules=_rules(own.rules),
        )
        for key, declared in loaded.services.items()
        if (own := declared.service.spec.policy)
    ]
    platform = [
        shown.PolicyLine(
            of=name,
            mode=str(spec.mode) if spec.mode else None,
            auto_up_to=str(spec.auto_up_to) if spec.auto_up_to else None,
            approve_up_to=str(spec.approve_up_to) if spec.approve_up_to else None,
            approvers=[],
            actions=[str(action) for action in spec.actions] if spec.actions is not None else None,
            budget_actions=spec.budget.actions if spec.budget else None,
            budget_window_s=int(spec.budget.window) if spec.budget else None,
            cooldown_s=int(spec.cooldown) if spec.cooldown is not None else None,
            rules=_rules(spec.rules),
        )
        for name, declared_policy in loaded.policies.items()
        if (spec := declared_policy.policy.spec)
    ]
    most = shown.LISTED_MAX
    return shown.Policies(
        services=services[:most],
        platform=platform[:most],
        problems=[data(problem) for problem in loaded.problems[:most]],
        left_out=max(0, len(services) - most) + max(0, len(platform) - most),
    )


def _rules(rules: Sequence[Rule]) -> list[shown.RuleLine]:
    return [
        shown.RuleLine(
            name=rule.name, effect=str(rule.effect), expression=data(rule.expression), message=data(rule.message)
        )
        for rule in rules
    ]


def status(state: Path, service: str | None) -> shown.Status:
    """Services as they were seen last. Raises InvalidInput where one is named that is not there."""
    found = chosen(read_status(state / "status"), service)
    kept = found[: shown.LISTED_MAX]
    return shown.Status(
        services=[_service(mapping(one)) for one in kept],
        left_out=len(found) - len(kept),
        stopped=StopFile(state=state)(),
        running=holder(state) is not None,
    )


def _service(document: Mapping[str, Json]) -> shown.ServiceLine:
    metadata, seen = mapping(document.get("metadata")), mapping(document.get("status"))
    open_ = mapping(seen.get("incident"))
    listed = seen.get("conditions")
    conditions = [mapping(one) for one in listed] if isinstance(listed, list) else []
    return shown.ServiceLine(
        service=f"{metadata.get('namespace')}/{metadata.get('name')}",
        health=str(seen.get("health")),
        observed_at=str(seen.get("observedAt")),
        incident=str(open_["id"]) if open_ else None,
        phase=str(open_["phase"]) if open_ else None,
        waits_for=data(open_.get("waitsFor") or ""),
        conditions=[
            shown.ConditionLine(
                type=str(one.get("type")),
                status=str(one.get("status")),
                reason=str(one.get("reason")),
                message=data(one.get("message") or ""),
            )
            for one in conditions
        ],
    )
