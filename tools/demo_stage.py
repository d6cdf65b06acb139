"""Where the demo plays: a container where an engine answers and an image can be had, else a local process."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from tools.demo_world import DEMO, PITCREW, ROOT, STATE, DemoError, Stage, ask, docker, free_port, say, until


def docker_missing() -> str:
    """Why the demo cannot run on Docker, or nothing."""
    if shutil.which("docker") is None:
        return "there is no docker command"
    try:
        answer = subprocess.run(["docker", "version"], capture_output=True, text=True, timeout=10)
    except subprocess.TimeoutExpired:
        return "the Docker engine does not answer"
    if answer.returncode != 0:
        return "no Docker engine answers"
    built = subprocess.run([str(ROOT / "tools/images.sh"), "victim"], capture_output=True, text=True, cwd=ROOT)
    return "" if built.returncode == 0 else built.stderr.strip().splitlines()[-1]


@contextmanager
def docker_stage(name: str = "victim", home: Path = DEMO, network: str = "") -> Iterator[Stage]:
    """A container of the victim's image, and its manifest in `home`/manifests: published on loopback, or on a network
    of its own, which this machine reaches too."""
    there = docker("inspect", "--format", '{{index .Config.Labels "pitcrew.dev/demo"}}', name, check=False)
    if there.returncode == 0 and there.stdout.strip() != "true":
        raise DemoError(f"a container named {name} is there and not the demo's; rename or remove it, then try again")
    docker("rm", "--force", name, check=False)
    say("Demo", "on Docker: an engine answers and the victim's image is here")
    port = free_port()
    reached = ("--network", network) if network else ("--publish", f"127.0.0.1:{port}:8080")
    docker("run", "--detach", "--name", name, "--label", "pitcrew.dev/demo=true", *reached, "pitcrew/victim:latest")
    manifest = home / "manifests" / "victim.yaml"
    manifest.write_text((ROOT / "manifests/victim.yaml").read_text().replace("container: victim", f"container: {name}"))
    manifest.chmod(0o600)
    try:
        yield Stage(
            on="docker",
            kind=f"docker container {name}, " + (f"on {network}" if network else f"published at 127.0.0.1:{port}"),
            manifest=manifest,
            name=name,
            flag="/app/broken.flag",
            health=lambda: ask(8080, _address(name, network)) if network else ask(port),
            chaos=("--docker", "--manifest", str(manifest)),
        )
    finally:
        docker("rm", "--force", name, check=False)


def _address(name: str, network: str) -> str:
    """Where a container is on a network of its own, now."""
    form = f'{{{{(index .NetworkSettings.Networks "{network}").IPAddress}}}}'
    return docker("inspect", "--format", form, name).stdout.strip()


@contextmanager
def process_stage(reason: str) -> Iterator[Stage]:
    """The victim as a local process, which PitCrew itself starts."""
    say("Demo", f"as a local process: {reason}")
    port, home = free_port(), DEMO / "victim"
    home.mkdir()
    text = (ROOT / "manifests/victim-process.yaml").read_text()
    for old, new in {
        "../.venv/bin/python": sys.executable,
        "app.py]": f"{ROOT / 'victim-app/app.py'}]",
        "../victim-app": str(home),
        "../.pitcrew/victim.pid": str(DEMO / "victim.pid"),
        "127.0.0.1:8080": f"127.0.0.1:{port}",
        "port: 8080": f"port: {port}",
    }.items():
        if old not in text:
            raise DemoError(f"manifests/victim-process.yaml no longer has {old!r}; tools/demo.py fills it in")
        text = text.replace(old, new)
    manifest = DEMO / "manifests" / "victim.yaml"
    manifest.write_text(text)
    manifest.chmod(0o600)
    try:
        yield Stage(
            on="process",
            kind=f"local process at 127.0.0.1:{port}",
            manifest=manifest,
            name="victim",
            flag=str(home / "broken.flag"),
            health=lambda: ask(port),
            chaos=("--pidfile", str(DEMO / "victim.pid")),
        )
    finally:
        end_process(DEMO / "victim.pid")


def end_process(pidfile: Path) -> None:
    """Stop the demo's own process, as a person would."""
    try:
        pid = int(pidfile.read_text().split()[0])
        os.kill(pid, signal.SIGTERM)
    except (OSError, ValueError, IndexError):
        return
    until(lambda: not Path(f"/proc/{pid}").exists(), 15, "the victim to end")


@contextmanager
def operator(stage: Stage, environ: Mapping[str, str]) -> Iterator[None]:
    """`pitcrew run` beside the demo, with this on top of the environment."""
    log = (DEMO / "operator.log").open("w")
    command = [*PITCREW, "run", "--manifests", str(stage.manifest.parent), "--state", str(STATE)]
    process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, cwd=ROOT, env={**os.environ, **environ})
    try:
        yield
        if process.poll() is not None:
            raise DemoError(f"the operator ended by itself; see {log.name}")
    finally:
        process.terminate()
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
        log.close()
