"""A draft: what the author writes of one incident, in a shorthand that leaves out what follows from the rest."""

from collections.abc import Mapping
from dataclasses import dataclass, field

Json = dict[str, object]

# The reasons up to EngineUnhealthy in the format; the rest are on our side and say nothing of the service.
FAILURES = frozenset({"Status", "Refused", "Reset", "Timeout", "Malformed", "ExitCode", "EngineUnhealthy"})


@dataclass(frozen=True, kw_only=True)
class Asked:
    """One probe: how it is declared, and what came of it."""

    kind: str
    reason: str
    spec: Json = field(default_factory=dict)
    status: int | None = None
    latency_ms: int | None = None
    detail: str = ""
    health: Json | None = None

    @property
    def outcome(self) -> str:
        """Success, Failure or Unknown, as the reason says."""
        if self.reason == "Ok":
            return "Success"
        return "Failure" if self.reason in FAILURES else "Unknown"


def http(
    answer: int | str = 200,
    detail: str = "",
    *,
    path: str | None = None,
    port: int | None = None,
    ms: int | None = None,
    **more: object,
) -> Asked:
    """An HTTP probe; the answer is a status, or the reason why there is none."""
    spec: Json = {"path": path, "port": port, "more": more}
    if isinstance(answer, str):
        return Asked(kind="httpGet", reason=answer, spec=spec, detail=detail, latency_ms=ms)
    reason = "Ok" if 200 <= answer <= 399 else "Status"
    return Asked(kind="httpGet", reason=reason, spec=spec, status=answer, detail=detail, latency_ms=ms)


def tcp(
    reason: str = "Ok", detail: str = "", *, port: int | None = None, ms: int | None = None, **more: object
) -> Asked:
    """A probe that opens a connection."""
    return Asked(kind="tcpSocket", reason=reason, spec={"port": port, "more": more}, detail=detail, latency_ms=ms)


def run(command: str, reason: str = "Ok", detail: str = "") -> Asked:
    """A probe that runs a command inside the target; the words are split at blanks."""
    return Asked(kind="exec", reason=reason, spec={"command": command.split(" ")}, detail=detail)


def docker(output: str = "ok", *, exit_code: int = 0, streak: int = 0, reason: str | None = None) -> Asked:
    """The container's own check: healthy, or unhealthy with a streak of failures."""
    bad = streak > 0
    health: Json = {
        "status": "unhealthy" if bad else "healthy",
        "failingStreak": streak,
        "exitCode": exit_code,
        "output": output,
    }
    return Asked(
        kind="dockerHealth",
        reason=reason or ("EngineUnhealthy" if bad else "Ok"),
        detail=output if bad else "",
        health=health,
    )


@dataclass(frozen=True, kw_only=True)
class Net:
    """A network that the service declares, and how the container stands to it."""

    name: str
    aliases: tuple[str, ...] = ()
    attached: bool = True
    named: bool = True


@dataclass(frozen=True, kw_only=True)
class Draft:
    """One incident.

    `log` has a message a line: seconds before the evidence was gathered, a level (D I W E F) or `=` for raw text, the
    text; a line without seconds goes on at the same instant. `events` reads `SECONDS Kind [exit code] [detail]; ...`.
    `does` lists the declared actions; files follow removeFile, each with + (present) or - (gone). With a `command` the
    target is a plain process, else a container.
    """

    id: str
    fault: int
    app: str
    name: str
    causes: str
    actions: str
    why: str
    does: str = ""
    harmful: str = ""
    ours: bool | None = None
    style: str | None = None
    noise: str = ""
    state: str = "Running"
    up: int = 86_400
    down: int | None = None
    facts: Mapping[str, object] = field(default_factory=dict)
    absent: str = ""
    blind: tuple[str, str] | None = None
    probes: tuple[Asked, ...] = ()
    deviations: str | None = None
    log: str = ""
    chat: str = ""
    chat_to: int = 5
    events: str = ""
    processes: str | None = None
    missing: str = ""
    depends: str = ""
    former: str = ""
    nets: tuple[Net, ...] = ()
    spec: Mapping[str, object] = field(default_factory=dict)
    compose: bool | None = None
    command: tuple[str, ...] = ()
