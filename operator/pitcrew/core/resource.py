"""The resource `HealthyService`: what a person declares, as frozen values.

The shape is DESIGN section 4. A field enters this file together with the code that reads it; until then it is an
unknown-field error. Names on the wire are camelCase and, for probes, those of Kubernetes with its defaults.
"""

import re
from enum import StrEnum
from typing import Annotated, Literal, NewType

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    StringConstraints,
    WithJsonSchema,
    model_validator,
)
from pydantic.alias_generators import to_camel

API_VERSION = "pitcrew.dev/v1alpha1"
KIND = "HealthyService"

ServiceKey = NewType("ServiceKey", str)
"""`NAMESPACE/NAME`, the one name of a service across PitCrew."""


class Level(StrEnum):
    """The one ladder of severities, risks and criticalities, lowest first."""

    LOW = "Low"
    MEDIUM = "Medium"
    HIGH = "High"
    CRITICAL = "Critical"

    @property
    def rank(self) -> int:
        """Place on the ladder, 0 for Low."""
        return _RANKS[self]


_RANKS = {level: rank for rank, level in enumerate(Level)}


class Mode(StrEnum):
    """What PitCrew may do with what it decides."""

    ENFORCE = "Enforce"
    SHADOW = "Shadow"
    OBSERVE = "Observe"


Ladder = Literal["None", "Low", "Medium", "High", "Critical"]
"""How far up the levels a permission reaches; None reaches nothing."""


def reaches(ladder: Ladder, level: Level) -> bool:
    """Whether a ladder includes a level."""
    return ladder != "None" and level.rank <= Level(ladder).rank


class RuleEffect(StrEnum):
    """What a rule of a service may ask for; rules never allow."""

    REQUIRE_APPROVAL = "RequireApproval"
    HOLD = "Hold"
    DENY = "Deny"


class TargetKind(StrEnum):
    """The runtime behind a target; kinds are never substituted for one another."""

    DOCKER = "docker"
    PROCESS = "process"


_DURATION = re.compile(r"([0-9]{1,6})(s|m|h)")
_UNIT_S = {"s": 1, "m": 60, "h": 3600}


def parse_duration(value: object) -> object:
    """Turn `90s`, `10m` or `1h` into seconds.

    Raises:
        ValueError: the text has another form.
    """
    if isinstance(value, str) and (match := _DURATION.fullmatch(value)):
        return int(match[1]) * _UNIT_S[match[2]]
    raise ValueError("a duration is digits and a unit: 90s, 10m or 1h")


def render_duration(seconds: int) -> str:
    """The shortest exact form of a duration, in the largest unit that divides it."""
    for unit in ("h", "m"):
        if seconds and seconds % _UNIT_S[unit] == 0:
            return f"{seconds // _UNIT_S[unit]}{unit}"
    return f"{seconds}s"


Duration = Annotated[
    int,
    BeforeValidator(parse_duration),
    PlainSerializer(render_duration, return_type=str),
    WithJsonSchema({"type": "string", "pattern": "^[0-9]{1,6}(s|m|h)$"}),
]
DnsName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$")]
Argument = Annotated[str, StringConstraints(min_length=1, max_length=4096, pattern=r"^[^\x00]*$")]
EnvName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,127}$")]


def _plain_path(value: object) -> object:
    if isinstance(value, str) and any(part in ("", ".", "..") for part in value.removeprefix("/").split("/")):
        raise ValueError("a path has no '..', '.' or empty parts: /app/broken.flag")
    if isinstance(value, str) and not value.isprintable():
        raise ValueError("a path has no control or invisible characters: /app/broken.flag")
    return value


FilePath = Annotated[str, StringConstraints(min_length=1, max_length=1024), BeforeValidator(_plain_path)]


