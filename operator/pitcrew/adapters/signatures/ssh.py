"""SSH signatures, verified by `ssh-keygen -Y` against a file of allowed signers as git uses it.

Nothing goes through a shell or a file of another: the statement is standard input, the signature and the allowed
signers are memory files that only the child sees, and what it says is matched whole. The file is read anew each time,
so that a key that was taken out, or whose `valid-before` passed, counts no more.
"""

import asyncio
import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from pitcrew.adapters.signatures.allowed import read_allowed
from pitcrew.core.approval import SIGNATURE_BYTES_MAX, SIGNATURE_NAMESPACE, Signer, Unverified
from pitcrew.core.errors import InvalidInput
from pitcrew.core.untrusted import clean

VERIFY_S = 5.0
"""Seconds one run of ssh-keygen may take; it takes milliseconds."""
AT_ONCE_MAX = 2
"""Verifications at once: each holds one of the threads that also keep the ledger."""
_ARMOR = "-----BEGIN SSH SIGNATURE-----"
_PRINCIPAL = re.compile(r"[a-zA-Z0-9_][a-zA-Z0-9_.@-]{0,63}")
"""The names that `spec.policy.approvers.users` can list, and no pattern, space or control character."""
_GOOD = re.compile(r'Good "[^"]*" signature for \S+ with \S+ key (SHA256:[A-Za-z0-9+/]{43})\n')


@dataclass(frozen=True, kw_only=True, slots=True)
class _Ran:
    code: int
    out: str
    said: str


class _Impossible(Exception):
    """ssh-keygen could not be asked; the text says why."""


@dataclass(slots=True)
class SshSignatures:
    """Whose key a signature is by (port `Signatures`); `command` is the ssh-keygen to use."""

    allowed_signers: Path
    command: str = "ssh-keygen"
    deadline_s: float = VERIFY_S
    _turns: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(AT_ONCE_MAX), init=False)

    async def verify(self, statement: str, signature: str, at: datetime) -> Signer | Unverified:
        """See `pitcrew.ports.Signatures`."""
        if len(signature) > SIGNATURE_BYTES_MAX or not signature.isascii() or not signature.startswith(_ARMOR):
            return Unverified(reason=f"it is no armored SSH signature of at most {SIGNATURE_BYTES_MAX} bytes")
        async with self._turns:
            try:
                return await asyncio.to_thread(self._verify, statement.encode(), signature.encode(), at)
            except (InvalidInput, _Impossible) as error:
                return Unverified(reason=str(error))

    def _verify(self, statement: bytes, signature: bytes, at: datetime) -> Signer | Unverified:
        allowed = read_allowed(self.allowed_signers)
        with _in_memory(allowed) as signers, _in_memory(signature) as signed:
            files = (signers, signed)
            found = self._run(files, statement, at, "find-principals")
            if found.code != 0:
                return Unverified(reason=f"no allowed signer's key made it, or not at this time: {found.said}")
            principals = found.out.splitlines()
            if len(principals) != 1 or _PRINCIPAL.fullmatch(principals[0]) is None:
                shown = clean(", ".join(principals), 200)
                return Unverified(reason=f"its key stands for {shown!r}; give each key one line with one plain name")
            named = self._run(files, statement, at, "verify", "-n", SIGNATURE_NAMESPACE, "-I", principals[0])
            good = _GOOD.fullmatch(named.out)
            if named.code != 0 or good is None:
                return Unverified(reason=f"it is not over this decision: {named.said}")
            return Signer(principal=principals[0], fingerprint=good[1])

    def _run(self, files: tuple[int, int], statement: bytes, at: datetime, what: str, *more: str) -> _Ran:
        """One run over the memory files of allowed signers and signature."""
        command = shutil.which(self.command)
        if command is None:
            raise _Impossible("ssh-keygen is not here; install OpenSSH's client")
        signers, signed = (f"/proc/self/fd/{each}" for each in files)
        time = f"-Overify-time={at.astimezone(UTC):%Y%m%d%H%M%S}"
        return self._ran([command, "-Y", what, "-f", signers, "-s", signed, time, *more], files, statement)

    def _ran(self, argv: Sequence[str], files: tuple[int, int], statement: bytes) -> _Ran:
        environ = {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C", "TZ": "UTC0"}
        try:
            done = subprocess.run(
                argv, input=statement, capture_output=True, timeout=self.deadline_s, env=environ, pass_fds=files
            )
        except subprocess.TimeoutExpired:
            raise _Impossible(f"ssh-keygen gave no answer in {self.deadline_s} s") from None
        except OSError as error:
            raise _Impossible(f"ssh-keygen could not be started: {error.strerror}") from None
        said = clean(" ".join(done.stderr[:2000].decode(errors="replace").split()) or "no reason was given", 300)
        return _Ran(code=done.returncode, out=done.stdout.decode(errors="replace"), said=said)


@contextmanager
def _in_memory(content: bytes) -> Iterator[int]:
    """A file of these bytes that has no name; its descriptor."""
    descriptor = os.memfd_create("pitcrew", os.MFD_CLOEXEC)
    try:
        with os.fdopen(os.dup(descriptor), "wb") as file:
            file.write(content)
        yield descriptor
    finally:
        os.close(descriptor)
