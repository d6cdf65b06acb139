"""The command line as people and scripts meet it: a real process, on a state directory that the real writers made."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from pitcrew.adapters.journal.files import JournalFiles
from pitcrew.adapters.lock.state import StateLock
from pitcrew.adapters.status.files import StatusFiles
from pitcrew.core.conditions import Condition, Notice, ServiceStatus
from pitcrew.core.deviation import Health
from pitcrew.core.record import Entry, Head
from tests.core import incidents
from tests.core.incidents import BEGIN, HOSTILE, PROBE_FAILS, Story, facts, failing
from tests.fakes.clock import FakeClock

ROOT = Path(__file__).parent.parent.parent
GOLDEN = ROOT / "tests" / "golden"


def pitcrew(*arguments: object, **environ: str) -> "subprocess.CompletedProcess[str]":
    env = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT / "operator"), "HOME": str(ROOT / "nowhere"), **environ}
    command = [sys.executable, "-m", "pitcrew", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, env=env, check=False, timeout=60)


async def journalled(state: Path, stories: Sequence[Story]) -> Head:
    clock = FakeClock()
    journal = JournalFiles.open(state / "journal", lambda _last: clock)
    try:
        for story in stories:
            for record in story.records:
                clock.at = record.at
                kept = Entry(type=record.type, data=record.data, service=record.service, incident=record.incident)
                await journal.append(kept)
        return journal.head
    finally:
        journal.close()


def status_of(story: Story, head: Head, **changes: object) -> ServiceStatus:
    found = ServiceStatus(
        service=story.service,
        at=story.at,
        health=Health.UNHEALTHY,
        conditions=(
            Condition(type="Ready", status="False", reason="Unhealthy", message="httpget-0: Status 500", since=BEGIN),
        ),
        deviations=(PROBE_FAILS,),
        probes=(failing(detail="SERVICE UNHEALTHY"),),
        flapping=(),
        sight=facts(),
        incident=story.now,
        waits_for="waits for a person",
        last_incidents=(),
        notices=(Notice(at=BEGIN, kind="Warning", reason="Opened", message="ProbeFailing", incident=story.id),),
        journal_head=head,
        source="manifests/victim.yaml",
        stale="",
    )
    return replace(found, **changes)  # type: ignore[arg-type]


@pytest.fixture
def state(tmp_path: Path) -> Path:
    """A state directory after one incident that was handed over to a person."""
    story = incidents.undone()
    (tmp_path / "state").mkdir(mode=0o755)
    head = asyncio.run(journalled(tmp_path / "state", [story]))
    asyncio.run(StatusFiles(tmp_path / "state" / "status").write(status_of(story, head)))
    return tmp_path / "state"


def segment(state: Path) -> Path:
    return state / "journal" / "000001.jsonl"


def flip(path: Path, line: int) -> None:
    lines = path.read_bytes().splitlines(keepends=True)
    lines[line] = lines[line].replace(b"default/victim", b"default/victin", 1)
    path.write_bytes(b"".join(lines))


# Words and exit codes


def test_the_help_names_every_command_and_exit_code() -> None:
    done = pitcrew("--help")
    assert done.returncode == 0
    for command in (
        "run",
        "validate",
        "get",
        "events",
        "status",
        "incidents",
        "why",
        "report",
        "audit",
        "doctor",
        "plan",
        "runbooks",
        "completion",
    ):
        assert f"\n  {command} " in done.stdout
    assert "Exit codes: 0 done" in done.stdout


def test_a_word_that_is_no_choice_is_told_with_the_choices() -> None:
    told = pitcrew("get", "-o", "xml").stderr
    assert "Invalid value for '--output' / '-o': 'xml' is not one of 'table', 'wide', 'yaml', 'json'." in told


@pytest.mark.parametrize("arguments", [["fly"], ["get", "--colour"], ["why"], ["get", "-o", "xml"]], ids=str)
def test_a_wrong_command_line_is_2(arguments: list[str]) -> None:
    assert pitcrew(*arguments).returncode == 2


def test_a_state_directory_that_is_not_there_is_3_with_the_remedy(tmp_path: Path) -> None:
    done = pitcrew("get", "--state", tmp_path / "nowhere")
    assert done.returncode == 3
    assert done.stdout == ""
    assert "no such state directory; name that of an operator with --state or PITCREW_STATE" in done.stderr


def test_a_journal_that_cannot_be_read_is_4(state: Path) -> None:
    segment(state).unlink()
    segment(state).mkdir()
    done = pitcrew("incidents", "--state", state)
    assert done.returncode == 4
    assert "cannot be read" in done.stderr


def test_the_state_directory_may_come_from_the_environment(state: Path) -> None:
    assert "default/victim" in pitcrew("get", PITCREW_STATE=str(state)).stdout


MODULES_MAX = 220
"""Modules that a quick answer may load; a clock would tell more of the machine than of the command."""


@pytest.mark.parametrize("command", [["--help"], ["get"]], ids=str)
def test_what_is_asked_often_loads_no_heavy_library(state: Path, command: list[str]) -> None:
    code = (
        "import sys; from pitcrew.entrypoints.cli.app import app, guarded, quick;"
        " sys.argv = ['pitcrew', *sys.argv[1:]];"
        " code = guarded(quick(app));"
        " heavy = {'docker', 'cel', 'cryptography', 'rich', 'httpx', 'watchfiles', 'requests', 'openai', 'asyncio',"
        " 'prometheus_client', 'pydantic', 'pitcrew.core.event', 'pitcrew.settings'} & set(sys.modules);"
        f" many = len(sys.modules) > {MODULES_MAX};"
        " sys.exit(f'loaded {heavy}, {len(sys.modules)} modules' if heavy or many else code)"
    )
    env = {"PYTHONPATH": str(ROOT / "operator"), "PITCREW_STATE": str(state)}
    done = subprocess.run(
        [sys.executable, "-c", code, *command], capture_output=True, text=True, env=env, check=False, timeout=60
    )
    assert (done.returncode, done.stderr) == (0, "")


# Services


def test_get_shows_a_line_per_service(state: Path) -> None:
    done = pitcrew("get", "--state", state)
    assert done.returncode == 0
    title, line = done.stdout.splitlines()
    assert title.split() == ["SERVICE", "HEALTH", "TARGET", "INCIDENT", "SEEN"]
    assert line.split()[:5] == ["default/victim", "Unhealthy", "docker/victim", "victim-1", "Escalated"]


def test_get_wide_shows_more(state: Path) -> None:
    line = pitcrew("get", "victim", "-o", "wide", "--state", state).stdout.splitlines()[1]
    assert "0/1 good" in line
    assert "manifests/victim.yaml" in line


def test_get_gives_the_resource_as_yaml_and_json(state: Path) -> None:
    from_yaml = yaml.safe_load(pitcrew("get", "victim", "-o", "yaml", "--state", state).stdout)
    from_json = json.loads(pitcrew("get", "default/victim", "-o", "json", "--state", state).stdout)
    assert from_yaml == from_json == yaml.safe_load((state / "status" / "default.victim.yaml").read_text())
    assert len(json.loads(pitcrew("get", "-o", "json", "--state", state).stdout)["items"]) == 1


def test_a_service_that_is_not_there_is_3_and_the_others_are_named(state: Path) -> None:
    done = pitcrew("get", "vctim", "--state", state)
    assert done.returncode == 3
    assert done.stderr == "pitcrew: no service is named 'vctim'; name one of: default/victim\n"


def test_status_tells_everything_and_is_1_while_unhealthy(state: Path) -> None:
    done = pitcrew("status", "victim", "--state", state)
    assert done.returncode == 1
    for told in (
        "Ready",
        "httpget-0",
        "SERVICE UNHEALTHY",
        "victim-1",
        "waits for a person",
        "ServiceErrors",
        "Low, 32 of 100",
    ):
        assert told in done.stdout
    assert "did not help, undo Done" in done.stdout


def test_status_is_0_while_healthy(state: Path) -> None:
    healthy = status_of(incidents.healed(), Head(seq=24, hash="0" * 64), health=Health.HEALTHY, incident=None)
    asyncio.run(StatusFiles(state / "status").write(healthy))
    assert pitcrew("status", "victim", "--state", state).returncode == 0


def test_events_are_shown_oldest_first(state: Path) -> None:
    done = pitcrew("events", "victim", "--state", state)
    assert done.stdout.splitlines()[1].split() == [
        "05:06:07",
        "default/victim",
        "Warning",
        "Opened",
        "victim-1",
        "ProbeFailing",
    ]


def test_nothing_raw_reaches_the_terminal_even_from_a_file_that_was_tampered_with(state: Path) -> None:
    path = state / "status" / "default.victim.yaml"
    found = yaml.safe_load(path.read_text())
    found["status"]["probes"][0]["detail"] = HOSTILE
    found["status"]["conditions"][0]["message"] = HOSTILE
    path.write_text(yaml.safe_dump(found))
    done = pitcrew("status", "victim", "--state", state)
    assert "\x1b" not in done.stdout
    assert "\\x1b[2J" in done.stdout
    assert "\u202e" not in done.stdout


# Incidents


def test_incidents_are_listed_from_the_journal(state: Path) -> None:
    line = pitcrew("incidents", "--state", state).stdout.splitlines()[1]
    assert line.split()[:2] == ["victim-1", "default/victim"]
    assert "ServiceErrors" in line
    (item,) = json.loads(pitcrew("incidents", "victim", "-o", "json", "--state", state).stdout)["items"]
    assert (item["outcome"], item["attempts"]) == ("Escalated", 2)
    assert json.loads(pitcrew("incidents", "other", "-o", "json", "--state", state).stdout)["items"] == []


NO_LEDGERS = """\
  records of Official and Mechanic
    no record of the Official is here; name its ledger with --ledger
    no record of the Mechanic is here; name its ledger with --ledger
    permit do-1-9d1c to do plan 0e56ddb0f04552ef: in the journal
    permit undo-1-9d1c to undo plan 0e56ddb0f04552ef: in the journal
    permit do-2-9d1c to do plan e9b528242b1adc91: in the journal
