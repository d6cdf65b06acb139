"""What `inspect` answered, as facts. Pure functions over the engine's JSON, which is not trusted to have any shape."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from pitcrew.adapters.runtime.docker.events import EngineEvent, ending_at, for_memory, ooms, own_deaths
from pitcrew.adapters.runtime.docker.frames import parse_instant
from pitcrew.adapters.runtime.docker.text import printable
from pitcrew.core.observation import EngineHealth, FileFact, NetworkFact, RuntimeFacts, RuntimeState, StoppedBy
from pitcrew.core.resource import DesiredNetwork, TargetKind

HEALTH_OUTPUT_CHARS_MAX = 512
ERROR_CHARS_MAX = 512
ENV_NAMES_MAX = 128
NETWORKS_MAX = 32
PORTS_MAX = 64

_STATES = {
    "running": RuntimeState.RUNNING,
    "paused": RuntimeState.PAUSED,
    "restarting": RuntimeState.RESTARTING,
    "exited": RuntimeState.EXITED,
    "created": RuntimeState.CREATED,
}
_HAS_FILES = (RuntimeState.RUNNING, RuntimeState.PAUSED, RuntimeState.EXITED)


@dataclass(frozen=True, kw_only=True, slots=True)
class Inspected:
    """One answer of `inspect`; `part` gives a nested value or an empty one of the wanted type."""

    document: Mapping[str, object]

    def part(self, *path: str) -> Mapping[str, object]:
        """A nested object, empty when it is not there."""
        value: object = self.document
        for key in path:
            value = value.get(key) if isinstance(value, Mapping) else None
        return value if isinstance(value, Mapping) else {}

    def text(self, *path: str) -> str:
        """A nested text, empty when it is not there."""
        value = self.part(*path[:-1]).get(path[-1])
        return value if isinstance(value, str) else ""

    def number(self, *path: str) -> int:
        """A nested number, 0 when it is not there."""
        value = self.part(*path[:-1]).get(path[-1])
        return value if isinstance(value, int) else 0

    def sequence(self, *path: str) -> Sequence[object]:
        """A nested list, empty when it is not there."""
        value = self.part(*path[:-1]).get(path[-1])
        return value if isinstance(value, list) else []

    @property
    def container_id(self) -> str:
        """The full id."""
        return self.text("Id")

    @property
    def name(self) -> str:
        """The name without its slash."""
        return self.text("Name").removeprefix("/")

    @property
    def state(self) -> RuntimeState:
        """Where it stands; a word not known here, and `removing`, is Dead: nothing is done to it."""
        return _STATES.get(self.text("State", "Status"), RuntimeState.DEAD)

    @property
    def instance(self) -> str:
        """The stamp of its last start; the engine's zero stamp before the first."""
        return self.text("State", "StartedAt")

    @property
    def finished_at(self) -> datetime | None:
        """When its last run ended."""
        return parse_instant(self.text("State", "FinishedAt"))

    @property
    def has_files(self) -> bool:
        """Whether its files can be asked for."""
        return self.state in _HAS_FILES

    @property
    def exit_code(self) -> int:
        """Exit code of its last run, or of the failed start."""
        return self.number("State", "ExitCode")


def facts_of(
    seen: Inspected,
    *,
    events: Iterable[EngineEvent],
    now: datetime,
    files: tuple[FileFact, ...],
    desired: Iterable[DesiredNetwork] = (),
    suspended: bool,
    is_here: bool,
) -> RuntimeFacts:
    """The facts of one container. `is_here`: container addresses can be reached from this machine."""
    remembered = tuple(events)
    started = parse_instant(seen.instance)
    ended = seen.state in (RuntimeState.EXITED, RuntimeState.CREATED, RuntimeState.DEAD)
    return RuntimeFacts(
        kind=TargetKind.DOCKER,
        target_id=seen.container_id,
        instance=seen.instance,
        name=seen.name,
        state=seen.state,
        started_at=started,
        finished_at=seen.finished_at,
        exit_code=None if seen.state in (RuntimeState.RUNNING, RuntimeState.PAUSED) else seen.exit_code,
        error=printable(seen.text("State", "Error"), chars_max=ERROR_CHARS_MAX),
        oom_killed=ended_for_memory(seen, remembered),
        stopped_by=stopped_by(seen, remembered),
        ever_started=started is not None,
        restarts_by_itself=not ended and policy_restarts(seen),
        deaths=own_deaths(remembered, now),
        ooms=ooms(remembered, now) if seen.state is RuntimeState.RUNNING else 0,
        suspended=suspended,
        engine_health=_health(seen),
        address=_address(seen) if is_here else None,
        published=_published(seen),
        networks=tuple(sorted(seen.part("NetworkSettings", "Networks")))[:NETWORKS_MAX],
        image=seen.text("Image")[:128],
        env_names=_env_names(seen),
        files=files,
        desired=tuple(network_fact(seen, network) for network in desired),
    )


