"""The three roles as local processes, each as a user of its own where this is root; where no compose is."""

import os
import shutil
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from tools.demo_world import ROOT, DemoError, free_port, say, until
from tools.stack_crew import PEEK, ROLES, Fact, introduce

UIDS = {"mechanic": 10011, "official": 10012, "driver": 10013}
"""The users of the image; none of them need be known to this machine."""
SOCKET = Path("/var/run/docker.sock")
_WORDS: Mapping[str, Sequence[str]] = {"pitcrew": (sys.executable, "-m", "pitcrew"), "python": (sys.executable,)}
"""How commands that are in the image's path are called here."""
COME_UP_S = 60
END_S = 30


@dataclass(kw_only=True)
class Processes:
    """The roles as processes of this machine, with everything they keep under `root`."""

    root: Path
    why: str
    _ports: Mapping[str, int] = field(default_factory=lambda: {"mechanic": free_port(), "official": free_port()})

    @property
    def kind(self) -> str:
        """See `Crew.kind`."""
        users = "each as a user of its own" if self.apart else "all as this user, since another one takes root"
        return f"three local processes, {users} ({self.why})"

    @property
    def apart(self) -> bool:
        """Whether each role has a user of its own."""
        return os.geteuid() == 0 and shutil.which("setpriv") is not None

    def home(self, role: str) -> str:
        """See `Crew.home`."""
        return str(self.root / role)

    def as_role(self, role: str, *argv: str, stdin: str = "") -> str:
        """See `Crew.as_role`."""
        return _out(self._command(role, argv), who=f"as the {role}: {argv[0]}", stdin=stdin)

    def beside(self, *argv: str) -> str:
        """See `Crew.beside`; this user, who is root or all three."""
        return _out([*_WORDS.get(argv[0], (argv[0],)), *argv[1:]], who=argv[0])

    def make(self, manifest: str) -> None:
        """See `Crew.make`."""
        self.down()
        self.root.mkdir(parents=True)
        for role in ROLES:
            self._make(role)
        declared = self.root / "manifests"
        declared.mkdir(mode=0o755)
        (declared / "victim.yaml").write_text(manifest)
        (declared / "victim.yaml").chmod(0o644)
        introduce(self)

    def start(self) -> None:
        """See `Crew.start`."""
        for role in ROLES:
            self._start(role)
        say("Stack", f"{self.kind}: started")
        until(self._answer, COME_UP_S, "all three to answer", f"; their logs are in {self.root}")

    def down(self) -> None:
        """See `Crew.down`."""
        for role in reversed(ROLES):
            if pid := self._pid(role):
                os.kill(pid, signal.SIGTERM)
                until(partial(self._has_ended, role), END_S, f"the {role} to end", f"; it is process {pid}")
        shutil.rmtree(self.root, ignore_errors=True)

    def told(self) -> str:
        """See `Crew.told`."""
        logs = [self.root / f"{role}.log" for role in ROLES]
        return "\n".join(log.read_text(errors="replace")[-2000:] for log in logs if log.exists())

    def powers(self) -> Iterator[Fact]:
        """See `Crew.powers`."""
        for role in ROLES:
            said = self.as_role(role, "python", "-c", PEEK, str(SOCKET)).strip()
            good = said.endswith(" answers") is (role == "mechanic" or not self.apart)
            yield Fact(good=good, text=f"the {role.capitalize()} asks the engine: {said}")
        users = {role: os.stat(f"/proc/{pid}").st_uid for role in ROLES if (pid := self._pid(role))}
        text = "each runs as a user of its own" if self.apart else "NOT shown: all run as this user"
        yield Fact(good=len(set(users.values())) == (3 if self.apart else 1), text=f"{text} (uids {users})")

    def _command(self, role: str, argv: Sequence[str]) -> Sequence[str]:
        command = [*_WORDS.get(argv[0], (argv[0],)), *argv[1:]]
        if not self.apart:
            return command
        uid = str(UIDS[role])
        groups = ("--groups", str(SOCKET.stat().st_gid)) if role == "mechanic" else ("--clear-groups",)
        limits = ("--no-new-privs", "--bounding-set", "-all", "--inh-caps", "-all")
        return ["setpriv", "--reuid", uid, "--regid", uid, *groups, *limits, *command]

    def _make(self, role: str) -> None:
        home = self.root / role
        home.mkdir(mode=0o700)
        if self.apart:
            os.chown(home, UIDS[role], UIDS[role])
            self._see_the_code(role)

    def _see_the_code(self, role: str) -> None:
        try:
            self.as_role(role, "python", "-c", "import pitcrew")
        except DemoError as error:
            raise DemoError(
                f"another user cannot read this checkout or its .venv; open them to others: {error}"
            ) from None

    def _start(self, role: str) -> None:
        command = self._command(role, ("pitcrew", *self._words(role)))
        with (self.root / f"{role}.log").open("wb") as log:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd="/",
                env=_environ(),
                start_new_session=True,
            )
        (self.root / f"{role}.pid").write_text(f"{process.pid}\n")

    def _has_ended(self, role: str) -> bool:
        return self._pid(role) is None

    def _pid(self, role: str) -> int | None:
        """The process of a role while it runs; a pid that has become somebody else's is nobody's."""
        try:
            pid = int((self.root / f"{role}.pid").read_text())
            words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        except (OSError, ValueError):
            return None
        if not any(words):
            return pid if _is_starting(pid) else None
        return pid if f"--state={self.home(role)}".encode() in words else None

    def _words(self, role: str) -> Sequence[str]:
        home = self.root / role
        at = {name: f"127.0.0.1:{port}" for name, port in self._ports.items()}
        given: dict[str, str | Path] = {"--manifests": self.root / "manifests", "--state": home}
        if role == "driver":
            given |= {"--official-url": f"http://{at['official']}", "--official-token-file": home / "official-token"}
            given |= {
                "--mechanic": f"default=http://{at['mechanic']}",
                "--mechanic-token-file": home / "mechanic-token",
            }
        else:
            given |= {"--listen": at[role], "--tokens": home / "tokens.json"}
        if role == "mechanic":
            given |= {"--official-keys": home / "official.pub"}
        if role == "official":
            given |= {"--mechanic": f"default={home / 'mechanic.pub'}", "--allowed-signers": home / "allowed_signers"}
        words = [f"{name}={value}" for name, value in given.items()]
        return ["run" if role == "driver" else role, *words]

    def _answer(self) -> bool:
        for role in ROLES:
            if not self._pid(role):
                raise DemoError(f"the {role} ended by itself:\n{self.told()}")
        return all(_listens(port) for port in self._ports.values())


def _out(command: Sequence[str], *, who: str, stdin: str = "") -> str:
    """What a command prints. Raises: DemoError where it fails."""
    done = subprocess.run(command, input=stdin, capture_output=True, text=True, cwd="/", env=_environ(), timeout=60)
    if done.returncode != 0:
        raise DemoError(f"{who} ended with {done.returncode}: {done.stderr.strip()[-2000:]}")
    return done.stdout


def _is_starting(pid: int) -> bool:
    """Whether a process without words is one that is just becoming another program; one that ended has none left."""
    try:
        return bool(os.readlink(f"/proc/{pid}/exe"))
    except OSError:
        return False


def _listens(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz", timeout=2) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def _environ() -> Mapping[str, str]:
    """What each is given: where the code is, and for the Driver where a model is."""
    kept = ("PATH", "PITCREW_MODEL", "OPENAI_BASE_URL", "OPENAI_API_KEY")
    given = {name: os.environ[name] for name in kept if name in os.environ}
    return {**given, "HOME": "/", "PYTHONPATH": str(ROOT / "operator"), "PYTHONDONTWRITEBYTECODE": "1"}