"""
"""What `why` says where nothing but the journal is there."""


def test_why_and_report_tell_what_the_golden_files_hold(state: Path) -> None:
    assert pitcrew("why", "victim-1", "--state", state).stdout == (GOLDEN / "why-undone.txt").read_text() + NO_LEDGERS
    assert pitcrew("report", "victim-1", "--state", state).stdout == (GOLDEN / "postmortem-undone.md").read_text()


def test_why_as_data_names_the_permit_and_the_policy(state: Path) -> None:
    told = yaml.safe_load(pitcrew("why", "victim-1", "-o", "yaml", "--state", state).stdout)
    assert told["attempts"][0]["permit"]["serial"] == "do-1-9d1c"
    assert told["attempts"][0]["undo"]["permit"]["direction"] == "undo"
    assert told["attempts"][0]["rules"]["policyDigest"] == told["escalation"]["policyDigest"]


@pytest.mark.parametrize("command", ["why", "report"])
def test_an_incident_that_is_not_there_is_3(state: Path, command: str) -> None:
    done = pitcrew(command, "victim-99", "--state", state)
    assert done.returncode == 3
    assert "no incident 'victim-99' in the journal; `pitcrew incidents` lists them" in done.stderr


def test_half_a_line_at_the_end_of_a_journal_in_use_is_no_doubt(state: Path) -> None:
    with segment(state).open("ab") as file:
        file.write(b'{"v":1,"seq":25,"at":"2026')
    done = pitcrew("why", "victim-1", "--state", state)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == (GOLDEN / "why-undone.txt").read_text() + NO_LEDGERS


def test_behind_damage_nothing_is_told_and_the_doubt_is(state: Path) -> None:
    flip(segment(state), 9)
    done = pitcrew("why", "victim-1", "--state", state)
    assert done.returncode == 0
    assert "warning: the journal does not hold: 000001.jsonl:10: record 10: altered" in done.stderr
    assert "phase Verifying" in done.stdout


# The journal as proof


def test_a_whole_journal_holds_against_the_head_in_the_status(state: Path) -> None:
    done = pitcrew("audit", "verify", "--state", state)
    assert done.returncode == 0
    assert done.stdout.splitlines()[0].split() == ["JOURNAL", "holds"]


def cut_tail(path: Path) -> None:
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:-1]))


def remove(path: Path) -> None:
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([*lines[:3], *lines[4:]]))


def swap(path: Path) -> None:
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([*lines[:3], lines[4], lines[3], *lines[5:]]))


def insert(path: Path) -> None:
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([*lines[:5], lines[3], *lines[5:]]))


@pytest.mark.parametrize(
    ("harm", "told"),
    [
        (lambda path: flip(path, 4), "record 5: altered"),
        (remove, "record 4: removed"),
        (swap, "record 4: swapped"),
        (insert, "record 6: inserted"),
        (cut_tail, "truncated"),
    ],
    ids=["flipped", "removed", "swapped", "inserted", "cut"],
)
def test_harm_to_the_journal_is_1_and_the_first_bad_record_is_named(state: Path, harm, told: str) -> None:  # type: ignore[no-untyped-def]
    harm(segment(state))
    done = pitcrew("audit", "verify", "--state", state)
    assert done.returncode == 1
    assert "DOES NOT HOLD" in done.stdout
    assert told in done.stdout


def test_a_cut_tail_is_shown_by_a_head_from_elsewhere(state: Path) -> None:
    head = json.loads(pitcrew("audit", "verify", "-o", "json", "--state", state).stdout)["head"]
    (state / "status" / "default.victim.yaml").unlink()
    cut_tail(segment(state))
    assert pitcrew("audit", "verify", "--state", state).returncode == 0
    assert pitcrew("audit", "verify", "--state", state, "--head", f"{head['seq']}:{head['hash']}").returncode == 1
    assert pitcrew("audit", "verify", "--state", state, "--head", head["hash"]).returncode == 1


def test_a_sealed_journal_holds_again_and_says_what_was_sealed(state: Path) -> None:
    flip(segment(state), 20)
    sealed = pitcrew("audit", "seal", "--reason", "the disk was bad", "--state", state)
    assert (sealed.returncode, sealed.stderr) == (0, "")
    assert sealed.stdout.startswith("sealed as record 21: ")
    (state / "status" / "default.victim.yaml").unlink()
    told = json.loads(pitcrew("audit", "verify", "-o", "json", "--state", state).stdout)
    assert told["holds"] is True
    assert "record 21: altered" in told["acknowledged"][0]


def test_a_whole_journal_is_not_sealed(state: Path) -> None:
    done = pitcrew("audit", "seal", "--reason", "just so", "--state", state)
    assert done.returncode == 3
    assert "there is nothing to seal" in done.stderr


def test_nobody_seals_under_a_running_operator(state: Path) -> None:
    lock = StateLock.acquire(state)
    try:
        done = pitcrew("audit", "seal", "--reason", "just so", "--state", state)
    finally:
        lock.close()
    assert done.returncode == 3
    assert f"another operator (process {os.getpid()}) uses this state directory" in done.stderr


# Manifests, guards, the operator

MANIFEST = """apiVersion: pitcrew.dev/v1alpha1
kind: HealthyService
metadata: {name: victim}
spec:
  target: {docker: {container: victim}}
  probes: [{httpGet: {path: /health, port: 8080}}]
