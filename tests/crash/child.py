"""The operator under test, killable: a process that has everything imported and forks one operator per job.

It reads jobs as lines of JSON and answers with lines of JSON: who was born, and how each ended. A child is the whole
operator through the embedded entry point, composed as the product is but for the ports that `points` wraps.
"""

import gc
import importlib
import json
import os
import selectors
import signal
import sys
import traceback
from collections.abc import Callable
from dataclasses import replace
from enum import StrEnum
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from pitcrew.adapters.runbooks.files import built_in_pages
from pitcrew.bootstrap import Operator, Together, World, assemble, open_world
from pitcrew.entrypoints import embedded
from pitcrew.ports import Journal, Ledger
from pitcrew.settings import Settings
from tests.crash.points import (
    ForgetfulLedger,
    Kill,
    KillableActuator,
    KillableJournal,
    KillableLedger,
    LateIntents,
    Points,
)

IMPORTED_LATE = (
    "pitcrew.adapters.clock.boot",
    "pitcrew.adapters.ledger.files",
    "pitcrew.adapters.manifests.watch",
    "pitcrew.adapters.policy.cel",
    "pitcrew.adapters.prober.http",
    "pitcrew.adapters.reports.files",
    "pitcrew.adapters.runtime.docker.acting",
    "pitcrew.adapters.runtime.process.actuator",
    "pitcrew.adapters.status.files",
    "pitcrew.adapters.stop.files",
    "pitcrew.mechanic.acting",
    "pitcrew.official.permits",
)
"""What the composition root imports where it is used; here it is paid once for all children."""
EX_SOFTWARE = 70


class Bug(StrEnum):
    """A bug put back by hand."""

    NONE = "none"
    LATE_INTENTS = "record after effect"
    FORGETFUL_LEDGER = "ledger not consulted"


class Job(BaseModel):
    """One life of an operator. `notes` counts its points, `log` takes what it says."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    state: Path
    manifests: Path
    runbooks: Path
    locks: Path
    notes: Path
    log: Path
    kill: Kill | None = None
    bug: Bug = Bug.NONE
    docker_host: str = ""
    allowed_signers: Path | None = None


def killable(job: Job) -> Callable[[Settings], Operator]:
    """The product's own composition, with the points of `job` between adapters and the rest."""

    def build(settings: Settings) -> Operator:
        world = open_world(settings)
        points = Points(job.notes, job.kill)
        return assemble(_wrapped(world, settings.state, points, job.bug), settings)

    return build


def _wrapped(world: World, state: Path, points: Points, bug: Bug) -> World:
    journal: Journal = KillableJournal(world.journal, directory=state / "journal", clock=world.clock, points=points)
    roles = world.roles
    assert isinstance(roles, Together)
    spent: Ledger = KillableLedger(roles.spent, path=state / "mechanic" / "spent.jsonl", points=points)
    if bug is Bug.LATE_INTENTS:
        journal = LateIntents(journal, world.clock)
    if bug is Bug.FORGETFUL_LEDGER:
        spent = ForgetfulLedger(spent)
    roles = replace(
        roles,
        permits=KillableLedger(roles.permits, path=state / "official" / "ledger.jsonl", points=points),
        spent=spent,
        actuators={kind: KillableActuator(each, points=points) for kind, each in roles.actuators.items()},
    )
    return replace(world, journal=journal, roles=roles)


def live(job: Job) -> int:
    """Be the operator until SIGTERM, or until the kill."""
    if job.docker_host:
        os.environ["DOCKER_HOST"] = job.docker_host
    settings = Settings(
        state=job.state,
        manifests=(job.manifests,),
        runbooks=(job.runbooks,),
        lock_dir=job.locks,
        look_interval_s=0.5,
        heartbeat_s=1,
        allowed_signers=job.allowed_signers,
    )
    return embedded.main(settings, build=killable(job))


def be_born(job: Job, inherited: list[int]) -> None:
    """In the forked child: let go of what is the parent's, live, and end without going back."""
    code = EX_SOFTWARE
    try:
        for descriptor in inherited:
            os.close(descriptor)
        nothing = os.open(os.devnull, os.O_RDONLY)
        said = os.open(job.log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        for descriptor, place in ((nothing, 0), (said, 1), (said, 2)):
            os.dup2(descriptor, place)
        code = live(job)
    finally:
        if sys.exc_info()[0] is not None:
            traceback.print_exc()
        sys.stderr.flush()
        os._exit(code)


class Zygote:
    """Forks children for jobs until nobody asks any more; then ends those that are left."""

    def __init__(self) -> None:
        self._selector = selectors.DefaultSelector()
        self._children: dict[int, tuple[str, int]] = {}
        self._asked = b""

    def serve(self) -> None:
        self._selector.register(0, selectors.EVENT_READ)
        while True:
            for key, _ in self._selector.select():
                if key.fd != 0:
                    self._bury(key.fd)
                elif not self._take_jobs():
                    return self._end()

    def _take_jobs(self) -> bool:
        data = os.read(0, 65536)
        *lines, self._asked = (self._asked + data).split(b"\n")
        for line in lines:
            self._fork(Job.model_validate_json(line))
        return bool(data)

    def _fork(self, job: Job) -> None:
        pid = os.fork()
        if pid == 0:
            be_born(job, [self._selector.fileno(), *self._children])
        handle = os.pidfd_open(pid)
        self._children[handle] = (job.name, pid)
        self._selector.register(handle, selectors.EVENT_READ)
        self._answer({"name": job.name, "pid": pid})

    def _bury(self, handle: int) -> None:
        self._selector.unregister(handle)
        name, pid = self._children.pop(handle)
        _, status = os.waitpid(pid, 0)
        os.close(handle)
        self._answer({"name": name, "code": os.waitstatus_to_exitcode(status)})

    def _end(self) -> None:
        for _, pid in self._children.values():
            os.kill(pid, signal.SIGKILL)

    def _answer(self, value: dict[str, str | int]) -> None:
        os.write(1, json.dumps(value).encode() + b"\n")


def main() -> None:
    """The program."""
    for module in IMPORTED_LATE:
        importlib.import_module(module)
    # Children share what was read; each would read it anew.
    built_in_pages()
    gc.freeze()
    Zygote().serve()


if __name__ == "__main__":
    main()
