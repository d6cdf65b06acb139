"""What every test may rely on: the real parts that markers ask for, and the victim's image.

A test marked `docker` or another of `PARTS` (later `browser`, `cluster`) needs a real part. Where the part is missing
its tests are skipped, and one line at the end says what is missing and how to get it. With it named in
`PITCREW_REQUIRE=docker,...` the session ends as a failure instead, so that nothing is skipped where all is to be there.
Of long campaigns a run plays a part, which its last line names: see `tests/campaign.py`.
"""

import os
import shutil
from collections import Counter
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import docker
import hypothesis
import pytest
from docker.context import ContextAPI
from docker.errors import DockerException, ImageNotFound
from requests.exceptions import RequestException

from tests import engine
from tests.campaign import CampaignError, campaign, draw_seed
from tools import llm_local
from tools.stack_containers import compose_command

ROOT = Path(__file__).resolve().parent.parent
REQUIRE_VARIABLE = "PITCREW_REQUIRE"
BASE_IMAGES = ("python:3.12-slim", "pitcrew/base:latest")
ENGINE_TIMEOUT_S = 5
ENGINE_REMEDY = "on Debian: apt-get install docker.io iptables, then start dockerd; or name another in DOCKER_HOST"
REASON_CHARS_MAX = 160
skipped_key = pytest.StashKey[Counter[str]]()
lines_key = pytest.StashKey[list[str]]()
"""What tests want printed at the end; workers of pytest-xdist hand theirs over in `workeroutput["lines"]`."""

# Machines differ in speed, so no example fails for being slow; a failure prints what repeats it.
hypothesis.settings.register_profile("pitcrew", deadline=None, print_blob=True)
hypothesis.settings.load_profile("pitcrew")


def _docker_missing() -> str | None:
    """Why tests marked `docker` cannot run here, and the remedy; None where they can."""
    address = os.environ.get("DOCKER_HOST") or ContextAPI.get_current_context().Host
    try:
        client = docker.DockerClient(base_url=address, timeout=ENGINE_TIMEOUT_S, version="auto")
    except DockerException as error:
        remedy = "join the group docker" if "PermissionError" in str(error) else ENGINE_REMEDY
        return f"no engine answers at {address} ({_short(error)}); {remedy}"
    try:
        client.ping()
        if not any(_has_image(client, name) for name in (engine.VICTIM_IMAGE, *BASE_IMAGES)):
            return f"the engine has no image to build the victim on; `make base-image`, or docker pull {BASE_IMAGES[0]}"
    except (DockerException, RequestException) as error:
        return f"the engine at {address} did not answer ({_short(error)}); see its log"
    finally:
        client.close()
    return None if shutil.which("docker") else "the engine answers, but there is no docker command to build images with"


def _has_image(client: docker.DockerClient, name: str) -> bool:
    try:
        client.images.get(name)
    except ImageNotFound:
        return False
    return True


def _short(error: Exception) -> str:
    """An error's text on one line, bounded."""
    text = " ".join(str(error).split())
    return text if len(text) <= REASON_CHARS_MAX else f"{text[:REASON_CHARS_MAX]}..."


def _not_yet() -> str | None:
    return "nothing here needs it yet, so there is no way to look for it"


def _haproxy_missing() -> str | None:
    return None if shutil.which("haproxy") else "there is no haproxy command; on Debian: apt-get install haproxy"


def _ssh_missing() -> str | None:
    return None if shutil.which("ssh-keygen") else "there is no ssh-keygen; on Debian: apt-get install openssh-client"


def _systemd_missing() -> str | None:
    return (
        None if shutil.which("systemd-analyze") else "there is no systemd-analyze; on Debian: apt-get install systemd"
    )


def _compose_missing() -> str | None:
    remedy = "there is neither `docker compose` nor docker-compose; on Debian: apt-get install docker-compose"
    return None if compose_command() else remedy


PARTS: dict[str, Callable[[], str | None]] = {
    "docker": _docker_missing,
    "compose": _compose_missing,
    "haproxy": _haproxy_missing,
    "ssh": _ssh_missing,
    "systemd": _systemd_missing,
    "browser": _not_yet,
    "llm": llm_local.missing,
    "cluster": _not_yet,
}


@cache
def _missing(part: str) -> str | None:
    """The line about a part that is not here, looked for once a session; None where it is."""
    reason = PARTS[part]()
    return None if reason is None else f"{part} is missing: {reason}"


def _required() -> list[str]:
    return [name.strip() for name in os.environ.get(REQUIRE_VARIABLE, "").split(",") if name.strip()]


def pytest_configure(config: pytest.Config) -> None:
    unknown = sorted(set(_required()) - PARTS.keys())
    if unknown:
        raise pytest.UsageError(f"{REQUIRE_VARIABLE} names {', '.join(unknown)}; known are {', '.join(PARTS)}")
    draw_seed()
    try:
        campaign()
    except CampaignError as error:
        raise pytest.UsageError(str(error)) from None
    config.stash[skipped_key] = Counter()
    config.stash[lines_key] = []


def pytest_sessionstart() -> None:
    lines = [line for part in _required() if (line := _missing(part))]
    if lines:
        pytest.exit("\n".join(lines), returncode=pytest.ExitCode.TESTS_FAILED)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    for item in items:
        for part in PARTS:
            if item.get_closest_marker(part) and (line := _missing(part)):
                item.add_marker(pytest.mark.skip(reason=line))
                config.stash[skipped_key][line] += 1


def pytest_sessionfinish(session: pytest.Session) -> None:
    output = getattr(session.config, "workeroutput", None)
    if output is not None:
        counts: Counter[str] = session.config.stash[skipped_key]
        output["skipped"] = dict(counts)
        output.setdefault("lines", []).extend(session.config.stash[lines_key])


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """Every worker of pytest-xdist collects the same tests, so that each tells the same counts; lines are its own."""
    config: pytest.Config = node.config
    output = getattr(node, "workeroutput", {})
    for line, count in output.get("skipped", {}).items():
        config.stash[skipped_key][line] = count
    config.stash[lines_key].extend(output.get("lines", []))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    for line, count in config.stash[skipped_key].items():
        terminalreporter.write_line(f"{line} ({count} skipped)", yellow=True)
    for line in (*config.stash[lines_key], str(campaign())):
        terminalreporter.write_line(line)


@pytest.fixture(scope="session")
def tell_at_end(request: pytest.FixtureRequest) -> Callable[[str], None]:
    """Have a line printed at the end of the session."""
    return request.config.stash[lines_key].append


@pytest.fixture(scope="session")
def victim_image() -> str:
    """The id of the victim's image, built from this checkout; for tests marked `docker`."""
    return engine.victim_image()