def network_fact(seen: Inspected, desired: DesiredNetwork) -> NetworkFact:
    """Whether a container is attached to a network under every alias; its settings outlast its run."""
    networks = seen.part("NetworkSettings", "Networks")
    aliases = set(seen.sequence("NetworkSettings", "Networks", desired.name, "Aliases"))
    return NetworkFact(name=desired.name, attached=desired.name in networks, named=aliases.issuperset(desired.aliases))


def policy_restarts(seen: Inspected) -> bool:
    """Whether the restart policy brings it back when a run ends as the last one did (while it runs: with a failure)."""
    failed = seen.exit_code != 0 or seen.state is RuntimeState.RUNNING
    match seen.text("HostConfig", "RestartPolicy", "Name"):
        case "always" | "unless-stopped":
            return True
        case "on-failure":
            retries_max = seen.number("HostConfig", "RestartPolicy", "MaximumRetryCount")
            return failed and (retries_max == 0 or seen.number("RestartCount") < retries_max)
        case _:
            return False


def stopped_by(seen: Inspected, events: Iterable[EngineEvent]) -> StoppedBy:
    """Who ended it. Without a remembered end: a container that its policy would have brought back was stopped."""
    if seen.state is RuntimeState.RESTARTING:
        return StoppedBy.ITSELF
    if seen.state is not RuntimeState.EXITED:
        return StoppedBy.UNKNOWN
    ending = ending_at(events, seen.finished_at)
    if ending is not None:
        return StoppedBy.PERSON if ending.asked else StoppedBy.ITSELF
    return StoppedBy.PERSON if policy_restarts(seen) and not seen.text("State", "Error") else StoppedBy.UNKNOWN


def ended_for_memory(seen: Inspected, events: Iterable[EngineEvent]) -> bool:
    """Whether the kernel ended the last run that ended for memory.

    The engine's own word is set by an `oom` anywhere in a run, in a child as well, and shows when that run ends however
    it ends; where the death is remembered, its events say whether memory was short at that moment.
    """
    told = for_memory(events, seen.finished_at)
    return told if told is not None else seen.part("State").get("OOMKilled") is True


def _health(seen: Inspected) -> EngineHealth | None:
    status = seen.text("State", "Health", "Status")
    if not status or status == "none":
        return None
    entries = seen.sequence("State", "Health", "Log")
    last = entries[-1] if entries and isinstance(entries[-1], Mapping) else {}
    exit_code, output = last.get("ExitCode"), last.get("Output")
    return EngineHealth(
        status=status[:32],
        failing_streak=seen.number("State", "Health", "FailingStreak"),
        exit_code=exit_code if isinstance(exit_code, int) else None,
        output=printable(output, chars_max=HEALTH_OUTPUT_CHARS_MAX) if isinstance(output, str) else "",
        checked_at=parse_instant(ended) if isinstance(ended := last.get("End"), str) else None,
    )


def _address(seen: Inspected) -> str | None:
    if seen.text("HostConfig", "NetworkMode") == "host":
        return "127.0.0.1"
    networks = seen.part("NetworkSettings", "Networks")
    for name in sorted(networks):
        for key in ("IPAddress", "GlobalIPv6Address"):
            if address := seen.text("NetworkSettings", "Networks", name, key):
                return address
    return None


def _published(seen: Inspected) -> tuple[tuple[int, str, int], ...]:
    ports: list[tuple[int, str, int]] = []
    for key, bindings in sorted(seen.part("NetworkSettings", "Ports").items()):
        port, _, protocol = key.partition("/")
        if protocol != "tcp" or not port.isdecimal() or not isinstance(bindings, list):
            continue
        for binding in bindings:
            host_port = str(binding.get("HostPort", "")) if isinstance(binding, Mapping) else ""
            if host_port.isdecimal():
                ports.append((int(port), str(binding.get("HostIp", ""))[:64], int(host_port)))
    return tuple(ports[:PORTS_MAX])


def _env_names(seen: Inspected) -> tuple[str, ...]:
    names = {entry.partition("=")[0][:128] for entry in seen.sequence("Config", "Env") if isinstance(entry, str)}
    return tuple(printable(name, chars_max=128) for name in sorted(names))[:ENV_NAMES_MAX]
