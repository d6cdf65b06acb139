"""Heads that left a real operator find what was done to its journal afterwards, by `pitcrew audit verify --heads`."""

import json
import shutil
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from pitcrew.core.record import Entry, parse, seal
from tests.scenarios.operator import Operator, last_number
from tests.scenarios.stage import ProcessStage


@pytest.fixture(scope="module")
def outside() -> Iterator[Path]:
    """A directory with a syslog's socket, what it received, and a file that heads are appended to."""
    root = Path(tempfile.mkdtemp(prefix="heads-"))
    (root / "file").touch()
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        receiver.bind(str(root / "log"))
        receiver.setblocking(False)
        yield _left_by_an_operator(root, receiver)
    shutil.rmtree(root)


def _left_by_an_operator(root: Path, receiver: socket.socket) -> Path:
    stage = ProcessStage()
    stage.declare()
    leaving = {"SYSLOG": str(root / "log"), "FILE": str(root / "file"), "EVERY_RECORDS": "4"}
    operator = Operator(
        state=stage.root / "state",
        manifests=stage.manifests,
        environ={
            "PITCREW_LOCK_DIR": str(stage.root / "locks"),
            **{f"PITCREW_HEAD_{name}": value for name, value in leaving.items()},
            **stage.environ,
        },
    )
    stage.operators.append(operator.start())
    try:
        before = last_number(operator.wait_until_quiet())
        stage.chaos("break", "flag")
        operator.wait_until_healed(after=before)
        assert operator.stop() == 0
        (root / "syslog").write_bytes(b"".join(f"Jan  1 00:00:00 host {m}\n".encode() for m in _received(receiver)))
        shutil.copytree(operator.state, root / "state", ignore=shutil.ignore_patterns("process", "run"))
    finally:
        stage.close()
    return root


def _received(receiver: socket.socket) -> Iterator[str]:
    while True:
        try:
            yield receiver.recv(65536).decode()
        except BlockingIOError:
            return


@pytest.fixture
def copy(outside: Path, tmp_path: Path) -> Operator:
    """A copy of the state to tamper with."""
    shutil.copytree(outside / "state", tmp_path / "state")
    return Operator(state=tmp_path / "state", manifests=tmp_path, environ={})


def _journal(operator: Operator) -> Path:
    return operator.state / "journal" / "000001.jsonl"


@pytest.mark.parametrize("kept", ["syslog", "file"])
def test_the_journal_of_a_run_holds_and_it_is_said_what_the_heads_cover(
    copy: Operator, outside: Path, kept: str
) -> None:
    shown = copy.pitcrew("audit", "verify", "--heads", str(outside / kept), "-o", "json")
    assert shown.returncode == 0, shown.stdout + shown.stderr
    told = json.loads(shown.stdout)
    heads = told["outsideHeads"]
    assert heads["count"] == heads["holding"] >= 4
    assert (heads["from"]["seq"], heads["to"]["seq"]) == (0, told["head"]["seq"])
    assert heads["foreign"] is heads["firstNotHolding"] is None
    table = copy.pitcrew("audit", "verify", "--heads", str(outside / kept)).stdout
    assert "each holds" in table
    assert f"up to record {told['head']['seq']}" in table


def test_a_truncated_journal_is_found_and_the_first_head_that_does_not_hold_is_named(
    copy: Operator, outside: Path
) -> None:
    lines = _journal(copy).read_bytes().splitlines(keepends=True)
    _journal(copy).write_bytes(b"".join(lines[:6]))
    shutil.rmtree(copy.state / "status")
    assert copy.pitcrew("audit", "verify").returncode == 0
    shown = copy.pitcrew("audit", "verify", "--heads", str(outside / "syslog"), "--heads", str(outside / "file"))
    assert shown.returncode == 1
    assert "DOES NOT HOLD" in shown.stdout
    assert "truncated" in shown.stdout
    first = next(line for line in shown.stdout.splitlines() if line.startswith("first head"))
    assert "head 8:" in first
    assert "the last that holds before it is" in first


def test_a_journal_that_was_chained_anew_is_found_by_heads_only(copy: Operator, outside: Path) -> None:
    lines = _journal(copy).read_bytes().splitlines(keepends=True)
    forged = lines[:2]
    for line in lines[2:]:
        record = parse(line)
        service = record.service if record.seq != 3 else "default/somebody-else"
        entry = Entry(type=record.type, data=record.data, service=service, incident=record.incident)
        forged.append(seal(entry, record.instant, parse(forged[-1]).head))
    _journal(copy).write_bytes(b"".join(forged))
    head = parse(forged[-1]).hash
    assert copy.pitcrew("audit", "verify", "--head", head).returncode == 0
    shown = copy.pitcrew("audit", "verify", "--head", head, "--heads", str(outside / "file"))
    assert shown.returncode == 1
    assert "record 4: rewritten" in shown.stdout
    assert "that does not hold: " in shown.stdout


def test_heads_that_cannot_be_read_are_refused_by_place(copy: Operator, outside: Path, tmp_path: Path) -> None:
    whole = (outside / "file").read_text()
    (tmp_path / "cut").write_text(f"{whole}{whole[:50]}\n")
    shown = copy.pitcrew("audit", "verify", "--heads", str(tmp_path / "cut"))
    assert shown.returncode == 3, shown.stdout
    assert f"cut:{len(whole.splitlines()) + 1}: a head that is not whole" in shown.stderr
