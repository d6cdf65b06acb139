"""The record of a shim, and what /proc says of its last run, read as facts. No I/O here."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from pitcrew.core.observation import (
    EventKind,
    FileFact,
    RuntimeEvent,
    RuntimeFacts,
    RuntimeState,
    StoppedBy,
)
from pitcrew.core.resource import HealthyService, TargetKind

DEATHS_WINDOW = timedelta(minutes=10)
ADDRESS = "127.0.0.1"


def read_facts(
    service: HealthyService,
    record: dict[str, Any],
    *,
    target_id: str,
    main_state: str | None,
    under_way: bool,
    files: Sequence[FileFact],
    env_names: Sequence[str],
    now: datetime,
) -> RuntimeFacts:
    """The facts.

    `main_state` is the state letter of the living main process, None when it does not live; `under_way` says that its
    supervisor is at work on an operation.
    """
    last = record["runs"][-1] if record["runs"] else None
    ran = any(not run["error"] for run in record["runs"])
    return RuntimeFacts(
        kind=TargetKind.PROCESS,
        target_id=target_id,
        instance=last["instance"] if last else "none",
        name=service.metadata.name,
        state=_state(main_state, ran=ran, under_way=under_way),
        started_at=_instant(last["started_at"]) if last else None,
        finished_at=_instant(last["finished_at"]) if last and main_state is None else None,
        exit_code=exit_code(last["code"]) if last and main_state is None and last["ended_by"] != "pitcrew" else None,
        error=last["error"] if last else "",
        stopped_by=_stopped_by(last) if last and main_state is None else StoppedBy.UNKNOWN,
        ever_started=ran,
        deaths=sum(_is_own_death(run, now) for run in record["runs"]),
        suspended=main_state in ("T", "t"),
        address=ADDRESS,
        env_names=tuple(sorted(env_names)),
        files=tuple(files),
    )


def read_events(record: dict[str, Any]) -> tuple[RuntimeEvent, ...]:
    """Starts and ends that the record remembers, oldest first."""
    events: list[RuntimeEvent] = []
    for run in record["runs"]:
        who = "by PitCrew" if run["by"] == "pitcrew" else "by hand"
        if started_at := _instant(run["started_at"]):
            events.append(RuntimeEvent(at=started_at, kind=EventKind.STARTED, detail=run["error"] or who))
        if finished_at := _instant(run["finished_at"]):
            own = run["ended_by"] in ("self", "unknown")
            events.append(
                RuntimeEvent(
                    at=finished_at,
                    kind=EventKind.DIED if own else EventKind.STOPPED,
                    detail=f"ended by {run['ended_by']}",
                    exit_code=exit_code(run["code"]),
                )
            )
    return tuple(events)


def exit_code(code: int | None) -> int | None:
    """An exit as shells show it: 128 and the number of the signal."""
    return code if code is None or code >= 0 else 128 - code


def _state(main_state: str | None, *, ran: bool, under_way: bool) -> RuntimeState:
    if main_state is not None:
        return RuntimeState.RUNNING
    if under_way:
        return RuntimeState.RESTARTING
    return RuntimeState.EXITED if ran else RuntimeState.CREATED


def _stopped_by(run: dict[str, Any]) -> StoppedBy:
    """systemd's rule of a clean exit was applied by the shim; a half restart of our own is for us to finish, and its
    exit code, which we caused, says nothing about the service.
    """
    match run["ended_by"]:
        case "person":
            return StoppedBy.PERSON
        case "self" | "pitcrew":
            return StoppedBy.ITSELF
        case _:
            return StoppedBy.UNKNOWN


def _is_own_death(run: dict[str, Any], now: datetime) -> bool:
    finished_at = _instant(run["finished_at"])
    return bool(run["ended_by"] == "self" and not run["error"] and finished_at and now - finished_at < DEATHS_WINDOW)


def _instant(at: float | None) -> datetime | None:
    return None if at is None else datetime.fromtimestamp(at, UTC)
