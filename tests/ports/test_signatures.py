"""The contract of `Signatures`, on the fake and on ssh-keygen; and what only the file of the real one can be."""

import asyncio
import os
import stat
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Protocol

import pytest

from pitcrew.adapters.signatures.allowed import ALLOWED_BYTES_MAX
from pitcrew.adapters.signatures.ssh import SshSignatures
from pitcrew.core.approval import SIGNATURE_NAMESPACE, Signer, Unverified
from pitcrew.ports import Signatures
from tests import keys
from tests.fakes.signatures import FakeSignatures, Line

pytestmark = pytest.mark.ssh

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)
STATEMENT = '{"decision":"Approve","plan":"d"}'
ALICE = "alice@example.org"


class World(Protocol):
    """Keys, who is allowed, and what verifies."""

    @property
    def signatures(self) -> Signatures:
        """What verifies."""

    def key(self, name: str) -> str:
        """A key, known by a name of its own."""

    def allow(
        self,
        principals: str,
        key: str,
        *,
        before: datetime | None = None,
        after: datetime | None = None,
        namespaces: str = SIGNATURE_NAMESPACE,
    ) -> None:
        """One more line."""

    def sign(self, key: str, statement: str, namespace: str = SIGNATURE_NAMESPACE) -> str:
        """Its signature."""


class Fake:
    def __init__(self) -> None:
        self.signatures = FakeSignatures()

    def key(self, name: str) -> str:
        return name

    def allow(
        self,
        principals: str,
        key: str,
        *,
        before: datetime | None = None,
        after: datetime | None = None,
        namespaces: str = SIGNATURE_NAMESPACE,
    ) -> None:
        self.signatures.lines.append(
            Line(principals=principals, key=key, before=before, after=after, namespaces=namespaces)
        )

    def sign(self, key: str, statement: str, namespace: str = SIGNATURE_NAMESPACE) -> str:
        return self.signatures.sign(key, statement, namespace)


class Ssh:
    def __init__(self, directory: Path) -> None:
        self.directory, self.file = directory, directory / "allowed_signers"
        self.file.touch(0o644)
        self.signatures = SshSignatures(self.file)

    def key(self, name: str) -> str:
        return str(keys.new_key(self.directory / name))

    def allow(
        self,
        principals: str,
        key: str,
        *,
        before: datetime | None = None,
        after: datetime | None = None,
        namespaces: str = SIGNATURE_NAMESPACE,
    ) -> None:
        line = keys.allowed_line(principals, Path(key), before=before, after=after, namespaces=namespaces)
        with self.file.open("a") as file:
            file.write(line)

    def sign(self, key: str, statement: str, namespace: str = SIGNATURE_NAMESPACE) -> str:
        return keys.sign(Path(key), statement, namespace)


@pytest.fixture(params=["fake", "ssh"])
def world(request: pytest.FixtureRequest, tmp_path: Path) -> World:
    return Fake() if request.param == "fake" else Ssh(tmp_path)


@pytest.fixture
def ssh(tmp_path: Path) -> Ssh:
    return Ssh(tmp_path)


def verified(world: World, signature: str, statement: str = STATEMENT, at: datetime = NOW) -> Signer | Unverified:
    return asyncio.run(world.signatures.verify(statement, signature, at))


def reason(found: Signer | Unverified) -> str:
    assert isinstance(found, Unverified), f"it was believed: {found}"
    return found.reason


def test_a_signature_names_the_principal_of_its_key_and_the_key(world: World) -> None:
    alice, bob = world.key("a"), world.key("b")
    world.allow(ALICE, alice)
    world.allow("bob", bob)
    first, second = (verified(world, world.sign(key, STATEMENT)) for key in (alice, bob))
    assert isinstance(first, Signer)
    assert isinstance(second, Signer)
    assert (first.principal, second.principal) == (ALICE, "bob")
    assert first.fingerprint.startswith("SHA256:")
    assert first.fingerprint != second.fingerprint


