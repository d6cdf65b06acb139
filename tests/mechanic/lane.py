"""A real `pitcrew mechanic` process over process targets, an Official's key to sign with, and a witness of effects.

The witness is the workload: it notes each of its starts in a file of its own. Nothing of PitCrew is asked.
`tests/mechanic/docker_lane.py` has the same over containers, with a witness at the engine's socket.
"""

import asyncio
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, ClassVar
from uuid import uuid4

import httpx2
import yaml
from mcp import Client
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.exceptions import MCPError

from pitcrew.adapters.clock.boot import BootClock
from pitcrew.adapters.manifests.load import load
from pitcrew.adapters.mechanic.connect import Mechanics, connect
from pitcrew.adapters.runtime.process import shim
from pitcrew.adapters.tokens.files import add
from pitcrew.core.action import Action, Restart, RunCommand, Trace
from pitcrew.core.caller import Role
from pitcrew.core.observation import RuntimeFacts
from pitcrew.core.permit import Direction, Permit
from pitcrew.core.policy import policy_digest, target_digest
from pitcrew.core.proposal import Plan
from pitcrew.core.resource import HealthyService, ServiceKey, TargetKind
from pitcrew.keys import private_key, public_pem
from tests.waiting import eventually

ROOT = Path(__file__).parents[2]
WORKLOAD = ["sh", "-c", "echo $$ >> starts; exec sleep 100000"]
RESTART = Restart(grace_s=1)
SLOW = RunCommand(command="slow", argv=("sh", "-c", "echo x >> noted; sleep 2"), timeout_s=20)


def manifest(name: str, folder: Path) -> dict[str, Any]:
    """A service on a process that notes its starts."""
    commands = [{"name": SLOW.command, "argv": list(SLOW.argv), "timeoutSeconds": SLOW.timeout_s}]
    return {
        "apiVersion": "pitcrew.dev/v1alpha1",
        "kind": "HealthyService",
        "metadata": {"name": name},
        "spec": {
            "target": {"process": {"command": WORKLOAD, "workingDir": str(folder)}},
            "probes": [{"exec": {"command": ["true"]}}],
            "remediation": {
                "actions": {"start": {}, "restart": {"gracePeriodSeconds": 1}, "runCommand": {"commands": commands}}
            },
        },
    }


