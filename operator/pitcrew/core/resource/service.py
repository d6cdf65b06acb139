"""The resource `HealthyService`, whole."""

from typing import Annotated, Literal, NewType

from pydantic import AwareDatetime, Field, StringConstraints, model_validator

from pitcrew.core.resource.base import DnsName, Level, Model
from pitcrew.core.resource.diagnosis import Diagnosing
from pitcrew.core.resource.policy import Policy
from pitcrew.core.resource.probe import Probe
from pitcrew.core.resource.remediation import Remediation
from pitcrew.core.resource.target import Target, TargetKind

API_VERSION = "pitcrew.dev/v1alpha1"
KIND = "HealthyService"

ServiceKey = NewType("ServiceKey", str)
"""`NAMESPACE/NAME`, the one name of a service across PitCrew."""


class Metadata(Model):
    """Names and labels, as Kubernetes has them."""

    name: DnsName
    """Name of the service, unique in its namespace; at most 63 characters."""
    namespace: DnsName = "default"
    """Namespace of the service; default `default`."""
    labels: Annotated[dict[str, str], Field(max_length=64)] = Field(default_factory=dict)
    """Labels for selection by people and policies; nothing acts on them."""


NetworkName = Annotated[str, StringConstraints(pattern=r"^[a-zA-Z0-9][a-zA-Z0-9_.-]{0,127}$")]


class DesiredNetwork(Model):
    """A network that the container must be attached to."""

    name: NetworkName
    """Name of the network, of which the engine must have exactly one."""
    aliases: Annotated[list[NetworkName], Field(max_length=16)] = Field(default_factory=list)
    """Names under which others on that network find it; all of them must be there."""


class Desired(Model):
    """What must be so beyond what probes ask."""

    networks: Annotated[list[DesiredNetwork], Field(max_length=16)] = Field(default_factory=list)
    """Networks of a docker target."""

    @model_validator(mode="after")
    def _networks_are_named_once(self) -> "Desired":
        names = [network.name for network in self.networks]
        if len(set(names)) != len(names):
            raise ValueError("name each network once")
        return self


class DependsOn(Model):
    """A service that this one cannot work without."""

    name: DnsName
    """Name of that service, as its own manifest has it."""
    namespace: DnsName | None = None
    """Namespace of that service; default: that of the service itself."""


class Suspend(Model):
    """A pause of all effects on the service, declared with it."""

    reason: Annotated[str, StringConstraints(min_length=1, max_length=256)]
    """Why, for people."""
    until: AwareDatetime | None = None
    """When it ends by itself, such as `2026-03-01T06:00:00Z`; default: when the field is taken away."""


class Spec(Model):
    """What must be so, and what may be done about it."""

    target: Target
    """The workload behind the service."""
    probes: Annotated[list[Probe], Field(max_length=16)] = Field(default_factory=list)
    """Questions that define health; default: the container's own HEALTHCHECK."""
    desired: Desired = Field(default_factory=Desired)
    """What must be so beyond the probes."""
    depends_on: Annotated[list[DependsOn], Field(max_length=16)] = Field(default_factory=list)
    """Services that it cannot work without, kept by the same PitCrew; while one is down it waits for that one."""
    remediation: Remediation = Field(default_factory=Remediation)
    """What PitCrew may do to the service."""
    criticality: Level = Level.MEDIUM
    """How much depends on this service: Low, Medium, High, Critical; default Medium."""
    policy: Policy = Field(default_factory=Policy)
    """When PitCrew acts by itself, asks, or stays still."""
    diagnosis: Diagnosing = Field(default_factory=Diagnosing)
    """Whether a model is asked about incidents of the service, and where evidence may be sent."""
    suspend: Suspend | None = None
    """Effects are held while this is here; it is seen, diagnosed and told as before."""


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

    @property
    def depends_on(self) -> tuple[ServiceKey, ...]:
        """The services that it cannot work without."""
        own = self.metadata.namespace
        return tuple(ServiceKey(f"{one.namespace or own}/{one.name}") for one in self.spec.depends_on)

    @model_validator(mode="after")
    def _dependencies_are_others_and_named_once(self) -> "HealthyService":
        if self.key in self.depends_on:
            raise ValueError("spec.dependsOn: a service does not depend on itself")
        if len(set(self.depends_on)) != len(self.depends_on):
            raise ValueError("spec.dependsOn: name each service once")
        return self

    @model_validator(mode="after")
    def _probes_fit_the_target(self) -> "HealthyService":
        names = [name for name, _ in self.probes]
        if len(set(names)) != len(names):
            raise ValueError("spec.probes: each probe needs a name of its own")
        if self.spec.target.kind is not TargetKind.DOCKER and any(p.docker_health for p in self.spec.probes):
            raise ValueError("spec.probes: dockerHealth needs spec.target.docker")
        return self

    @model_validator(mode="after")
    def _only_containers_have_networks_and_pauses(self) -> "HealthyService":
        actions, docker = self.spec.remediation.actions, self.spec.target.kind is TargetKind.DOCKER
        if self.spec.desired.networks and not docker:
            raise ValueError("spec.desired.networks: needs spec.target.docker")
        if (actions.unpause or actions.connect_network) and not docker:
            raise ValueError("spec.remediation.actions: unpause and connectNetwork need spec.target.docker")
        if actions.connect_network and not self.spec.desired.networks:
            raise ValueError("spec.remediation.actions.connectNetwork: needs networks in spec.desired.networks")
        return self

    @model_validator(mode="after")
    def _removable_paths_fit_the_target(self) -> "HealthyService":
        remove = self.spec.remediation.actions.remove_file
        if remove and self.spec.target.kind is TargetKind.DOCKER and any(p[0] != "/" for p in remove.paths):
            raise ValueError("spec.remediation.actions.removeFile.paths: in a container a path is absolute")
        return self
