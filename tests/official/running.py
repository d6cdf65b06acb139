"""`pitcrew official` as it is started, on a free port, and a Driver that has its token and may say anything."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx

from pitcrew.adapters.tokens.files import add
from pitcrew.core.caller import Role
from pitcrew.core.observation import Observation
from pitcrew.core.permit import Direction
from pitcrew.core.policy import Case, Tries
from pitcrew.core.proposal import Plan
from pitcrew.core.resource import HealthyService, Level
from pitcrew.core.review import GIVEN, REVIEW, WANTED, Given, Review, Wanted, to_data
from pitcrew.official.key import signing_key
from tests.official.split import CLAIM, look, sealed
from tests.official.world import FLAG, plan_for
from tests.waiting import eventually

REPOSITORY = Path(__file__).parents[2]
READY = "the Official listens on "
WAIT_S = 60.0


def manifest(name: str, container: str = "", **spec: Any) -> dict[str, Any]:
    """A service with one probe, a removable flag, and a restart."""
    base: dict[str, Any] = {
        "target": {"docker": {"container": container or name}},
        "probes": [{"httpGet": {"path": "/health", "port": 8080}}],
        "remediation": {"actions": {"removeFile": {"paths": [FLAG]}, "restart": {}, "start": {}}},
    }
    return {
        "apiVersion": "pitcrew.dev/v1alpha1",
        "kind": "HealthyService",
        "metadata": {"name": name},
        "spec": {**base, **spec},
    }


def _has_read(url: str) -> bool:
    """Whether an Official has read its manifests, whatever else may trouble it."""
    return "not read yet" not in httpx.get(f"{url}/healthz", timeout=WAIT_S, trust_env=False).text


@dataclass(kw_only=True)
class Site:
    """Directories, keys and tokens of one Official; `services` are declared in its manifests."""

    root: Path
    services: dict[str, HealthyService] = field(default_factory=dict)
    tokens: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.manifests.mkdir(mode=0o755)
        self.key = signing_key(self.root / "mechanic")
        for role in Role:
            self.tokens[str(role)] = add(self.root / "tokens.json", str(role), [role], datetime.now(UTC))
        self.tokens["alice"] = add(self.root / "tokens.json", "alice", [Role.APPROVER], datetime.now(UTC))

    @property
    def manifests(self) -> Path:
        return self.root / "manifests"

    @property
    def ledger(self) -> Path:
        return self.root / "state" / "official" / "ledger.jsonl"

    def declare(self, name: str, container: str = "", **spec: Any) -> HealthyService:
        """Declare a service; JSON is YAML."""
        document = manifest(name, container, **spec)
        (self.manifests / f"{name}.yaml").write_text(json.dumps(document))
        self.services[name] = HealthyService.model_validate(document)
        return self.services[name]

    @contextmanager
    def running(self, *before: str) -> Iterator["Served"]:
        """The command, until the block ends; `before` are words of a shell that come before it."""
        words = [sys.executable, "-m", "pitcrew", "official", "--listen", "127.0.0.1:0"]
        words += ["--manifests", str(self.manifests), "--state", str(self.root / "state")]
        words += ["--mechanic", f"default={self.root / 'mechanic' / 'key.pub'}"]
        words += ["--tokens", str(self.root / "tokens.json")]
        shell = ["bash", "-c", " ".join([*before, 'exec "$@"']), "bash", *words]
        environ = {**os.environ, "PYTHONPATH": str(REPOSITORY / "operator"), "PYTHONDONTWRITEBYTECODE": "1"}
        with subprocess.Popen(shell, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True, env=environ) as child:
            assert child.stderr is not None
            said = []
            for line in child.stderr:
                said.append(line)
                if line.startswith(READY):
                    break
            else:
                raise AssertionError("".join(said))
            address = said[-1].removeprefix(READY).strip()
            try:
                eventually(lambda: _has_read(f"http://{address}"), timeout_s=WAIT_S, what="the manifests to be read")
                yield Served(site=self, url=f"http://{address}", child=child)
            finally:
                child.kill()


@dataclass(frozen=True, kw_only=True)
class Served:
    """An Official that runs."""

    site: Site
    url: str
    child: "subprocess.Popen[str]"

    def ask(self, method: str, path: str, *, who: str | None = "driver", content: bytes | str = b"") -> httpx.Response:
        """One request, by whoever has this token."""
        headers = {"Authorization": f"Bearer {self.site.tokens[who]}"} if who else {}
        headers["Content-Type"] = "application/json"
        return httpx.request(method, self.url + path, content=content, headers=headers, timeout=WAIT_S, trust_env=False)

    def wanted(self, data: object, who: str | None = "driver") -> Given:
        """What comes of asking for a permit; a problem is no permit."""
        answer = self.ask("POST", "/v1/permits", who=who, content=json.dumps(data))
        return GIVEN.validate_python(answer.json()) if answer.status_code == 200 else Given(refused=answer.text)

    def driver(self, name: str) -> "Driver":
        """A Driver that has one service in its hands."""
        return Driver(served=self, service=self.site.services[name])


@dataclass(frozen=True, kw_only=True)
class Driver:
    """What a Driver brings for one service. Without changes it is honest, and the service's flag is set."""

    served: Served
    service: HealthyService

    def plan(self, incident: str = "i-1", **changes: Any) -> Plan:
        target = self.service.spec.target.docker
        assert target is not None
        made = plan_for(self.service, incident=incident, target_id=f"id-of-{target.container}")
        return replace(made, deviations=("ProbeFailing/httpget-0",), **changes)

    def seen(self, plan: Plan, at: datetime | None = None, **changes: Any) -> Observation:
        return look(self.service, plan, at or datetime.now(UTC), **changes)

    def sealed(self, seen: Observation) -> Observation:
        return sealed(seen, self.service, self.served.site.key)

    def case(self, plan: Plan, seen: Observation | None = None, **changes: Any) -> Case:
        facts: Mapping[str, Mapping[str, object]] = {"diagnosis": CLAIM, "risk": {"level": "Low", "score": 0}}
        base: dict[str, Any] = {
            "level": Level.LOW,
            "tries": Tries(effects=0, plans=1),
            "facts": facts,
            "seen": seen or self.sealed(self.seen(plan)),
        }
        return Case(**{**base, **changes})

    def permit(self, plan: Plan, case: Case | None = None) -> Given:
        """Ask for a permit to do a plan."""
        return self.served.wanted(self.wanted(plan, case or self.case(plan)))

    @staticmethod
    def wanted(plan: Plan, case: Case) -> dict[str, Any]:
        """The request as it travels."""
        return dict(to_data(WANTED, Wanted(direction=Direction.DO, plan=plan, case=case)))

    def review(self, plan: Plan, case: Case | None = None, *, ask: bool = False) -> httpx.Response:
        """Ask for a verdict."""
        asked = Review(plan=plan, case=case or self.case(plan), ask=ask)
        return self.served.ask("POST", "/v1/review", content=json.dumps(to_data(REVIEW, asked)))


def permits(given: Sequence[Given]) -> int:
    """How many are permits."""
    return sum(one.permit is not None for one in given)
