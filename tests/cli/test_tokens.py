"""`pitcrew tokens` as people meet it: the token once, names and roles afterwards."""

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from pitcrew.adapters.tokens.files import TokenFile
from tests.cli.test_cli import pitcrew


def test_a_token_is_printed_once_listed_by_name_and_revoked(tmp_path: Path) -> None:
    file = tmp_path / "tokens.json"
    made = pitcrew("tokens", "add", "ann", "--role", "approver", "--role", "reader", "--days", 30, "--file", file)
    assert (made.returncode, made.stderr) == (0, "")
    token = made.stdout.strip()
    caller = TokenFile.open(file, lambda: datetime.now(UTC)).who(token)
    assert str(caller) == "ann (approver, reader)"

    table = pitcrew("tokens", "list", PITCREW_TOKENS=str(file)).stdout
    data = json.loads(pitcrew("tokens", "list", "--file", file, "-o", "json").stdout)
    assert "approver, reader" in table
    assert (data["tokens"][0]["name"], data["tokens"][0]["roles"]) == ("ann", ["approver", "reader"])
    digest = json.loads(file.read_text())["tokens"][0]["sha256"]
    assert not any(secret in table + json.dumps(data) for secret in (token, digest))

    assert pitcrew("tokens", "revoke", "ann", "--file", file).stdout == "ann: revoked\n"
    assert json.loads(pitcrew("tokens", "list", "--file", file, "-o", "json").stdout) == {"tokens": []}


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["add", "a b", "--role", "reader"], "token name 'a b'"),
        (["add", "ann", "--role", "driver", "--role", "approver"], "who proposes never approves"),
        (["add", "ann", "--role", "reader", "--days", "0"], "--days 0"),
        (["revoke", "ann"], "make the file with `pitcrew tokens add`"),
        (["list"], "make the file with `pitcrew tokens add`"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_cannot_be_done_is_said_with_a_remedy_and_leaves_no_file(
    tmp_path: Path, words: list[str], complaint: str
) -> None:
    file = tmp_path / "tokens.json"
    done = pitcrew("tokens", *words, "--file", file)
    assert (done.returncode, done.stdout) == (3, "")
    assert complaint in done.stderr
    assert not file.exists()


def test_the_operator_shows_its_metrics_to_nobody_beyond_loopback_without_tokens(tmp_path: Path) -> None:
    (tmp_path / "manifests").mkdir()
    where = ("run", "--manifests", tmp_path / "manifests", "--state", tmp_path / "state")
    open_to_all = pitcrew(*where, "--metrics-addr", "0.0.0.0:0")
    assert open_to_all.returncode == 1
    assert "setting metrics_addr: 0.0.0.0:0: others reach that address" in open_to_all.stderr
    assert "pitcrew tokens add NAME --role ROLE --file FILE" in open_to_all.stderr
    unreadable = pitcrew(*where, "--metrics-addr", "0.0.0.0:0", "--tokens", tmp_path / "none.json")
    assert unreadable.returncode == 1
    assert f"{tmp_path / 'none.json'}: the tokens cannot be read" in unreadable.stderr


def test_an_unknown_role_is_refused_with_those_that_there_are(tmp_path: Path) -> None:
    done = pitcrew("tokens", "add", "ann", "--role", "root", "--file", tmp_path / "tokens.json")
    assert done.returncode == 2
    assert "approver" in done.stderr