@dataclass(kw_only=True)
class Lane:
    """Everything of one Mechanic that outlives its process."""

    root: Path
    id: str = "default"
    with_tokens: bool = True
    url: str = ""
    tokens: Mapping[str, str] = field(default_factory=dict)
    process: subprocess.Popen[bytes] | None = None
    attacks: int = 0
    services: tuple[str, ...] = ("alpha", "beta")

    def __post_init__(self) -> None:
        self.state, self.manifests = self.root / "state", self.root / "manifests"
        self.keys, self.token_file = self.root / "keys.pem", self.root / "tokens.json"
        self.key, self.retired = private_key(self.root / "official"), private_key(self.root / "retired")
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        self.manifests.mkdir(mode=0o755)
        self.manifests.chmod(0o755)
        for name in self.services:
            self.declare(name)
        self.trust(self.key, self.retired)
        if self.with_tokens:
            self.tokens = {str(one): add(self.token_file, str(one), [one], datetime.now(UTC)) for one in Role}
            for name, token in self.tokens.items():
                (self.root / f"{name}.token").write_text(f"{token}\n")
            (self.root / "nobody.token").write_text("pitcrew_nobody\n")

    # What it runs over

    kind: ClassVar[TargetKind] = TargetKind.PROCESS

    def manifest(self, name: str) -> dict[str, Any]:
        """The declaration of a service."""
        (self.root / name).mkdir(exist_ok=True)
        return manifest(name, self.root / name)

    def declare(self, name: str) -> Path:
        """The file that declares a service from now on."""
        file = self.manifests / f"{name}.yaml"
        file.write_text(yaml.safe_dump(self.manifest(name)))
        return file

    @property
    def environ(self) -> dict[str, str]:
        """What the process finds in its environment."""
        return {**os.environ, "PYTHONPATH": str(ROOT / "operator"), "PITCREW_LOCK_DIR": str(self.root / "locks")}

    def trust(self, *keys: Any) -> None:
        """From now on permits of these keys count."""
        beside = self.root / "keys.new"
        beside.write_bytes(b"".join(map(public_pem, keys)))
        beside.chmod(0o644)
        beside.replace(self.keys)

    # The process

    @property
    def argv(self) -> list[str]:
        given = ["--manifests", str(self.manifests), "--state", str(self.state), "--id", self.id]
        keys = ["--official-keys", str(self.keys)]
        return [sys.executable, "-m", "pitcrew", "mechanic", *given, *keys]

    def start(self) -> None:
        """Start it; it listens when this returns."""
        log = self.root / f"log-{uuid4().hex[:6]}"
        more = ["--listen", f"127.0.0.1:{self.port}", *(["--tokens", str(self.token_file)] if self.with_tokens else [])]
        with log.open("wb") as file:
            self.process = subprocess.Popen([*self.argv, *more], stderr=file, env=self.environ, cwd=self.root)

        def told() -> str:
            assert self.process is not None
            assert self.process.poll() is None, log.read_text()
            found = re.search(r"server started text=(http://\S+)", log.read_text())
            return found[1] if found else ""

        self.url = eventually(told, timeout_s=60, what="the Mechanic")

    def kill(self) -> None:
        """End it at once, as a power cut would."""
        self._end(signal.SIGKILL)

    def end(self) -> None:
        """End it in order."""
        self._end(signal.SIGTERM)

    def _end(self, number: int) -> None:
        assert self.process is not None
        self.process.send_signal(number)
        self.process.wait(30)

    def close(self) -> None:
        """End the process and every workload."""
        if self.process is not None and self.process.poll() is None:
            self.kill()
        boot = shim.boot_id()
        for home in self.state.glob("process/*"):
            record = shim.read_record(str(home))
            for name in (record["shim"], *(run["instance"] for run in record["runs"])):
                if name and (proc := shim.living(name, boot)):
                    shim.send(proc, shim.FORCE)

    # The witness

    @property
    def effects(self) -> int:
        """Starts that the workloads noted, and runs of the command."""
        notes = [*self.root.glob("*/starts"), *self.root.glob("*/noted")]
        return sum(len(note.read_text().split()) for note in notes)

    # The Driver

    def service(self, name: str = "alpha") -> HealthyService:
        return load([self.manifests]).services[ServiceKey(f"default/{name}")].service

    def connected(self, who: str | None = "driver") -> Mechanics:
        file = self.root / f"{who}.token" if who and self.with_tokens else None
        return connect({self.id: self.url}, file, BootClock.after(None))

    async def facts(self, name: str = "alpha") -> RuntimeFacts:
        mechanics = self.connected()
        try:
            sight = await mechanics.runtimes[self.kind].look(self.service(name))
        finally:
            await mechanics.close()
        assert isinstance(sight, RuntimeFacts), sight
        return sight

    async def plan(self, name: str = "alpha", action: Action = RESTART) -> Plan:
        """A plan for the target as it is now, in an incident of its own."""
        service, facts = self.service(name), await self.facts(name)
        return Plan(
            service=service.key,
            incident=f"{name}-{uuid4().hex[:8]}",
            attempt=1,
            target=service.spec.target.label,
            target_id=facts.target_id,
            target_digest=target_digest(service),
            instance=facts.instance,
            action=action,
            undo=None,
            irreversible="what ran is gone",
            verify_for_s=10,
            deviations=("ProbeFailing",),
            policy_digest=policy_digest(service),
        )

    def permit(self, plan: Plan, *, age_s: float = 0.0, ttl_s: float = 60.0, by: Any = None, **fields: Any) -> Permit:
        """A permit as the Official signs it."""
        issued = datetime.now(UTC) - timedelta(seconds=age_s)
        blank = Permit(
            serial=uuid4().hex,
            plan_digest=plan.digest,
            direction=Direction.DO,
            mechanic=self.id,
            issued_at=issued,
            expires_at=issued + timedelta(seconds=ttl_s),
        )
        return self.signed(replace(blank, **fields), by)

    def signed(self, permit: Permit, by: Any = None) -> Permit:
        return replace(permit, signature=(by or self.key).sign(permit.payload).hex())

    async def carry_out(self, permit: Permit, plan: Plan) -> None:
        """Prepare and execute, as the Driver does."""
        mechanics = self.connected()
        try:
            service = self.service("beta" if plan.service == "default/beta" else "alpha")
            trace = await mechanics.mechanic.prepare(permit, plan, service)
            await mechanics.mechanic.execute(permit, plan, service, trace)
        finally:
            await mechanics.close()

    async def execute(
        self, permit: Permit, plan: Plan, trace: Trace | None = None, *, who: str | None = "driver"
    ) -> None:
        """Execute straight, without having asked."""
        made = trace or Trace(op=permit.serial, target_id=plan.target_id, instance=plan.instance, notes={})
        mechanics = self.connected(who)
        try:
            await mechanics.mechanic.execute(permit, plan, self.service(), made)
        finally:
            await mechanics.close()

    async def call(self, tool: str, arguments: Mapping[str, Any], who: str | None = "driver") -> tuple[bool, str]:
        """A call by any MCP client: whether it was an error, and the text of the answer."""
        headers = {"Authorization": f"Bearer {self.tokens[who]}"} if who and self.with_tokens else {}
        async with (
            httpx2.AsyncClient(headers=headers, timeout=60) as http,
            Client(streamable_http_client(f"{self.url}/mcp", http_client=http)) as client,
        ):
            try:
                answer = await client.call_tool(tool, dict(arguments))
            except MCPError as error:
                return True, error.error.message
            return bool(answer.is_error), "\n".join(getattr(part, "text", "") for part in answer.content)


def start_targets(lane: Lane) -> None:
    """Have the Mechanic start every target, permitted each."""
    from pitcrew.core.action import Start

    async def one(name: str) -> None:
        plan = await lane.plan(name, Start())
        await lane.carry_out(lane.permit(plan), plan)

    before = lane.effects
    for name in lane.services:
        asyncio.run(one(name))
    eventually(lambda: lane.effects == before + len(lane.services), what="the starts")
