"""The victim as an image: what only a real engine can show."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.engine import published_port, victim_container
from tests.victim.asking import get
from tests.waiting import eventually

pytestmark = pytest.mark.docker
FLAG = "/app/broken.flag"


@pytest.fixture(scope="module")
def container() -> Iterator[Any]:
    with victim_container() as started:
        yield started


def _health(container: Any) -> tuple[int, str] | None:
    port = published_port(container)
    return get(port, "/health") if port else None


def test_its_own_health_check_finds_it_healthy(container: Any) -> None:
    def status() -> str:
        container.reload()
        return str(container.attrs["State"]["Health"]["Status"])

    eventually(lambda: status() == "healthy", timeout_s=40, what="docker health")


def test_it_runs_as_an_ordinary_user(container: Any) -> None:
    assert container.exec_run(["id", "-u"]).output.strip() == b"10001"


@pytest.mark.parametrize("user", ["0", "victim"])
def test_root_and_its_own_user_can_set_the_flag_and_its_own_user_can_remove_it(container: Any, user: str) -> None:
    eventually(lambda: _health(container) == (200, "OK"), what="health")
    assert container.exec_run(["touch", FLAG], user=user).exit_code == 0
    assert _health(container) == (500, "SERVICE UNHEALTHY")
    assert container.exec_run(["rm", FLAG], user="victim").exit_code == 0
    assert _health(container) == (200, "OK")


def test_the_flag_survives_a_restart(container: Any) -> None:
    container.exec_run(["touch", FLAG])
    container.restart()
    eventually(lambda: _health(container) == (500, "SERVICE UNHEALTHY"), what="health after the restart")
    assert FLAG.encode() in container.logs()
    container.exec_run(["rm", FLAG])


def test_it_stops_gracefully(container: Any) -> None:
    container.stop()
    assert container.wait()["StatusCode"] == 0
    container.start()
