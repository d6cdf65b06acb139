"""Services as people ask for them: one line each, one in full, and their events. All of it comes from status files."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from pitcrew.core.record import Json
from pitcrew.entrypoints.cli.names import service_name
from pitcrew.entrypoints.cli.output import Output, age, instant, listing, mapping, say, say_data, say_table, shown

Document = Mapping[str, Json]


def show_services(documents: Sequence[Document], output: Output, now: datetime, *, one: bool) -> None:
    """One line per service, or the documents as they are."""
    if output.for_tools:
        say_data(documents[0] if one else {"items": list(documents)}, output)
        return
    if not documents:
        say("no services; declare one and start `pitcrew run --manifests DIR`", error=True)
        return
    wide = output is Output.WIDE
    rows = [row(one, now, wide=wide) for one in documents]
    say_table(titles_of(wide=wide), rows)


def titles_of(*, wide: bool) -> list[str]:
    """The titles of the columns of a `row`."""
    more = ["PROBES", "DEVIATIONS", "POLICIES", "JOURNAL", "MANIFEST"]
    return ["SERVICE", "HEALTH", "TARGET", "INCIDENT", "SEEN", *(more if wide else [])]


def row(document: Document, now: datetime, *, wide: bool) -> list[object]:
    """One service as a line of a table."""
    return [*_line(document, now), *(_more(document) if wide else [])]


def _line(document: Document, now: datetime) -> list[object]:
    status = mapping(document.get("status"))
    incident = mapping(status.get("incident"))
    open_one = f"{incident['id']} {incident.get('phase')}" if "id" in incident else ""
    seen = age(instant(status.get("observedAt")), now)
    return [
        service_name(document),
        status.get("health"),
        mapping(status.get("target")).get("name"),
        open_one,
        seen,
    ]


def _more(document: Document) -> list[object]:
    status = mapping(document.get("status"))
    probes = listing(status.get("probes"))
    good = sum(probe.get("outcome") == "Success" for probe in probes)
    manifest = mapping(status.get("manifest"))
    stale = " (stale)" if manifest.get("stale") else ""
    deviations = status.get("deviations")
    return [
        f"{good}/{len(probes)} good",
        _names(deviations),
        _names(status.get("policies")),
        mapping(status.get("journalHead")).get("seq"),
        f"{manifest.get('source')}{stale}",
    ]


def _names(value: Json) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else ""


def show_status(document: Document, output: Output, now: datetime) -> None:
    """One service in full."""
    if output.for_tools:
        say_data(document, output)
        return
    status = mapping(document.get("status"))
    target = mapping(status.get("target"))
    manifest, head = mapping(status.get("manifest")), mapping(status.get("journalHead"))
    deviations = status.get("deviations")
    say_table(
        [service_name(document), str(shown(status.get("health")))],
        [
            ["target", f"{target.get('name')}, {target.get('state')}"],
            ["seen", f"{status.get('observedAt')} ({age(instant(status.get('observedAt')), now)} ago)"],
            ["deviations", ", ".join(map(str, deviations)) if isinstance(deviations, list) else ""],
            ["manifest", manifest.get("source")],
            ["policies over it", _names(status.get("policies")) or "none"],
            ["model", _terms(mapping(status.get("diagnosis")))],
            ["manifest is stale", manifest.get("stale") or "no"],
            ["journal head", f"{head.get('seq')}:{head.get('hash')}"],
        ],
    )
    _show_conditions(status, now)
    _show_probes(status, now)
    _show_incident(mapping(status.get("incident")))
    _show_past(status)


def _terms(diagnosis: Document) -> str:
    """On which terms a model is asked; nothing of it where none is configured."""
    if not diagnosis:
        return "none is configured"
    terms = f"mode {diagnosis.get('mode')}, egress {diagnosis.get('egress')}"
    return f"not asked: {diagnosis.get('unasked')}" if diagnosis.get("unasked") else terms


def _show_conditions(status: Document, now: datetime) -> None:
    say("")
    rows = [
        [
            one.get("type"),
            one.get("status"),
            one.get("reason"),
            age(instant(one.get("lastTransitionTime")), now),
            one.get("message"),
        ]
        for one in listing(status.get("conditions"))
    ]
    say_table(["CONDITION", "STATUS", "REASON", "SINCE", "MESSAGE"], rows)


def _show_probes(status: Document, now: datetime) -> None:
    say("")
    rows = []
    for one in listing(status.get("probes")):
        answer = f"{one.get('reason')} {one.get('status') if one.get('status') is not None else ''}".rstrip()
        flaps = " (flapping)" if one.get("flapping") else ""
        rows.append(
            [one.get("name"), one.get("outcome"), answer, f"{one.get('latencyMs')} ms", f"{one.get('detail')}{flaps}"]
        )
    say_table(["PROBE", "OUTCOME", "ANSWER", "TOOK", "DETAIL"], rows)


def _show_incident(incident: Document) -> None:
    if "id" not in incident:
        return
    say("")
    risk, verdict = mapping(incident.get("risk")), mapping(incident.get("verdict"))
    causes = [f"{one.get('cause')} ({one.get('confidence')} of 100)" for one in listing(incident.get("diagnoses"))]
    investigated: list[list[object]] = [["investigation", told] for told in [incident.get("investigation")] if told]
    rows: list[list[object]] = [
        ["severity", incident.get("severity")],
        ["diagnosis", ", ".join(causes)],
        *investigated,
        ["risk", f"{risk['level']}, {risk.get('score')} of 100" if "level" in risk else ""],
        ["verdict", f"{verdict['effect']}: {verdict.get('reason')}" if "effect" in verdict else ""],
        ["waits for", incident.get("waitsFor")],
    ]
    rows += [
        [f"attempt {one.get('attempt')}", f"{one.get('action')}, by {one.get('runbook')}: {_came_of(one)}"]
        for one in listing(incident.get("attempts"))
    ]
    say_table([shown(incident["id"]), shown(incident.get("phase"))], rows)


def _came_of(attempt: Document) -> str:
    if attempt.get("helped") is not None:
        return "helped" if attempt["helped"] else f"did not help, undo {attempt.get('undo')}"
    return str(attempt.get("effect") or "not acted")


def _show_past(status: Document) -> None:
    past = listing(status.get("lastIncidents"))
    if past:
        say("")
        rows = [
            [one.get("id"), one.get("outcome"), one.get("cause"), one.get("openedAt"), one.get("report")]
            for one in past
        ]
        say_table(["LAST INCIDENTS", "OUTCOME", "CAUSE", "OPENED", "REPORT"], rows)


def show_events(documents: Sequence[Document], output: Output) -> None:
    """The events of services, oldest first."""
    found: list[dict[str, Json]] = [
        {"service": service_name(document), **event}
        for document in documents
        for event in listing(mapping(document.get("status")).get("events"))
    ]
    found.sort(key=lambda event: str(event.get("at")))
    if output.for_tools:
        say_data({"items": list(found)}, output)
        return
    wide = output is Output.WIDE
    rows = [
        [
            event.get("at") if wide else str(event.get("at"))[11:19],
            event.get("service"),
            event.get("type"),
            event.get("reason"),
            event.get("incident"),
            event.get("message"),
        ]
        for event in found
    ]
    say_table(["AT (UTC)", "SERVICE", "TYPE", "REASON", "INCIDENT", "MESSAGE"], rows)