class Model(BaseModel):
    """Base of every part of the resource: frozen, camelCase on the wire, unknown fields refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", alias_generator=to_camel, use_attribute_docstrings=True)


class Metadata(Model):
    """Names and labels, as Kubernetes has them."""

    name: DnsName
    """Name of the service, unique in its namespace; at most 63 characters."""
    namespace: DnsName = "default"
    """Namespace of the service; default `default`."""
    labels: Annotated[dict[str, str], Field(max_length=64)] = Field(default_factory=dict)
    """Labels for selection by people and policies; nothing acts on them."""


class DockerTarget(Model):
    """A container, by name, or by its place in a compose project."""

    container: Annotated[str, StringConstraints(pattern=r"^[a-zA-Z0-9][a-zA-Z0-9_.-]{0,127}$")] | None = None
    """Name of the container."""
    compose_project: Annotated[str, StringConstraints(min_length=1, max_length=128)] | None = None
    """Compose project, together with `composeService`; must resolve to exactly one container."""
    compose_service: Annotated[str, StringConstraints(min_length=1, max_length=128)] | None = None
    """Compose service, together with `composeProject`."""

    @model_validator(mode="after")
    def _one_way_to_find_it(self) -> "DockerTarget":
        pair = (self.compose_project is not None, self.compose_service is not None)
        if (self.container is not None) == any(pair) or pair[0] != pair[1]:
            raise ValueError("name either container, or composeProject together with composeService")
        return self


class ProcessTarget(Model):
    """A local process group that PitCrew starts and supervises."""

    command: Annotated[list[Argument], Field(min_length=1, max_length=256)]
    """The argument list; no shell is involved. A program without a slash is looked up in PATH."""
    working_dir: Annotated[str, StringConstraints(min_length=1, max_length=1024)]
    """Directory the process runs in; a relative one starts at the manifest's own directory."""
    env: Annotated[dict[EnvName, str], Field(max_length=128)] = Field(default_factory=dict)
    """Environment on top of PATH, HOME and LANG; nothing else of PitCrew's own environment is handed on."""
    pid_file: Annotated[str, StringConstraints(min_length=1, max_length=1024)] | None = None
    """File that holds the pid while the process runs, for people and tools; relative as `workingDir` is."""


class Target(Model):
    """The workload behind the service: exactly one kind."""

    docker: DockerTarget | None = None
    """A Docker container."""
    process: ProcessTarget | None = None
    """A local process."""

    @model_validator(mode="after")
    def _exactly_one(self) -> "Target":
        if (self.docker is None) == (self.process is None):
            raise ValueError("name exactly one of docker, process")
        return self

    @property
    def kind(self) -> TargetKind:
        """Which runtime serves this target."""
        return TargetKind.DOCKER if self.docker is not None else TargetKind.PROCESS

    @property
    def label(self) -> str:
        """Short human name of the target, such as `docker/victim`."""
        if self.docker is not None:
            return f"docker/{self.docker.container or f'{self.docker.compose_project}.{self.docker.compose_service}'}"
        return f"process/{self.process.command[0].rpartition('/')[2] if self.process else ''}"


class Header(Model):
    """One header of an HTTP probe."""

    name: Annotated[str, StringConstraints(pattern=r"^[!#$%&'*+.^_`|~0-9A-Za-z-]{1,128}$")]
    """Name of the header."""
    value: Annotated[str, StringConstraints(pattern=r"^[\t\x20-\x7e]{0,1024}$")]
    """Value of the header."""


class HttpGet(Model):
    """A GET request; 200 to 399 is success, redirects are not followed."""

    path: Annotated[str, StringConstraints(pattern=r"^/[\x21-\x7e]{0,1023}$")] = "/"
    """Path and query; default `/`."""
    port: Annotated[int, Field(strict=True, ge=1, le=65535)]
    """Port of the target."""
    host: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9.:_-]{1,253}$")] | None = None
    """Host to connect to; default: the target's own address. Link-local and metadata addresses are refused."""
    scheme: Literal["HTTP", "HTTPS"] = "HTTP"
    """HTTP, or HTTPS without verification of the certificate, as the kubelet does."""
    http_headers: Annotated[list[Header], Field(max_length=32)] = Field(default_factory=list)
    """Extra request headers."""


