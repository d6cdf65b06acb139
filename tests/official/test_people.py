"""People at the Official through their commands, with a token and with an SSH key; and the keys of roles."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.keys import allowed_line, new_key
from tests.official.running import READY, REPOSITORY, Driver, Served, Site

pytestmark = pytest.mark.ssh

ASKS: dict[str, Any] = {"policy": {"autoUpTo": "None", "approvers": {"users": ["alice"]}, "approveWithin": "10m"}}


def pitcrew(*words: str) -> "subprocess.CompletedProcess[str]":
    """The command, as a person types it."""
    environ = {"PYTHONPATH": str(REPOSITORY / "operator"), "PATH": "/usr/bin:/bin", "HOME": "/nonexistent"}
    argv = [sys.executable, "-m", "pitcrew", *words]
    return subprocess.run(argv, capture_output=True, text=True, env=environ, stdin=subprocess.DEVNULL, timeout=120)


@pytest.fixture
def site(tmp_path: Path) -> Site:
    made = Site(root=tmp_path)
    made.declare("victim", **ASKS)
    (tmp_path / "alice").write_text(made.tokens["alice"])
    (tmp_path / "reader").write_text(made.tokens["reader"])
    return made


def asked(served: Served) -> tuple[Driver, str]:
    """A Driver whose plan asks people, and the digest of that plan."""
    driver = served.driver("victim")
    plan = driver.plan()
    assert driver.review(plan, ask=True).json()["request"]["plan_digest"] == plan.digest
    assert driver.permit(plan).permit is None
    return driver, plan.digest


def test_a_person_sees_the_plan_by_its_incident_and_approves_it_with_a_token(site: Site) -> None:
    with site.running() as served:
        driver, plan = asked(served)
        talk = ("--official", served.url, "--token-file")
        shown = pitcrew("question", "i-1", *talk, str(site.root / "reader"))
        assert shown.returncode == 0, shown.stderr
        assert plan in shown.stdout
        assert "remove /app/broken.flag" in shown.stdout
        assert "blast radius" in shown.stdout
        reader = pitcrew("approve", "i-1", "--reason", "ok", "-y", *talk, str(site.root / "reader"))
        assert (reader.returncode, "approver" in reader.stderr) == (1, True)
        assert driver.permit(driver.plan()).permit is None
        done = pitcrew("approve", plan[:16], "--reason", "looked at it", "-y", *talk, str(site.root / "alice"))
        assert done.returncode == 0, done.stderr
        assert "approved by alice (token): looked at it" in done.stdout
        assert driver.permit(driver.plan()).permit is not None


def test_a_person_signs_a_denial_without_any_token(site: Site) -> None:
    key = new_key(site.root / "id")
    signers = site.root / "allowed_signers"
    signers.write_text(allowed_line("alice", key))
    signers.chmod(0o644)
    with site.running(f"export PITCREW_ALLOWED_SIGNERS={signers};") as served:
        driver, plan = asked(served)
        stranger = new_key(site.root / "stranger")
        words = ("deny", plan, "--reason", "not now", "-y", "--official", served.url, "--ssh-key")
        wrong = pitcrew(*words, str(stranger))
        assert (wrong.returncode, "proves nothing" in wrong.stderr) == (1, True)
        done = pitcrew(*words, str(key))
        assert done.returncode == 0, done.stderr
        assert "denied by alice (ssh SHA256:" in done.stdout
        assert "denied by alice" in driver.permit(driver.plan()).refused


def test_keys_are_made_rotated_and_retired_by_command(tmp_path: Path) -> None:
    at = ("--role", "mechanic", "--state", str(tmp_path / "state"))
    none = pitcrew("keys", "show", *at)
    assert (none.returncode, "keys init" in none.stderr) == (3, True)
    first = pitcrew("keys", "init", *at).stdout
    assert first.count("BEGIN PUBLIC KEY") == 1
    assert pitcrew("keys", "init", *at).stdout == first
    both = pitcrew("keys", "rotate", *at).stdout
    assert both.count("BEGIN PUBLIC KEY") == 2
    assert both.endswith(first)
    assert pitcrew("keys", "rotate", *at).returncode == 3
    last = pitcrew("keys", "rotate", "--retire", *at).stdout
    assert both == last + first
    assert pitcrew("keys", "show", *at).stdout == last
    assert "PRIVATE" not in first + both + last


def test_an_official_that_cannot_begin_says_why_and_never_listens(site: Site) -> None:
    (site.root / "mechanic" / "key.pub").chmod(0o666)
    words = ("--manifests", str(site.manifests), "--state", str(site.root / "state"), "--listen", "127.0.0.1:0")
    keys = f"default={site.root / 'mechanic' / 'key.pub'}"
    for more, why in (
        (("--mechanic", keys), "chmod 644"),
        (("--mechanic", "default"), "NAME=FILE"),
        (("--listen", "0.0.0.0:0"), "tokens add"),
    ):
        tried = pitcrew("official", *words, *more)
        assert tried.returncode == 3
        assert why in tried.stderr
        assert READY not in tried.stderr