@pytest.mark.parametrize("altered", ["", STATEMENT + " ", STATEMENT.replace("Approve", "Deny"), STATEMENT[:-1]])
def test_a_signature_over_any_other_statement_proves_nothing(world: World, altered: str) -> None:
    alice = world.key("a")
    world.allow(ALICE, alice)
    assert "it is not over this decision" in reason(verified(world, world.sign(alice, STATEMENT), altered))


def test_a_key_that_nobody_allowed_proves_nothing(world: World) -> None:
    world.allow(ALICE, world.key("a"))
    assert "no allowed signer's key made it" in reason(verified(world, world.sign(world.key("e"), STATEMENT)))


def test_a_key_counts_from_when_it_is_valid_until_when_it_is_not(world: World) -> None:
    alice = world.key("a")
    world.allow(ALICE, alice, after=NOW - HOUR, before=NOW + HOUR)
    signature = world.sign(alice, STATEMENT)
    assert isinstance(verified(world, signature), Signer)
    for at in (NOW - 2 * HOUR, NOW + 2 * HOUR):
        assert "not at this time" in reason(verified(world, signature, at=at))


def test_a_signature_made_for_something_else_and_a_key_allowed_for_something_else_prove_nothing(world: World) -> None:
    alice, bob = world.key("a"), world.key("b")
    world.allow(ALICE, alice)
    world.allow("bob", bob, namespaces="git")
    assert reason(verified(world, world.sign(alice, STATEMENT, "git")))
    assert reason(verified(world, world.sign(bob, STATEMENT)))
    assert reason(verified(world, world.sign(bob, STATEMENT, "git")))


@pytest.mark.parametrize("principals", ["*", "*@example.org", "alice,bob", "a\x1b[31mlice", "-alice"])
def test_a_key_that_stands_for_several_or_for_what_cannot_be_typed_proves_nothing(
    world: World, principals: str
) -> None:
    alice = world.key("a")
    world.allow(principals, alice)
    found = reason(verified(world, world.sign(alice, STATEMENT)))
    assert "its key stands for" in found
    assert "\x1b" not in found


@pytest.mark.parametrize(
    "signature",
    [
        "",
        "yes",
        "-----BEGIN SSH SIGNATURE-----",
        "-----BEGIN SSH SIGNATURE-----\nU1NIU0lH\n-----END SSH SIGNATURE-----\n",
        "-----BEGIN SSH SIGNATURE-----\n" + "A" * 1_000_000 + "\n-----END SSH SIGNATURE-----\n",
        "-----BEGIN SSH SIGNATURE-----\n\x00\x1b\u202e\n-----END SSH SIGNATURE-----\n",
        "-----BEGIN SSH SIGNATURE-----\n\ud800\n-----END SSH SIGNATURE-----\n",
    ],
    ids=["empty", "a word", "half an armor", "a stump", "a megabyte", "controls", "no text at all"],
)
def test_what_is_no_signature_is_unverified_and_never_raises(world: World, signature: str) -> None:
    world.allow(ALICE, world.key("a"))
    assert reason(verified(world, signature))


@pytest.mark.parametrize("kind", ["rsa", "ecdsa"])
def test_keys_of_other_kinds_and_in_an_agent_sign_as_well(ssh: Ssh, kind: str, tmp_path: Path) -> None:
    key = keys.new_key(tmp_path / "other", kind)
    ssh.allow(ALICE, str(key))
    assert isinstance(verified(ssh, ssh.sign(str(key), STATEMENT)), Signer)


def test_a_key_that_is_taken_out_of_the_file_counts_no_more(ssh: Ssh) -> None:
    alice = ssh.key("a")
    ssh.allow(ALICE, alice)
    signature = ssh.sign(alice, STATEMENT)
    assert isinstance(verified(ssh, signature), Signer)
    ssh.file.write_text("")
    assert reason(verified(ssh, signature))