class ExecProbe(Model):
    """A command inside the target; exit code 0 is success."""

    command: Annotated[list[Argument], Field(min_length=1, max_length=64)]
    """The argument list; no shell is involved."""


class DockerHealth(Model):
    """The container's own HEALTHCHECK, read by the rules of the engine."""


class Probe(Model):
    """One question asked of the target again and again; exactly one kind."""

    name: DnsName | None = None
    """Name of the probe, unique in the service; default: its kind and its place, such as `httpget-0`."""
    http_get: HttpGet | None = None
    """Ask over HTTP."""
    exec: ExecProbe | None = None
    """Run a command inside the target."""
    docker_health: DockerHealth | None = None
    """Read the container's own HEALTHCHECK; only for docker targets."""
    period_seconds: Annotated[int, Field(strict=True, ge=1, le=3600)] = 10
    """Seconds from one probe to the next; default 10."""
    timeout_seconds: Annotated[int, Field(strict=True, ge=1, le=300)] = 1
    """Seconds until a probe counts as failed; default 1."""
    failure_threshold: Annotated[int, Field(strict=True, ge=1, le=100)] = 3
    """Failures in a row until the probe counts as failing; default 3."""
    success_threshold: Annotated[int, Field(strict=True, ge=1, le=100)] = 1
    """Successes in a row until a failing probe counts as good again; default 1."""
    initial_delay_seconds: Annotated[int, Field(strict=True, ge=0, le=3600)] = 0
    """Seconds after a start of the target in which failures do not count; default 0."""

    @model_validator(mode="after")
    def _exactly_one(self) -> "Probe":
        if sum(kind is not None for kind in (self.http_get, self.exec, self.docker_health)) != 1:
            raise ValueError("name exactly one of httpGet, exec, dockerHealth")
        return self

    @property
    def kind(self) -> str:
        """Name of the kind in lower case, for default names."""
        return "httpget" if self.http_get else "exec" if self.exec else "dockerhealth"


class StartAction(Model):
    """Permission to start the target when it is not running."""


class RestartAction(Model):
    """Permission to restart the target."""

    grace_period_seconds: Annotated[int, Field(strict=True, ge=0, le=300)] = 10
    """Seconds between the polite signal and the kill; default 10."""


class RemoveFileAction(Model):
    """Permission to remove files, by exact path."""

    paths: Annotated[list[FilePath], Field(min_length=1, max_length=32)]
    """Absolute paths of regular files inside the target; for a process inside its working directory, and a
    relative path starts there."""


class Actions(Model):
    """What PitCrew may do to this service, by name; nothing named means observe only."""

    start: StartAction | None = None
    """Start the target when it died."""
    restart: RestartAction | None = None
    """Restart the target."""
    remove_file: RemoveFileAction | None = None
    """Remove declared files."""


class Remediation(Model):
    """What may be done, how often, and how long it is watched."""

    actions: Actions = Field(default_factory=Actions)
    """Actions that PitCrew may use, by name; default none: observe only."""
    attempts: Annotated[int, Field(strict=True, ge=1, le=10)] = 3
    """Remedies tried in one incident before it is escalated to a person; default 3."""
    verify_for: Annotated[Duration, Field(ge=1, le=3600, validate_default=False)] = 10
    """How long the deviation must stay away before a remedy counts as effective, such as `10s`; default 10s."""


class Budget(Model):
    """How many actions a window may see."""

    actions: Annotated[int, Field(strict=True, ge=0, le=100)] = 10
    """Actions at most in one window; default 10."""
    window: Annotated[Duration, Field(ge=60, le=7 * 86400, validate_default=False)] = 3600
    """Length of the sliding window; default 1h."""


