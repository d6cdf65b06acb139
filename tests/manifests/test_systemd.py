"""The units of the three roles: systemd takes them, finds little exposed, and each has the powers of its role only."""

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.socket_proxy import ROOT

UNITS = ROOT / "manifests" / "systemd"
ROLES = ("mechanic", "official", "driver")
EXPOSURE_MAX = 20
"""Of 100, as systemd-analyze counts; below 20 it says OK, and a unit without any of the lines has 96."""
INSTALLED = "/opt/pitcrew/bin/pitcrew"


class Unit(dict[str, list[str]]):
    """The lines of one unit's [Service], by their names; an empty value takes back those before it."""

    def __init__(self, *files: str) -> None:
        super().__init__()
        for file in files:
            text = (UNITS / file).read_text().replace("\\\n", " ")
            section = text[text.index("[Service]") :].partition("\n[")[0]
            for line in section.splitlines()[1:]:
                if line and not line.startswith("#"):
                    name, _, value = line.partition("=")
                    self[name] = [*self.get(name, []), value] if value else []


def unit(role: str) -> Unit:
    """A role's unit."""
    return Unit(f"pitcrew-{role}.service")


def analyzed(*words: str | Path) -> "subprocess.CompletedProcess[str]":
    """What systemd-analyze says; it needs no running systemd for this."""
    return subprocess.run(["systemd-analyze", "--no-pager", *words], capture_output=True, text=True, timeout=60)


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    """The units with a command that is there on this machine."""
    for path in UNITS.glob("*.service"):
        text = path.read_text().replace(INSTALLED, sys.executable).replace("/usr/sbin/haproxy", sys.executable)
        (tmp_path / path.name).write_text(text)
    return tmp_path


@pytest.mark.systemd
def test_systemd_takes_every_unit_without_a_complaint(installed: Path) -> None:
    done = analyzed("verify", *sorted(installed.glob("*.service")))
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.systemd
def test_systemd_would_complain_about_a_word_it_does_not_know(installed: Path) -> None:
    path = installed / "pitcrew-official.service"
    path.write_text(path.read_text().replace("ProtectSystem=strict", "ProtectSystems=strict"))
    assert "Unknown key 'ProtectSystems'" in analyzed("verify", path).stderr


@pytest.mark.systemd
@pytest.mark.parametrize("name", [*ROLES, "socket-proxy"])
def test_little_is_exposed(name: str) -> None:
    path = UNITS / f"pitcrew-{name}.service"
    done = analyzed("security", "--offline=true", f"--threshold={EXPOSURE_MAX}", path)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("role", ROLES)
def test_each_role_is_confined_to_a_user_and_a_directory_of_its_own(role: str) -> None:
    lines = unit(role)
    assert lines["User"] == lines["Group"] == lines["StateDirectory"] == [f"pitcrew-{role}"]
    assert lines["StateDirectoryMode"] == ["0700"]
    assert lines["ProtectSystem"] == ["strict"]
    assert lines["NoNewPrivileges"] == lines["PrivateTmp"] == lines["PrivateDevices"] == ["yes"]
    assert lines["CapabilityBoundingSet"] == []
    assert lines["SystemCallFilter"] == ["@system-service", "~@privileged @resources"]
    assert lines.get("ReadWritePaths", []) == (["/run/lock/pitcrew"] if role == "mechanic" else [])
    users = [line.split()[1] for line in (UNITS / "sysusers.conf").read_text().splitlines() if line.startswith("u ")]
    assert users == [f"pitcrew-{one}" for one in ROLES]


def test_only_the_mechanic_reaches_the_engine() -> None:
    hidden = "-/run/docker.sock -/run/containerd -/run/pitcrew-socket-proxy"
    assert unit("mechanic")["SupplementaryGroups"] == ["docker"]
    for role in ("official", "driver"):
        assert "SupplementaryGroups" not in unit(role)
        assert unit(role)["InaccessiblePaths"] == [hidden]


def test_behind_the_socket_proxy_not_even_the_mechanic_does() -> None:
    mechanic = Unit("pitcrew-mechanic.service", "pitcrew-mechanic-socket-proxy.conf")
    assert mechanic["SupplementaryGroups"] == []
    assert "-/run/docker.sock" in mechanic["InaccessiblePaths"][0].split()
    proxy = unit("socket-proxy")
    assert proxy["SupplementaryGroups"] == ["docker"]
    assert proxy["Group"] == ["pitcrew-mechanic"]
    assert mechanic["Environment"] == [f"DOCKER_HOST=unix:///run/{proxy['RuntimeDirectory'][0]}/engine.sock"]


def test_only_the_driver_reaches_the_network() -> None:
    def allowed(role: str) -> Sequence[str]:
        assert unit(role)["IPAddressDeny"] == ["any"]
        return unit(role)["IPAddressAllow"][0].split()

    assert "IPAddressDeny" not in unit("driver")
    assert allowed("official") == ["localhost"]
    assert allowed("mechanic") == ["localhost", "172.16.0.0/12"], "for probes of containers"


def test_tokens_of_the_driver_reach_it_as_credentials_and_no_secret_stands_in_a_unit() -> None:
    lines = unit("driver")
    credentials = [one.partition(":")[0] for one in lines["LoadCredential"]]
    assert credentials == ["official-token", "mechanic-token"]
    assert all(f"--{one}-file %d/{one}" in lines["ExecStart"][0] for one in credentials)
    for role in ("mechanic", "official"):
        assert f"--tokens /var/lib/pitcrew-{role}/tokens.json" in unit(role)["ExecStart"][0]


def test_the_page_installs_every_file_there_is() -> None:
    page = (ROOT / "docs" / "how-to" / "three-processes.md").read_text()
    assert [path.name for path in sorted(UNITS.iterdir()) if path.name not in page] == []
