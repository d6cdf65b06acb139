"""What only local processes promise: they outlive PitCrew and the shim, and start at most once per permit."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from pitcrew.adapters.runtime.process import ProcessActuator, shim
from pitcrew.adapters.runtime.process.logs import last_lines
from pitcrew.core.action import Action, RemoveFile, Restart, RestoreFile, Seen, Start, Trace
from pitcrew.core.errors import EffectFailed, OutcomeUnknown, Refused, Unavailable
from pitcrew.core.observation import FileFact, RuntimeFacts, RuntimeState, StoppedBy
from pitcrew.core.resource import HealthyService
from tests.adapters.killed import killed_at
from tests.ports.process_world import ProcessWorld, now

pytestmark = pytest.mark.anyio
RESTART = Restart(grace_s=1)
STUBBORN = ["sh", "-c", 'trap "" TERM; echo $$ >> starts; while :; do sleep 1; done']
OWN, ASIDE = f"sleep {100_000 + os.getpid()}", f"sleep {200_000 + os.getpid()}"
"""Commands that nobody else runs, nor left behind, on this machine."""
FAMILY = ["sh", "-c", f"setsid {ASIDE} & {OWN} & echo $$ >> starts; wait"]


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[ProcessWorld]:
    world = ProcessWorld(tmp_path)
    yield world
    await world.close()


async def facts_of(world: ProcessWorld, service: HealthyService) -> RuntimeFacts:
    runtime = world.another_runtime()
    sight = await runtime.look(service)
    await runtime.close()
    assert isinstance(sight, RuntimeFacts), sight
    return sight


async def prepared(world: ProcessWorld, service: HealthyService, action: Action, op: str = "op-1") -> Trace:
    facts = await facts_of(world, service)
    return await world.reopened().prepare(service, action, target_id=facts.target_id, op=op)


async def done(world: ProcessWorld, service: HealthyService, action: Action, op: str = "op-1") -> Trace:
    trace = await prepared(world, service, action, op)
    await world.reopened().apply(service, action, trace)
    await world.until(lambda: world.is_settled(service))
    return trace


def is_gone(pid: int) -> bool:
    proc = shim.look_at(pid)
    return proc is None or proc.state in "ZX"


def pids_of(words: str) -> list[int]:
    wanted = f"{words} ".replace(" ", "\0").encode()
    return [proc.pid for proc in shim.everyone() if proc.state not in "ZX" and argv_of(proc.pid) == wanted]


def argv_of(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return b""


async def test_a_service_that_was_never_started_is_created_and_can_be_started(world: ProcessWorld) -> None:
    service = world.laid_out("alpha")
    before = await facts_of(world, service)
    assert (before.state, before.ever_started, before.instance) == (RuntimeState.CREATED, False, "none")
    await done(world, service, Start())
    after = await facts_of(world, service)
    assert (after.running, after.ever_started, after.address) == (True, True, "127.0.0.1")
    assert world.starts(service) == 1


async def test_another_pitcrew_sees_the_same_run(world: ProcessWorld) -> None:
    service = world.laid_out("alpha")
    script = (
        "import asyncio, os, sys; from pathlib import Path; from tests.ports.process_world import ProcessWorld;"
        "from pitcrew.core.action import Start\n"
        "async def main():\n"
        "    world = ProcessWorld(Path(sys.argv[1])); service = world.declared('alpha')\n"
        "    facts = await world.runtime.look(service)\n"
        "    trace = await world.actuator.prepare(service, Start(), target_id=facts.target_id, op='op-1')\n"
        "    await world.actuator.apply(service, Start(), trace)\n"
        "    print((await world.runtime.look(service)).instance, flush=True)\n"
        "    os.kill(os.getpid(), 9)\n"
        "asyncio.run(main())"
    )
    root = Path(__file__).resolve().parents[2]
    env = os.environ | {"PYTHONPATH": f"{root / 'operator'}:{root}"}
    argv = [sys.executable, "-c", script, str(world.state.parent)]
    first = await asyncio.to_thread(subprocess.run, argv, env=env, capture_output=True, text=True, check=False)
    assert first.returncode == -signal.SIGKILL, first.stderr
    facts = await facts_of(world, service)
    assert facts.running
    assert facts.instance == first.stdout.strip()


async def test_the_workload_gets_only_what_is_declared(world: ProcessWorld) -> None:
    world.laid_out("alpha")
    secret = {"TOKEN": "s3cret"}
    command = ["sh", "-c", "ls /proc/self/fd > fds; cat /proc/$$/environ > env; echo $$ >> starts; exec sleep 600"]
    service = world.declared("alpha", command=command, env=secret)
    await done(world, service, Start())
    environ = (world.folder(service) / "env").read_text().split("\0")
    assert {entry.split("=")[0] for entry in environ if entry} <= {"PATH", "HOME", "LANG", "TOKEN"}
    assert "TOKEN=s3cret" in environ
    assert len((world.folder(service) / "fds").read_text().split()) == 4  # the three, and that of the directory
    supervisor = Path(f"/proc/{world.shim_pid(service)}")
    assert b"s3cret" not in (supervisor / "cmdline").read_bytes() + (supervisor / "environ").read_bytes()
    assert {path.stat().st_mode & 0o077 for path in world.home(service).rglob("*")} == {0}
    assert (await facts_of(world, service)).env_names == ("TOKEN",)


async def test_without_its_supervisor_a_workload_lives_on_and_can_be_restarted(world: ProcessWorld) -> None:
    service = world.laid_out("alpha")
    await done(world, service, Start())
    before, pid = await facts_of(world, service), world.pid(service)
    os.kill(world.shim_pid(service), signal.SIGKILL)
    assert await facts_of(world, service) == before
    await done(world, service, RESTART, "op-2")
    assert is_gone(pid)
    assert (await facts_of(world, service)).running
    assert world.starts(service) == 2


async def test_a_supervisor_killed_in_the_middle_of_a_restart_leaves_no_second_start(world: ProcessWorld) -> None:
    service = world.laid_out("alpha", command=STUBBORN)
    await done(world, service, Start())
    patient = Restart(grace_s=60)
    trace, pid = await prepared(world, service, patient, "op-2"), world.pid(service)
    asked = asyncio.create_task(world.actuator.apply(service, patient, trace))
    await world.until(lambda: world.record(service)["ops"][-1]["op"] == "op-2")
    os.kill(world.shim_pid(service), signal.SIGKILL)
    with pytest.raises(OutcomeUnknown):
        await asked
    assert await world.reopened().seen(service, patient, trace) is Seen.UNKNOWN
    os.kill(pid, signal.SIGKILL)
    await world.until(lambda: is_gone(pid))
    assert await world.reopened().seen(service, patient, trace) is Seen.NOT_DONE
    assert (await facts_of(world, service)).state is RuntimeState.EXITED
    await done(world, service, RESTART, "op-3")
    assert await world.reopened().seen(service, patient, trace) is Seen.NOT_DONE
    assert world.starts(service) == 2


async def test_half_a_restart_is_neither_a_persons_stop_nor_a_completed_job(world: ProcessWorld) -> None:
    service = world.laid_out("alpha", command=["sh", "-c", "echo $$ >> starts; trap 'exit 0' TERM; sleep 600 & wait"])
    await done(world, service, Start())
    await world.stop(service)
    assert (await facts_of(world, service)).stopped_by is StoppedBy.PERSON
    await world.until(lambda: is_gone(world.shim_pid(service)))
    record = world.record(service)
    record["runs"][-1]["ended_by"] = "pitcrew"
    shim.write_json(str(world.home(service) / "record.json"), record)
    facts = await facts_of(world, service)
    assert (facts.state, facts.stopped_by, facts.exit_code) == (RuntimeState.EXITED, StoppedBy.ITSELF, None)


async def test_an_exit_that_nobody_saw_is_unknown(world: ProcessWorld) -> None:
    service = world.laid_out("alpha")
    await done(world, service, Start())
    pid = world.pid(service)
    os.kill(world.shim_pid(service), signal.SIGKILL)
    os.kill(pid, signal.SIGTERM)
    await world.until(lambda: is_gone(pid))
    facts = await facts_of(world, service)
    assert (facts.state, facts.stopped_by, facts.exit_code) == (RuntimeState.EXITED, StoppedBy.UNKNOWN, None)


async def test_a_suspended_workload_without_a_supervisor_is_restarted(world: ProcessWorld) -> None:
    service = world.laid_out("alpha")
    await done(world, service, Start())
    os.kill(world.shim_pid(service), signal.SIGKILL)
    await world.suspend(service)
    await done(world, service, RESTART, "op-2")
    assert not (await facts_of(world, service)).suspended
    assert world.starts(service) == 2


async def test_a_workload_that_ignores_the_polite_signal_is_killed_after_the_grace(world: ProcessWorld) -> None:
    service = world.laid_out("alpha", command=STUBBORN)
    await done(world, service, Start())
    await done(world, service, RESTART, "op-2")
    assert world.record(service)["runs"][0]["code"] == -signal.SIGKILL
    assert world.record(service)["runs"][0]["ended_by"] == "pitcrew"
    assert world.starts(service) == 2


async def test_all_that_a_workload_started_ends_with_it(world: ProcessWorld) -> None:
    service = world.laid_out("alpha", command=FAMILY)
    await done(world, service, Start())
    await world.until(lambda: pids_of(ASIDE) and pids_of(OWN))
    old = pids_of(ASIDE) + pids_of(OWN)
    await done(world, service, RESTART, "op-2")
    assert all(is_gone(pid) for pid in old)
    await world.kill(service)
    await world.until(lambda: not pids_of(ASIDE) and not pids_of(OWN))


async def test_a_pid_that_went_to_another_process_is_not_the_workload(world: ProcessWorld) -> None:
    service = world.laid_out("alpha")
    await done(world, service, Start())
    await world.kill(service)
    await world.until(lambda: is_gone(world.shim_pid(service)))
    bystander = subprocess.Popen(["sleep", "600"], start_new_session=True)
    try:
        record = world.record(service)
        start = record["runs"][-1]["instance"].split(":")[1]
        stale = shim.identity(bystander.pid, int(start), shim.boot_id())
        record["runs"][-1].update(instance=stale, finished_at=None, code=None, ended_by=None)
        shim.write_json(str(world.home(service) / "record.json"), record)
        assert (await facts_of(world, service)).state is RuntimeState.EXITED
        await done(world, service, RESTART, "op-2")
        assert bystander.poll() is None
    finally:
        bystander.kill()
        bystander.wait()


async def test_two_starts_at_once_give_one_process(world: ProcessWorld) -> None:
    service = world.laid_out("alpha")
    traces = [await prepared(world, service, Start(), f"op-{number}") for number in range(4)]
    attempts = (world.reopened().apply(service, Start(), trace) for trace in traces)
    outcomes = await asyncio.gather(*attempts, return_exceptions=True)
    assert outcomes.count(None) == 1
    assert all(isinstance(outcome, Refused) for outcome in outcomes if outcome is not None)
    await world.until(lambda: world.is_settled(service))
    assert world.starts(service) == 1
    seen = [await world.reopened().seen(service, Start(), trace) for trace in traces]
    assert (seen.count(Seen.DONE), seen.count(Seen.NOT_DONE)) == (1, 3)


async def test_the_same_operation_twice_is_carried_out_once(world: ProcessWorld) -> None:
    service = world.laid_out("alpha")
    await done(world, service, Start())
    trace = await done(world, service, RESTART, "op-2")
    await world.reopened().apply(service, RESTART, trace)
    assert world.starts(service) == 2


async def test_an_operation_that_the_record_forgot_is_unknown(world: ProcessWorld) -> None:
    service = world.laid_out("alpha")
    trace = await done(world, service, Start())
    record = world.record(service)
    record["ops"] = [record["ops"][0] | {"op": f"later-{number}"} for number in range(shim.OPS_MAX)]
    shim.write_json(str(world.home(service) / "record.json"), record)
    assert await world.reopened().seen(service, Start(), trace) is Seen.UNKNOWN


async def test_a_supervisor_that_does_not_answer_is_not_obeyed_late(world: ProcessWorld) -> None:
    service = world.laid_out("alpha")
    await done(world, service, Start())
    trace = await prepared(world, service, RESTART, "op-2")
    hasty = ProcessActuator(
        state_dir=world.state, python=sys.executable, environ=os.environ, now=now, effect_wait_s=0.3, seen_wait_s=0.3
    )
    os.kill(world.shim_pid(service), signal.SIGSTOP)
    with pytest.raises(Unavailable):
        await hasty.apply(service, RESTART, trace)
    assert await hasty.seen(service, RESTART, trace) is Seen.NOT_DONE
    os.kill(world.shim_pid(service), signal.SIGCONT)
    await done(world, service, RESTART, "op-3")
    assert world.starts(service) == 2


async def test_the_pidfile_lives_as_long_as_the_process(world: ProcessWorld) -> None:
    service = world.laid_out("alpha")
    await done(world, service, Start())
    pidfile = world.work / "alpha.pid"
    assert pidfile.read_text() == f"{(await facts_of(world, service)).instance.split(':')[0]}\n"
    await world.stop(service)
    assert not pidfile.exists()
    assert [path.name for path in world.work.iterdir()] == ["alpha"]


async def test_a_pidfile_never_replaces_a_link(world: ProcessWorld) -> None:
    service = world.laid_out("alpha")
    (world.work / "precious").write_text("mine")
    (world.work / "alpha.pid").symlink_to("precious")
    with pytest.raises(EffectFailed, match="pidFile"):
        await done(world, service, Start())
    assert (world.work / "precious").read_text() == "mine"
    assert world.starts(service) == 0


@pytest.mark.parametrize(("program", "code"), [("no-such-program", 127), ("./words", 126)])
async def test_a_command_that_cannot_run_is_an_effect_that_failed(world: ProcessWorld, program: str, code: int) -> None:
    service = world.laid_out("alpha", command=[program])
    with pytest.raises(EffectFailed, match=program):
        await done(world, service, Start())
    facts = await facts_of(world, service)
    assert (facts.state, facts.exit_code, facts.ever_started) == (RuntimeState.CREATED, code, False)
    assert program in facts.error
    assert not (world.work / "alpha.pid").exists()


async def test_logs_stay_within_their_bound(world: ProcessWorld) -> None:
    chatty = "echo $$ >> starts; i=0; while [ $i -lt 5000 ]; do i=$((i+1)); echo line $i; done; exec sleep 600"
    service = world.laid_out("alpha", command=["sh", "-c", chatty])
    facts = await facts_of(world, service)
    actuator = ProcessActuator(
        state_dir=world.state, python=sys.executable, environ=os.environ, now=now, log_bytes_max=2000
    )
    trace = await actuator.prepare(service, Start(), target_id=facts.target_id, op="op-1")
    await actuator.apply(service, Start(), trace)
    log = world.home(service) / "log"
    await world.until(lambda: (log / "stdout.1").exists() and (log / "stdout").stat().st_size == 0)
    assert (log / "stdout.1").stat().st_size <= 2000
    lines = await world.runtime.logs(service, await facts_of(world, service), lines_max=2, bytes_max=4096)
    assert [line.text for line in lines] == ["line 4999", "line 5000"]


async def test_the_supervisors_command_line_starts_it_again_by_hand(world: ProcessWorld) -> None:
    service = world.laid_out("alpha")
    await done(world, service, Start())
    argv = Path(f"/proc/{world.shim_pid(service)}/cmdline").read_bytes().decode().split("\0")[:-1]
    second = await asyncio.to_thread(subprocess.run, argv, capture_output=True, text=True, check=False)
    assert second.returncode == 75
    assert "it runs already" in second.stderr
    await world.kill(service)
    await asyncio.to_thread(world.start_by_hand, service)
    assert (await facts_of(world, service)).running
    assert world.starts(service) == 2
    os.kill(world.shim_pid(service), signal.SIGKILL)
    orphaned = await asyncio.to_thread(subprocess.run, argv, capture_output=True, text=True, check=False)
    assert orphaned.returncode == 75
    assert "without its supervisor" in orphaned.stderr
    assert world.starts(service) == 2


async def test_a_declared_file_behind_a_linked_directory_is_never_touched(world: ProcessWorld) -> None:
    service = world.laid_out("alpha")
    outside = world.work / "outside"
    outside.mkdir()
    (outside / "file").write_text("mine")
    (world.folder(service) / "sub").symlink_to(outside)
    data = service.model_dump(by_alias=True, exclude_none=True)
    data["spec"]["remediation"]["actions"]["removeFile"]["paths"] = ["sub/file", "/etc/hostname"]
    data["spec"]["remediation"]["verifyFor"] = "10s"
    data["spec"]["policy"] = {}
    service = HealthyService.model_validate(data)
    await done(world, service, Start())
    files = (await facts_of(world, service)).files
    assert files == (FileFact(path="sub/file", present=None), FileFact(path="/etc/hostname", present=None))
    for path in ("sub/file", "/etc/hostname"):
        with pytest.raises(Refused):
            await prepared(world, service, RemoveFile(path=path), "op-2")
    assert (outside / "file").read_text() == "mine"


async def test_what_a_crash_left_of_a_restoration_is_cleaned(world: ProcessWorld) -> None:
    service = world.laid_out("alpha")
    await done(world, service, Start())
    await world.write(service, world.flag, b"kept", mode=0o604)
    await done(world, service, RemoveFile(path=world.flag), "op-2")
    names = {path.name for path in world.folder(service).iterdir()}
    pid = os.fork()
    if pid == 0:
        sys.addaudithook(lambda event, _: os.kill(os.getpid(), signal.SIGKILL) if event == "os.link" else None)
        os._exit(asyncio_exit(world, service, RestoreFile(path=world.flag), "op-3"))
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == -signal.SIGKILL
    assert {path.name for path in world.folder(service).iterdir()} > names
    await done(world, service, RestoreFile(path=world.flag), "op-4")
    assert {path.name for path in world.folder(service).iterdir()} == names | {world.flag}
    assert await world.read(service, world.flag) == (b"kept", 0o604)


def asyncio_exit(world: ProcessWorld, service: HealthyService, action: Action, op: str) -> int:
    """In a forked child: carry an action out on an event loop of its own."""
    asyncio.events._set_running_loop(None)
    asyncio.run(done(world, service, action, op))
    return 0


@pytest.mark.parametrize(
    ("action", "supervised"),
    [(Start(), True), (RESTART, True), (RESTART, False)],
    ids=["start", "restart", "restart-of-an-orphan"],
)
def test_killed_at_any_step_the_asker_leaves_at_most_one_start(
    tmp_path: Path, action: Action, supervised: bool
) -> None:
    """SIGKILL of the asking process at every file, signal and process operation that it makes."""
    verdicts: list[Seen] = []
    for point in range(1, 200):
        world = ProcessWorld(tmp_path / str(point))
        try:
            verdict = asyncio.run(_killed_at(world, action, point, supervised=supervised))
        finally:
            asyncio.run(world.close())
        if verdict is None:
            break
        verdicts.append(verdict)
    assert Seen.UNKNOWN not in verdicts
    assert {Seen.DONE, Seen.NOT_DONE} == set(verdicts)
    assert len(verdicts) > 10


async def _killed_at(world: ProcessWorld, action: Action, point: int, *, supervised: bool) -> Seen | None:
    """What is seen of an effect whose asker was killed at its `point`-th step; None when it has fewer steps."""
    service = world.laid_out("alpha")
    if isinstance(action, Restart):
        await done(world, service, Start(), "op-0")
        if not supervised:
            os.kill(world.shim_pid(service), signal.SIGKILL)
    starts, trace = world.starts(service), await prepared(world, service, action)
    was_killed = killed_at(world, service, action, trace, point)
    verdict = await world.reopened().seen(service, action, trace)
    await world.until(lambda: world.has_noted(world.home(service)))
    assert world.starts(service) - starts == (verdict is Seen.DONE)
    if verdict is Seen.NOT_DONE:
        await done(world, service, action, "op-again")
        assert world.starts(service) == starts + 1
        assert await world.reopened().seen(service, action, trace) is Seen.NOT_DONE
    assert (await facts_of(world, service)).running
    return verdict if was_killed else None


async def test_the_last_line_of_a_stream_has_the_time_of_the_last_write(tmp_path: Path) -> None:
    for stream, written_at in (("stdout", 1000.5), ("stderr", 2000.5)):
        (tmp_path / stream).write_text("first\nlast\n")
        os.utime(tmp_path / stream, (written_at, written_at))
    told = [(line.stream, line.text, line.at) for line in last_lines(tmp_path, lines_max=10, bytes_max=1000)]
    assert told == [
        ("stdout", "first", None),
        ("stdout", "last", datetime.fromtimestamp(1000.5, UTC)),
        ("stderr", "first", None),
        ("stderr", "last", datetime.fromtimestamp(2000.5, UTC)),
    ]
