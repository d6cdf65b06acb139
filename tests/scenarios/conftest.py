"""Stages to play on. Each scenario gets a fresh one on each kind of target, unless its module shares one."""

import uuid
from collections.abc import Callable, Iterator
from typing import Any

import docker
import pytest

from tests.scenarios.stage import SOCKET, DockerStage, ProcessStage, Stage

KINDS = ("process", pytest.param("docker", marks=pytest.mark.docker))
Build = Callable[..., Stage]


@pytest.fixture(scope="session")
def network() -> Iterator[str]:
    """A network for the containers of the scenarios."""
    client = docker.DockerClient(base_url=f"unix://{SOCKET}")
    made = client.networks.create(f"scen-{uuid.uuid4().hex[:12]}")
    yield str(made.name)
    made.remove()
    client.close()


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    """The kind of target."""
    return str(request.param)


@pytest.fixture
def build(kind: str, request: pytest.FixtureRequest) -> Iterator[Build]:
    """Makes stages of this kind; options are those of a container, and a process has none of them."""
    made: list[Stage] = []

    def one(**options: Any) -> Stage:
        made.append(stage_of(kind, request, **options))
        return made[-1]

    yield one
    for stage in made:
        stage.close()


@pytest.fixture
def stage(build: Build) -> Stage:
    """A fresh stage, declared with every action."""
    made = build()
    made.declare()
    return made


def stage_of(kind: str, request: pytest.FixtureRequest, **options: Any) -> Stage:
    """A new stage; who makes it closes it."""
    if kind == "process":
        return ProcessStage()
    return DockerStage(request.getfixturevalue("victim_image"), request.getfixturevalue("network"), **options)


@pytest.fixture
def docker_stage(request: pytest.FixtureRequest) -> Iterator[Callable[..., DockerStage]]:
    """Makes containers, for tests marked `docker`."""
    made: list[DockerStage] = []

    def one(**options: Any) -> DockerStage:
        stage = stage_of("docker", request, **options)
        assert isinstance(stage, DockerStage)
        made.append(stage)
        return stage

    yield one
    for stage in made:
        stage.close()
