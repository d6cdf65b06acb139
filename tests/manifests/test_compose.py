"""The compose file of the three roles: each container is locked down, and has the powers of its role only."""

from typing import Any

import pytest
import yaml

from tests.socket_proxy import ROOT

STACK: dict[str, Any] = yaml.safe_load((ROOT / "manifests" / "compose" / "stack.yaml").read_text())
ROLES = ("mechanic", "official", "driver")


def service(name: str) -> dict[str, Any]:
    """A container as it is declared."""
    found: dict[str, Any] = STACK["services"][name]
    return found


def mounted(name: str) -> set[str]:
    """Where its volumes are inside it."""
    return {
        volume.rpartition(":ro")[0].rpartition(":")[2] or volume.rpartition(":")[2]
        for volume in service(name)["volumes"]
    }


def test_there_are_the_three_roles_and_the_socket_proxy() -> None:
    assert set(STACK["services"]) == {"socket-proxy", *ROLES}


@pytest.mark.parametrize("name", ["socket-proxy", *ROLES])
def test_each_container_is_locked_down(name: str) -> None:
    found = service(name)
    assert found["read_only"] is True
    assert found["cap_drop"] == ["ALL"]
    assert found["security_opt"] == ["no-new-privileges:true"]
    assert {"privileged", "cap_add", "ports", "pid", "ipc", "devices"} & set(found) == set()
    assert {"mem_limit", "pids_limit"} <= set(found)
    assert found.get("user", "") == ("" if name == "socket-proxy" else f"pitcrew-{name}")


def test_only_the_socket_proxy_has_the_engines_socket_and_only_the_mechanic_reaches_the_proxy() -> None:
    proxied = "/run/pitcrew-socket-proxy"
    assert [name for name in STACK["services"] if "/var/run/docker.sock" in mounted(name)] == ["socket-proxy"]
    assert [name for name in STACK["services"] if proxied in mounted(name)] == ["socket-proxy", "mechanic"]
    assert service("mechanic")["environment"] == {"DOCKER_HOST": f"unix://{proxied}/engine.sock"}
    assert [name for name in STACK["services"] if "group_add" in service(name)] == ["socket-proxy"]


def test_only_the_driver_has_a_network_that_leads_anywhere() -> None:
    ways_out = {name for name, network in STACK["networks"].items() if not (network or {}).get("internal")}
    assert ways_out == {"model"}
    assert [role for role in ROLES if ways_out & set(service(role)["networks"])] == ["driver"]
    assert service("socket-proxy")["network_mode"] == "none"
    assert service("official")["networks"] == ["control"]


@pytest.mark.parametrize("role", ROLES)
def test_each_role_is_asked_whether_it_answers(role: str) -> None:
    assert "urlopen('http://127.0.0.1:" in service(role)["healthcheck"]["test"][-1]


def test_no_role_sees_what_another_keeps() -> None:
    kept = {role: mounted(role) & {f"/var/lib/pitcrew-{one}" for one in ROLES} for role in ROLES}
    assert kept == {role: {f"/var/lib/pitcrew-{role}"} for role in ROLES}
    for role in ROLES:
        assert [one for one in service(role)["volumes"] if one.endswith(":/etc/pitcrew/manifests:ro")] != []