"""


def manifest(directory: Path, text: str) -> Path:
    directory.mkdir(mode=0o755, exist_ok=True)
    path = directory / "victim.yaml"
    path.write_text(text)
    path.chmod(0o644)
    return path


def test_a_good_manifest_is_valid(tmp_path: Path) -> None:
    path = manifest(tmp_path / "m", MANIFEST)
    done = pitcrew("validate", path)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"{path}:1: default/victim is valid\n"


def test_every_problem_of_a_manifest_is_told_with_its_place_and_is_3(tmp_path: Path) -> None:
    bad = MANIFEST.replace("port: 8080", "port: 99999").replace("metadata: {name: victim}", "metadata: {name: Victim!}")
    path = manifest(
        tmp_path / "m", bad + "  policy: {rules: [{name: r, expression: 'foo', effect: Deny, message: m}]}\n"
    )
    done = pitcrew("validate", path)
    assert done.returncode == 3
    lines = done.stdout.splitlines()
    assert len(lines) == 2
    assert all(line.startswith(f"{path}:") for line in lines)
    assert "metadata.name" in lines[0]
    assert "spec.probes[0].httpGet.port" in lines[1]


def test_a_rule_that_cannot_be_used_is_told(tmp_path: Path) -> None:
    rule = "  policy: {rules: [{name: r, expression: 'foo', effect: Deny, message: m}]}\n"
    done = pitcrew("validate", manifest(tmp_path / "m", MANIFEST + rule))
    assert done.returncode == 3
    assert "spec.policy.rules[0].expression: unknown name foo" in done.stdout


POLICY = """\
apiVersion: pitcrew.dev/v1alpha1
kind: RemediationPolicy
metadata: {name: platform}
spec: {selector: {}, autoUpTo: Low}
"""


def test_a_policy_is_validated_alone_and_beside_services(tmp_path: Path) -> None:
    alone = manifest(tmp_path / "p", POLICY)
    done = pitcrew("validate", alone)
    assert (done.returncode, done.stdout) == (0, f"{alone}:1: policy platform is valid\n")
    both = manifest(tmp_path / "b", f"{POLICY}---\n{MANIFEST}")
    assert "default/victim is valid" in pitcrew("validate", both).stdout
    bad = pitcrew("validate", manifest(tmp_path / "x", POLICY.replace("Low", "Lw")))
    assert bad.returncode == 3
    assert "4:32: spec.autoUpTo: 'Lw' is not allowed; did you mean 'Low'?" in bad.stdout


NEEDS = MANIFEST + "  dependsOn: [{name: db}]\n"
DB = MANIFEST.replace("name: victim", "name: db").replace("container: victim", "container: db")
IN_TURN = DB + "  dependsOn: [{name: victim}]\n"


@pytest.mark.parametrize(
    ("text", "stand", "says"),
    [
        (NEEDS, "off", "default/victim depends on default/db, which is not declared there"),
        (f"{NEEDS}---\n{IN_TURN}", "off", "default/db, default/victim depend on each other in turn"),
        (f"{NEEDS}---\n{DB}", "armed", "1 between 2 services"),
    ],
    ids=["nobody declares it", "a circle", "declared"],
)
def test_what_is_odd_about_dependencies_is_remarked_on_and_is_no_error(
    text: str, stand: str, says: str, tmp_path: Path
) -> None:
    path = manifest(tmp_path / "m", text)
    done = pitcrew("validate", path)
    assert done.returncode == 0
    assert (f"note: {says}" in done.stderr) is (stand == "off")
    guard = guards("--state", tmp_path / "state", "--manifests", path)[1]["dependencies"]
    assert guard["stand"] == stand
    assert says in guard["seen"]


def test_doctor_tells_how_many_services_a_policy_binds(tmp_path: Path) -> None:
    state = tmp_path / "state"
    path = manifest(tmp_path / "b", f"{POLICY}---\n{MANIFEST}")
    assert guards("--state", state, "--manifests", path)[1]["guardrails"]["seen"] == "platform (binds 1 of 1 services)"
    path = manifest(tmp_path / "a", MANIFEST)
    assert guards("--state", state, "--manifests", path)[1]["guardrails"]["stand"] == "off"


def test_doctor_tells_on_which_terms_a_model_is_asked(tmp_path: Path) -> None:
    def models(path: Path) -> str:
        environ = {"PITCREW_MODEL": "small", "OPENAI_BASE_URL": "http://127.0.0.1:8001/v1"}
        done = pitcrew("doctor", "-o", "json", "--state", tmp_path / "state", "--manifests", path, **environ)
        (guard,) = [one for one in json.loads(done.stdout)["items"] if one["guard"] == "models"]
        return str(guard["seen"])

    capped = POLICY.replace("autoUpTo: Low", "diagnosis: {egress: Local}")
    usual = "default mode Consult, egress Any; "
    assert models(manifest(tmp_path / "a", MANIFEST)).endswith(usual + "no policy caps it")
    told = models(manifest(tmp_path / "b", f"{capped}---\n{MANIFEST}"))
    assert told.endswith(usual + "policy platform mode -, egress Local (binds 1 of 1 services)")


def guards(*arguments: object) -> tuple[int, dict[str, dict[str, str]]]:
    away = "unix:///nowhere/docker.sock"
    done = pitcrew("doctor", "-o", "json", *arguments, DOCKER_HOST=away)
    assert done.stderr == ""
    return done.returncode, {item["guard"]: item for item in json.loads(done.stdout)["items"]}


def test_doctor_looks_at_the_real_things(state: Path, tmp_path: Path) -> None:
    path = manifest(tmp_path / "m", MANIFEST)
    code, found = guards("--state", state, "--manifests", path)
    assert code == 0
    stands = {name: item["stand"] for name, item in found.items()}
    assert stands["state directory"] == stands["journal chain"] == stands["runbooks"] == stands["policies"] == "armed"
    assert stands["runbook search"] == "armed"
    assert stands["models"] == stands["separation"] == stands["journal key"] == stands["docker engine"] == "off"
    assert "unix:///nowhere/docker.sock (DOCKER_HOST)" in found["docker engine"]["seen"]
    assert found["one operator"]["stand"] == "off"


def test_doctor_names_a_running_operator(state: Path) -> None:
    lock = StateLock.acquire(state)
    try:
        _, found = guards("--state", state)
    finally:
        lock.close()
    assert found["one operator"]["seen"] == f"process {os.getpid()} holds the lock"


def unsafe_key(state: Path) -> None:
    (state / "official").mkdir(mode=0o700)
    (state / "official" / "key").write_text("-----BEGIN PRIVATE KEY-----\n")
    (state / "official" / "key").chmod(0o644)


def bad_ledger(state: Path) -> None:
    (state / "mechanic").mkdir(mode=0o700)
    (state / "mechanic" / "ledger.jsonl").write_text("nonsense\n")


@pytest.mark.parametrize(
    ("harm", "guard"),
    [
        (lambda state: flip(segment(state), 4), "journal chain"),
        (lambda state: cut_tail(segment(state)), "journal chain"),
        (lambda state: state.chmod(0o777), "state directory"),
        (lambda state: (state / "journal").chmod(0o755), "private directories"),
        (unsafe_key, "signing key"),
        (bad_ledger, "ledger of spent permits"),
    ],
    ids=["flipped", "cut", "state mode", "journal mode", "key mode", "ledger"],
)
def test_doctor_is_1_where_a_guard_is_not_armed(state: Path, harm, guard: str) -> None:  # type: ignore[no-untyped-def]
    harm(state)
    code, found = guards("--state", state)
    assert code == 1
    assert [name for name, item in found.items() if item["stand"] == "NOT ARMED"] == [guard]


def test_doctor_shows_a_stop_and_how_it_ends(state: Path) -> None:
    (state / "STOP").touch()
    _, found = guards("--state", state)
    assert found["stop"] == {
        "guard": "stop",
        "stand": "off",
        "seen": f"{state}/STOP is there: nothing acts",
        "remedy": "remove it to go on",
    }


def test_doctor_before_the_first_start_has_nothing_to_complain_of(tmp_path: Path) -> None:
    code, found = guards("--state", tmp_path / "new")
    assert code == 0
    assert not (tmp_path / "new").exists()
    assert {item["stand"] for item in found.values()} == {"armed", "off"}


def test_doctor_refuses_runbooks_of_others(state: Path, tmp_path: Path) -> None:
    (tmp_path / "books").mkdir()
    (tmp_path / "books").chmod(0o777)
    code, found = guards("--state", state, "--runbooks", tmp_path / "books")
    assert code == 1
    assert "others can write it" in found["runbooks"]["seen"]


def test_a_second_operator_on_a_state_directory_does_not_start(state: Path, tmp_path: Path) -> None:
    manifest(tmp_path / "m", MANIFEST)
    lock = StateLock.acquire(state)
    try:
        done = pitcrew("run", "--manifests", tmp_path / "m", "--state", state)
    finally:
        lock.close()
    assert done.returncode == 1
    assert "uses this state directory" in done.stderr


def test_a_setting_that_cannot_be_used_is_3(state: Path, tmp_path: Path) -> None:
    done = pitcrew("run", "--manifests", tmp_path, "--state", state, PITCREW_PERMIT_TTL_S="soon")
    assert done.returncode == 3
    assert "PITCREW_PERMIT_TTL_S" in done.stderr