def test_a_file_that_others_can_write_or_that_is_none_proves_nothing(ssh: Ssh, tmp_path: Path) -> None:
    alice = ssh.key("a")
    ssh.allow(ALICE, alice)
    signature, good = ssh.sign(alice, STATEMENT), ssh.file.read_bytes()
    for mode in (0o664, 0o646):
        ssh.file.chmod(mode)
        assert f"{ssh.file}: can be written by others" in reason(verified(ssh, signature))
    ssh.file.chmod(0o644)
    tmp_path.chmod(0o777)
    assert f"{tmp_path}: can be written by others" in reason(verified(ssh, signature))
    tmp_path.chmod(0o777 | stat.S_ISVTX)
    assert isinstance(verified(ssh, signature), Signer), "a directory such as /tmp will do"
    tmp_path.chmod(0o755)
    ssh.file.write_bytes(good + b"#" * ALLOWED_BYTES_MAX)
    assert "is longer than" in reason(verified(ssh, signature))
    ssh.file.unlink()
    assert "cannot be read" in reason(verified(ssh, signature))
    (tmp_path / "real").write_bytes(good)
    ssh.file.symlink_to(tmp_path / "real")
    assert "cannot be read" in reason(verified(ssh, signature))
    ssh.file.unlink()
    os.mkfifo(ssh.file)
    assert "is no plain file" in reason(verified(ssh, signature))


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to give a file to somebody else")
def test_a_file_of_another_user_proves_nothing(ssh: Ssh) -> None:
    os.chown(ssh.file, 1, -1)
    assert "belongs to uid 1" in reason(verified(ssh, ssh.sign(ssh.key("a"), STATEMENT)))


def test_without_ssh_keygen_and_with_one_that_hangs_nothing_is_proven(ssh: Ssh, tmp_path: Path) -> None:
    alice = ssh.key("a")
    ssh.allow(ALICE, alice)
    signature = ssh.sign(alice, STATEMENT)
    hanging = tmp_path / "hanging"
    hanging.write_text("#!/bin/sh\nexec sleep 60\n")
    hanging.chmod(0o755)
    ssh.signatures = SshSignatures(ssh.file, command=str(tmp_path / "nowhere"))
    assert "ssh-keygen is not here" in reason(verified(ssh, signature))
    ssh.signatures = SshSignatures(ssh.file, command=str(hanging), deadline_s=0.2)
    assert "gave no answer" in reason(verified(ssh, signature))


def test_no_private_key_is_read_and_no_shell_is_used_to_verify(ssh: Ssh, tmp_path: Path) -> None:
    """What the verifier starts is the only thing it does: a stand-in for ssh-keygen writes down what it was given."""
    alice, said = ssh.key("a"), tmp_path / "said"
    ssh.allow(ALICE, alice)
    signature = ssh.sign(alice, STATEMENT)
    Path(alice).unlink()
    spy = tmp_path / "spy"
    spy.write_text(f'#!/bin/sh\nprintf "%s\\n" "$@" >> {said}\nexec ssh-keygen "$@"\n')
    spy.chmod(0o755)
    ssh.signatures = SshSignatures(ssh.file, command=str(spy))
    assert isinstance(verified(ssh, signature), Signer)
    words = said.read_text().split()
    assert [word for word in words if "/" in word and not word.startswith("/proc/self/fd/")] == []
    assert words.count(ALICE) == 1


def test_a_key_in_an_agent_signs_by_its_public_half(ssh: Ssh, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    alice = ssh.key("a")
    ssh.allow(ALICE, alice)
    agent = subprocess.Popen(["ssh-agent", "-D", "-a", str(tmp_path / "agent")], stdout=subprocess.PIPE)
    assert agent.stdout is not None
    try:
        agent.stdout.readline()
        monkeypatch.setenv("SSH_AUTH_SOCK", str(tmp_path / "agent"))
        subprocess.run(["ssh-add", "-q", alice], check=True, capture_output=True, timeout=30)
        Path(alice).unlink()
        assert isinstance(verified(ssh, ssh.sign(f"{alice}.pub", STATEMENT)), Signer)
    finally:
        agent.terminate()
        agent.wait(10)
        agent.stdout.close()
