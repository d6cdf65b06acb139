"""Who is told by the real command: Prometheus, a webhook, a dead man's switch; what `pitcrew plan` leaves behind."""

import json
import re
import shutil
import subprocess
import urllib.request
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from tests.scenarios.operator import Operator, last_number
from tests.scenarios.stage import FLAG, DockerStage, ProcessStage, Stage
from tests.waiting import eventually


class Told(ThreadingHTTPServer):
    """Takes what it is sent, and keeps it."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Taking)
        self.posted: list[dict[str, Any]] = []
        self.beats = 0

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/{path}"


class _Taking(BaseHTTPRequestHandler):
    server: Told

    def do_POST(self) -> None:
        self.server.posted.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        self._done()

    def do_GET(self) -> None:
        self.server.beats += 1
        self._done()

    def _done(self) -> None:
        self.send_response(204)
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing."""


@pytest.fixture
def told() -> Iterator[Told]:
    server = Told()
    Thread(target=server.serve_forever, args=(0.1,), daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture
def process_stage() -> Iterator[ProcessStage]:
    stage = ProcessStage()
    stage.declare()
    yield stage
    stage.close()


def scraped(operator: Operator) -> dict[str, float]:
    """Every sample, by its name with labels."""
    shown = re.search(r"metrics shown text=127\.0\.0\.1 port (\d+)", operator.log)
    assert shown is not None, operator.log
    with urllib.request.urlopen(f"http://127.0.0.1:{shown[1]}/metrics", timeout=10) as answer:
        text = answer.read().decode()
    lines = [line.rpartition(" ") for line in text.splitlines() if not line.startswith("#")]
    return {name: float(value) for name, _, value in lines}


def test_a_healed_fault_is_counted_told_and_survived_by_the_beats(process_stage: ProcessStage, told: Told) -> None:
    stage = process_stage
    environ = {
        "PITCREW_LOCK_DIR": str(stage.root / "locks"),
        "PITCREW_METRICS_ADDR": "127.0.0.1:0",
        "PITCREW_WEBHOOK": told.url("hook"),
        "PITCREW_HEARTBEAT_URL": told.url("beat"),
        "PITCREW_HEARTBEAT_URL_INTERVAL_S": "5",
    }
    operator = Operator(state=stage.root / "state", manifests=stage.manifests, environ=environ)
    stage.operators.append(operator.start())
    before = last_number(operator.wait_until_quiet())
    stage.chaos("break", "flag")
    operator.wait_until_healed(after=before)

    service = 'service="default/victim"'
    recovered = f'pitcrew_incidents_total{{outcome="Recovered",{service}}}'
    eventually(lambda: scraped(operator).get(recovered), what="the recovery in the metrics")
    samples = scraped(operator)
    assert samples["pitcrew_up"] == 1
    assert samples["pitcrew_services"] == 1
    assert samples["pitcrew_journal_writable"] == 1
    assert samples["pitcrew_incident_recover_seconds_count"] >= 1
    assert samples[f'pitcrew_probes_total{{outcome="Failure",probe="httpget-0",{service}}}'] >= 2
    assert samples['pitcrew_actions_total{action="removeFile",direction="do",outcome="Done"}'] == 1
    assert samples['pitcrew_verdicts_total{effect="Allow",rule="ladder/auto"}'] >= 1
    assert samples['pitcrew_breaker_state{breaker="docker",state="Closed"}'] == 1
    assert told.beats >= 1
    eventually(lambda: any(one["event"] == "Recovered" for one in told.posted), what="the recovery at the webhook")
    assert operator.stop() == 0
    assert "Opened" in [moved["event"] for one in told.posted for moved in one["transitions"]]
    assert "Traceback" not in operator.log


def test_every_name_in_the_exposition_is_our_own(process_stage: ProcessStage) -> None:
    stage = process_stage
    environ = {"PITCREW_LOCK_DIR": str(stage.root / "locks"), "PITCREW_METRICS_ADDR": "127.0.0.1:0"}
    operator = Operator(state=stage.root / "state", manifests=stage.manifests, environ=environ)
    stage.operators.append(operator.start())
    operator.wait_until_quiet()
    names = {name.partition("{")[0] for name in scraped(operator)}
    assert all(re.fullmatch(r"pitcrew_[a-z_]+", name) for name in names)


def test_an_address_that_cannot_be_used_ends_it_at_once_with_the_setting(process_stage: ProcessStage) -> None:
    stage = process_stage
    environ = {"PITCREW_LOCK_DIR": str(stage.root / "locks"), "PITCREW_WEBHOOK": "file:///etc/passwd"}
    operator = Operator(state=stage.root / "state", manifests=stage.manifests, environ=environ).start()
    assert operator.wait() == 1
    assert "setting webhook: not an http or https address" in operator.log


def bytes_of(state: Path) -> dict[str, bytes]:
    """Every regular file of the state directory but the workload's own logs."""
    kept = [path for path in state.rglob("*") if path.is_file() and "log" not in path.parts]
    return {str(path.relative_to(state)): path.read_bytes() for path in kept}


def plan(stage: Stage, operator: Operator, *words: str) -> "subprocess.CompletedProcess[str]":
    return operator.pitcrew("plan", "victim", *words)


def test_plan_tells_what_would_be_done_and_leaves_everything_as_it_is(stage: Stage) -> None:
    operator = stage.operator()
    operator.wait_until_quiet()
    healthy = plan(stage, operator)
    assert (healthy.returncode, healthy.stderr) == (0, "")
    assert healthy.stdout.splitlines()[0].split() == ["default/victim", "would", "now:", "nothing"]
    assert operator.stop() == 0

    stage.chaos("break", "flag")
    before, acts, life = bytes_of(operator.state), stage.acts(), stage.life()
    shown = plan(stage, operator)
    assert (shown.returncode, shown.stderr) == (0, "")
    assert "would now: remove " in shown.stdout
    for part in ("Plan, as it would be judged", "digest ", "undo   put ", "blast radius", "ladder/auto"):
        assert part in shown.stdout
    data = json.loads(plan(stage, operator, "-o", "json").stdout)
    assert data["plan"]["action"]["name"] == "removeFile"
    assert f"digest {data['planDigest']}" in shown.stdout
    assert (bytes_of(operator.state), stage.acts(), stage.life()) == (before, acts, life)
    assert stage.flagged
    if isinstance(stage, DockerStage):
        assert stage.proxy.witnessed == []


def test_plan_needs_no_operator_and_no_state_where_manifests_are_named(process_stage: ProcessStage) -> None:
    stage = process_stage
    operator = stage.operator()
    operator.wait_until_quiet()
    stage.put(FLAG, b"")
    assert operator.stop() == 0
    shutil.rmtree(operator.state / "status")
    nameless = plan(stage, operator)
    assert nameless.returncode == 3
    assert "name the manifests with --manifests" in nameless.stderr
    named = plan(stage, operator, "--manifests", str(stage.manifests))
    assert (named.returncode, named.stderr) == (0, "")
    other = operator.pitcrew("plan", "vctim", "--manifests", str(stage.manifests))
    assert (other.returncode, other.stderr) == (
        3,
        "pitcrew: no service is named 'vctim'; name one of: default/victim\n",
    )


def test_plan_says_when_budgets_cannot_be_read(process_stage: ProcessStage) -> None:
    stage = process_stage
    operator = stage.operator()
    operator.wait_until_quiet()
    assert operator.stop() == 0
    stage.put(FLAG, b"")
    (operator.state / "official" / "ledger.jsonl").write_text("nonsense\n")
    shown = plan(stage, operator)
    assert shown.returncode == 0
    assert "warning: budgets, cooldown and decisions are not counted" in shown.stderr
