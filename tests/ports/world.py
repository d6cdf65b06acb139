"""What the contract suites of the runtime ports need from a technology: a driver that makes things happen to targets.

A driver acts from outside PitCrew, as a person, the kernel or a deployment would; it never goes through the ports under
test. Each method returns when what it did can be seen.
"""

from typing import Any, Protocol

from pitcrew.core.action import RunCommand, declared_command
from pitcrew.core.resource import HealthyService
from pitcrew.ports import Actuator, Runtime

FILE_BYTES_MAX = 1 << 20
"""Size of the largest file that `removeFile` takes, the same for every actuator."""


LITERAL = "-n; $(touch injected) `id` && *"
"""An argument that is the name of a file, unless a shell or the program reads more in it."""


def commands(there: str) -> dict[str, Any]:
    """What every service of a world declares for `runCommand`; `there` is the directory of its flag, with a slash."""
    run: dict[str, dict[str, Any]] = {
        "note": {"argv": ["sh", "-c", f"echo x >> {there}noted"], "undo": "forget"},
        "forget": {"argv": ["rm", "--", f"{there}noted"]},
        "literal": {"argv": ["touch", "--", f"{there}{LITERAL}"]},
        "fail": {"argv": ["sh", "-c", f"echo x >> {there}noted; echo password=hunter2hunter2 >&2; exit 3"]},
        "hang": {"argv": ["sh", "-c", f"echo x >> {there}noted; sleep 600"], "timeoutSeconds": 1},
        "quiet": {
            "argv": ["sh", "-c", f"exec > /dev/null 2>&1; sleep 600; echo x >> {there}noted"],
            "timeoutSeconds": 1,
        },
        "absent": {"argv": ["there-is-no-such-program"]},
    }
    return {"commands": [{"name": name, **how} for name, how in run.items()]}


def command(service: HealthyService, name: str) -> RunCommand:
    """A command as the service declares it."""
    found = declared_command(service.spec.remediation.actions, name)
    assert found is not None
    return found


class World(Protocol):
    """One technology with targets of its own; made anew for each test."""

    @property
    def runtime(self) -> Runtime:
        """The reading half under test."""

    @property
    def actuator(self) -> Actuator:
        """The changing half under test."""

    @property
    def flag(self) -> str:
        """A path that every service of this world declares for `removeFile`; its directory exists."""

    @property
    def undeclared(self) -> str:
        """A path beside it that no service declares."""

    @property
    def leaves_its_exit_code(self) -> bool:
        """Whether the runtime always knows the exit code of a target that was killed."""

    def beside(self, name: str) -> str:
        """The path under which a name in the directory that `commands` write to is read."""

    def declared(self, name: str) -> HealthyService:
        """A declared service named `name` (actions: start, restart with 1 s of grace, removeFile of `flag`, and
        runCommand of `commands`)."""

    async def create(self, name: str) -> HealthyService:
        """A declared service whose target runs, ignores nothing, and has no file at `flag`."""

    async def replace(self, service: HealthyService) -> None:
        """Put another running target in the place of the service's, under the same name."""

    async def destroy(self, service: HealthyService) -> None:
        """Take the target away, so that the runtime does not know it any more."""

    async def kill(self, service: HealthyService) -> None:
        """Kill the target from outside the runtime, with SIGKILL."""

    async def stop(self, service: HealthyService) -> None:
        """Stop the target as a person would, with the runtime's own means."""

    async def suspend(self, service: HealthyService) -> None:
        """Stop every process of the target with SIGSTOP."""

    async def resume(self, service: HealthyService) -> None:
        """Let a suspended target go on."""

    async def say(self, service: HealthyService, *lines: str) -> None:
        """Let the target write lines to its log (standard output)."""

    async def write(self, service: HealthyService, path: str, data: bytes, *, mode: int = 0o640) -> None:
        """Write a file inside the target."""

    async def link(self, service: HealthyService, path: str) -> None:
        """Put a symbolic link at a path inside the target, to a file that exists."""

    async def read(self, service: HealthyService, path: str) -> tuple[bytes, int] | None:
        """Bytes and mode of a file inside the target, or None when nothing is there."""

    def reopened(self) -> Actuator:
        """Another actuator over the same state, as after a crash of PitCrew."""

    def effects(self) -> int:
        """How many changes of targets the technology was asked for through the ports, by a witness outside them."""


class EngineWorld(World, Protocol):
    """A technology behind an engine that can go away."""

    def engine_away(self) -> None:
        """Nobody answers any more, until `engine_back`."""

    def engine_hangs(self) -> None:
        """Requests are taken and never answered, until `engine_back`."""

    def engine_back(self) -> None:
        """The engine answers again."""

    def lose_the_next_answer(self) -> None:
        """The next change is carried out, and its answer never arrives."""
