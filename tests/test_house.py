"""What holds for the house itself: its commands, its lock, its package, and what a missing part does to a test run."""

import os
import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
TARGETS = {
    "demo", "run", "stack-up", "stack-demo", "stack-down", "victim", "chaos-list", "chaos-break", "chaos-fix", "test",
    "campaigns", "test-crash", "check", "eval", "images", "base-image", "clean", "llm-venv", "llm-local", "record-demo",
    "overhead",
}  # fmt: skip
PIN = re.compile(r"[A-Za-z0-9._-]+==[^\s;]+")
NO_ENGINE = "unix:///nonexistent/docker.sock"
A_DOCKER_TEST = "test_the_victims_image_is_built_from_this_checkout"


def read(path: str) -> str:
    return (ROOT / path).read_text(encoding="utf-8")


def canonical(name: str) -> str:
    """A distribution's name as indexes compare it (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def pins(path: str) -> dict[str, str]:
    lines = (line.split("#")[0].strip() for line in read(path).splitlines())
    return {canonical(name): version for name, version in (line.split("==") for line in lines if line)}


def declared_names(requirements: list[str]) -> set[str]:
    return {canonical(re.split(r"[<>=!~\[; ]", line)[0]) for line in requirements}


def run_pytest(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """The project's own pytest, in a process of its own, with nothing required unless said."""
    inherited = {name: value for name, value in os.environ.items() if name != "PITCREW_REQUIRE"}
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "tests/test_house.py", *arguments],
        cwd=ROOT, env=inherited | environment, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip


# --- make ---


def test_make_alone_lists_every_target_with_a_text_below_a_group() -> None:
    printed = subprocess.run(["make", "-s"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    groups = re.split(r"\n(?=\S)", printed.strip())
    listed = {name for group in groups for name in re.findall(r"^  make (\S+) +\S", group, re.MULTILINE)}
    assert listed == TARGETS
    assert all(re.match(r"[A-Z][^\n]+\n  make ", group) for group in groups)


def test_no_target_asks_for_more_rights() -> None:
    assert "sudo" not in read("Makefile")


# --- the lock ---


@pytest.mark.parametrize("lock", ["requirements.lock", "requirements-llm.lock", "victim-app/requirements.txt"])
def test_every_requirement_is_pinned_to_one_version(lock: str) -> None:
    lines = [line.split("#")[0].strip() for line in read(lock).splitlines()]
    assert [line for line in lines if line and not PIN.fullmatch(line)] == []


def test_the_lock_holds_everything_the_package_and_its_extras_ask_for() -> None:
    project = tomllib.loads(read("pyproject.toml"))["project"]
    extras = project["optional-dependencies"].values()
    asked = declared_names(project["dependencies"]).union(*map(declared_names, extras))
    wanted = declared_names([line for line in read("requirements.in").splitlines() if line and line[0] != "#"])
    assert asked <= wanted <= pins("requirements.lock").keys()


def test_the_victims_pins_agree_with_the_lock() -> None:
    lock, victim = pins("requirements.lock"), pins("victim-app/requirements.txt")
    assert {name: victim[name] for name in lock.keys() & victim.keys()} == {
        name: lock[name] for name in lock.keys() & victim.keys()
    }


@pytest.mark.parametrize(
    "path", ["requirements.in", "requirements.lock", "requirements-llm.lock", "pyproject.toml", "Makefile", ".ci/run"]
)
def test_no_index_and_no_machine_is_named(path: str) -> None:
    assert re.findall(r"https?://\S+|^\s*(?:-i|-f|--\S+).*|/(?:root|home|opt)/\S*", read(path), re.MULTILINE) == []


# --- the package ---


def test_the_source_root_is_no_package_since_it_would_shadow_the_standard_library() -> None:
    assert not (ROOT / "operator" / "__init__.py").exists()


def test_a_wheel_holds_every_module_every_runbook_the_command_and_the_licence(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    for name in ("pyproject.toml", "LICENSE"):
        (source / name).write_bytes((ROOT / name).read_bytes())
    ours = [path for pattern in ("*.py", "runbooks/*.md") for path in (ROOT / "operator/pitcrew").rglob(pattern)]
    for path in ours:
        copy = source / path.relative_to(ROOT)
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes(path.read_bytes())
    offline = ("--no-index", "--no-deps", "--no-build-isolation")
    subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "-q", *offline, "-w", tmp_path, source], check=True, timeout=120
    )
    with zipfile.ZipFile(next(tmp_path.glob("pitcrew-*.whl"))) as wheel:
        held = wheel.namelist()
        commands = wheel.read(next(name for name in held if name.endswith("entry_points.txt"))).decode()
    assert sorted(name for name in held if ".dist-info/" not in name) == sorted(
        str(path.relative_to(ROOT / "operator")) for path in ours
    )
    assert "pitcrew = pitcrew.entrypoints.cli:main" in commands
    assert any(name.endswith("licenses/LICENSE") for name in held)


# --- real parts ---


def test_without_an_engine_its_tests_are_skipped_and_one_line_says_what_to_do() -> None:
    ran = run_pytest("-k", A_DOCKER_TEST, DOCKER_HOST=NO_ENGINE)
    lines = [line for line in ran.stdout.splitlines() if "docker is missing" in line]
    assert ran.returncode == pytest.ExitCode.OK, ran.stdout
    assert re.search(r"\b1 skipped\b.* in ", ran.stdout)
    assert len(lines) == 1
    assert NO_ENGINE in lines[0]
    assert "start dockerd" in lines[0]


def test_a_run_that_needs_no_engine_does_not_mention_one() -> None:
    ran = run_pytest("-k", "source_root_is_no_package", DOCKER_HOST=NO_ENGINE)
    assert ran.returncode == pytest.ExitCode.OK, ran.stdout
    assert "docker is missing" not in ran.stdout


def test_a_required_part_that_is_missing_fails_the_session_with_the_same_line() -> None:
    ran = run_pytest("-k", "source_root_is_no_package", DOCKER_HOST=NO_ENGINE, PITCREW_REQUIRE="docker")
    assert ran.returncode == pytest.ExitCode.TESTS_FAILED, ran.stdout
    assert f"docker is missing: no engine answers at {NO_ENGINE}" in ran.stdout
    assert "1 passed" not in ran.stdout


def test_an_unknown_required_part_is_an_error_that_names_the_known_ones() -> None:
    ran = run_pytest("-k", "source_root_is_no_package", PITCREW_REQUIRE="dokcer")
    assert ran.returncode == pytest.ExitCode.USAGE_ERROR, ran.stdout
    assert (
        "PITCREW_REQUIRE names dokcer; known are docker, compose, haproxy, ssh, systemd, browser, llm, cluster"
        in ran.stderr
    )


@pytest.mark.docker
def test_the_victims_image_is_built_from_this_checkout(victim_image: str) -> None:
    once = ("docker", "run", "--rm", "--network", "none", "--name", f"house-image-{os.getpid()}")
    printed = subprocess.run([*once, victim_image, "cat", "app.py"], capture_output=True, check=True, timeout=60).stdout
    assert printed == (ROOT / "victim-app" / "app.py").read_bytes()