class Rule(Model):
    """A guard of the service in CEL; it can only tighten."""

    name: DnsName
    """Name of the rule, as verdicts show it."""
    expression: Annotated[str, StringConstraints(min_length=1, max_length=1024)]
    """CEL over service, incident, diagnosis, action, risk, history and now; must give true or false."""
    effect: RuleEffect
    """What follows when the expression is true."""
    message: Annotated[str, StringConstraints(min_length=1, max_length=256)]
    """Why, for people."""


class Policy(Model):
    """When PitCrew acts by itself, asks, or stays still."""

    mode: Mode = Mode.ENFORCE
    """Enforce acts, Shadow decides and records but never acts, Observe only watches; default Enforce."""
    auto_up_to: Ladder = "Low"
    """Highest risk that is acted on without a person; default Low."""
    approve_up_to: Ladder = "High"
    """Highest risk that a person may approve; above it nothing is done; default High."""
    budget: Budget = Field(default_factory=Budget)
    """Actions per window for this target."""
    cooldown: Annotated[Duration, Field(ge=0, le=86400, validate_default=False)] = 0
    """Time between the end of one incident's last action and the first action of another; default 0s."""
    rules: Annotated[list[Rule], Field(max_length=32)] = Field(default_factory=list)
    """Named guards in CEL; all are evaluated, the strictest wins."""

    @model_validator(mode="after")
    def _names_are_unique(self) -> "Policy":
        names = [rule.name for rule in self.rules]
        if len(set(names)) != len(names):
            raise ValueError("each rule needs a name of its own")
        return self


class Spec(Model):
    """What must be so, and what may be done about it."""

    target: Target
    """The workload behind the service."""
    probes: Annotated[list[Probe], Field(max_length=16)] = Field(default_factory=list)
    """Questions that define health; default: the container's own HEALTHCHECK."""
    remediation: Remediation = Field(default_factory=Remediation)
    """What PitCrew may do to the service."""
    criticality: Level = Level.MEDIUM
    """How much depends on this service: Low, Medium, High, Critical; default Medium."""
    policy: Policy = Field(default_factory=Policy)
    """When PitCrew acts by itself, asks, or stays still."""


class HealthyService(Model):
    """A service that PitCrew keeps healthy."""

    api_version: Literal["pitcrew.dev/v1alpha1"]
    """Always `pitcrew.dev/v1alpha1`."""
    kind: Literal["HealthyService"]
    """Always `HealthyService`."""
    metadata: Metadata
    """Names and labels."""
    spec: Spec
    """What must be so, and what may be done about it."""

    @property
    def key(self) -> ServiceKey:
        """`NAMESPACE/NAME`."""
        return ServiceKey(f"{self.metadata.namespace}/{self.metadata.name}")

    @property
    def probes(self) -> tuple[tuple[str, Probe], ...]:
        """The probes with their names; without any, the container's own HEALTHCHECK under its default name."""
        declared = self.spec.probes
        if not declared and self.spec.target.kind is TargetKind.DOCKER:
            declared = [Probe.model_validate({"dockerHealth": {}})]
        return tuple((probe.name or f"{probe.kind}-{place}", probe) for place, probe in enumerate(declared))

    @model_validator(mode="after")
    def _probes_fit_the_target(self) -> "HealthyService":
        names = [name for name, _ in self.probes]
        if len(set(names)) != len(names):
            raise ValueError("spec.probes: each probe needs a name of its own")
        if self.spec.target.kind is not TargetKind.DOCKER and any(p.docker_health for p in self.spec.probes):
            raise ValueError("spec.probes: dockerHealth needs spec.target.docker")
        return self

    @model_validator(mode="after")
    def _removable_paths_fit_the_target(self) -> "HealthyService":
        remove = self.spec.remediation.actions.remove_file
        if remove and self.spec.target.kind is TargetKind.DOCKER and any(p[0] != "/" for p in remove.paths):
            raise ValueError("spec.remediation.actions.removeFile.paths: in a container a path is absolute")
        return self
