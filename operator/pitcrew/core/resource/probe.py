"""Probes: the questions that define health, with the names and meanings of Kubernetes."""

from typing import Annotated, Literal

from pydantic import Field, StringConstraints, model_validator

from pitcrew.core.resource.base import Argument, DnsName, Duration, Milliseconds, Model, Percent

ANSWERS_MAX = 1000
"""Answers of one probe that are remembered for its objectives."""


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


class TcpSocket(Model):
    """A connection; that it is taken is success."""

    port: Annotated[int, Field(strict=True, ge=1, le=65535)]
    """Port of the target."""
    host: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9.:_-]{1,253}$")] | None = None
    """Host to connect to; default: the target's own address, with the rules of `httpGet.host`."""


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
    tcp_socket: TcpSocket | None = None
    """Open a connection."""
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

    max_latency: Milliseconds | None = None
    """Objective: over the window more than half of the answers must come within this time, such as `500ms`; a timeout
    counts as slow. For httpGet and tcpSocket."""
    max_error_ratio: Percent | None = None
    """Objective: over the window at most this share of the answers may be failures, such as `5%`."""
    objective_window: Annotated[Duration, Field(ge=10, le=3600, validate_default=False)] = 60
    """The window of both objectives, such as `1m`; default 1m."""
    minimum_volume: Annotated[int, Field(strict=True, ge=2, le=1000)] = 10
    """Answers in the window below which an objective says nothing; default 10."""

    @model_validator(mode="after")
    def _exactly_one(self) -> "Probe":
        if sum(kind is not None for kind in (self.http_get, self.exec, self.tcp_socket, self.docker_health)) != 1:
            raise ValueError("name exactly one of httpGet, tcpSocket, exec, dockerHealth")
        return self

    @model_validator(mode="after")
    def _objectives_can_be_told(self) -> "Probe":
        if self.max_latency is not None and not (self.http_get or self.tcp_socket):
            raise ValueError("maxLatency goes with httpGet and tcpSocket")
        if not self.has_objective:
            return self
        asked = self.objective_window // self.period_seconds
        if asked < self.minimum_volume:
            raise ValueError(
                f"objectiveWindow sees {asked} answers at this periodSeconds, and minimumVolume wants "
                f"{self.minimum_volume}; make the window longer or the period shorter"
            )
        if asked > ANSWERS_MAX:
            raise ValueError(f"objectiveWindow would hold {asked} answers, {ANSWERS_MAX} are the most; make it shorter")
        return self

    @property
    def has_objective(self) -> bool:
        """Whether answers are counted over a window."""
        return self.max_latency is not None or self.max_error_ratio is not None

    @property
    def kind(self) -> str:
        """Name of the kind in lower case, for default names."""
        names = {"httpget": self.http_get, "tcpsocket": self.tcp_socket, "exec": self.exec}
        return next((name for name, kind in names.items() if kind is not None), "dockerhealth")
