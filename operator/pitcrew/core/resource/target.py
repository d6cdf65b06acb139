"""Targets: the workload behind a service."""

from enum import StrEnum
from typing import Annotated

from pydantic import Field, StringConstraints, model_validator

from pitcrew.core.resource.base import Argument, EnvName, Model

DEFAULT_MECHANIC = "default"
"""The Mechanic of a target that names no host."""


class TargetKind(StrEnum):
    """The runtime behind a target; kinds are never substituted for one another."""

    DOCKER = "docker"
    PROCESS = "process"


class DockerTarget(Model):
    """A container, by name, or by its place in a compose project."""

    container: Annotated[str, StringConstraints(pattern=r"^[a-zA-Z0-9][a-zA-Z0-9_.-]{0,127}$")] | None = None
    """Name of the container."""
    compose_project: Annotated[str, StringConstraints(min_length=1, max_length=128)] | None = None
    """Compose project, together with `composeService`; must resolve to exactly one container."""
    compose_service: Annotated[str, StringConstraints(min_length=1, max_length=128)] | None = None
    """Compose service, together with `composeProject`."""
    host: Annotated[str, StringConstraints(pattern=r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$")] | None = None
    """Name of the Mechanic beside the engine that has the container, where there are several; default: `default`."""

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
    def mechanic(self) -> str:
        """The id of the Mechanic that serves this target, and that permits for it are made out to."""
        return (self.docker.host if self.docker is not None else None) or DEFAULT_MECHANIC

    @property
    def label(self) -> str:
        """Short human name of the target, such as `docker/victim`, or `docker/web2/victim` beside another Mechanic."""
        if self.docker is not None:
            name = self.docker.container or f"{self.docker.compose_project}.{self.docker.compose_service}"
            return f"docker/{self.docker.host}/{name}" if self.docker.host else f"docker/{name}"
        return f"process/{self.process.command[0].rpartition('/')[2] if self.process else ''}"
