"""A person's signature over a decision, made on the person's side by `ssh-keygen -Y sign`; keys never leave it."""

import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

from pitcrew.core.approval import SIGNATURE_NAMESPACE, Decision, request_from, statement
from pitcrew.core.errors import InvalidInput, Refused
from pitcrew.core.record import Json, digest

SIGN_S = 120
"""Seconds to type a passphrase, or to touch a hardware key."""
_USUAL = ("id_ed25519_sk", "id_ed25519", "id_ecdsa_sk", "id_ecdsa", "id_rsa")
"""Keys in `~/.ssh` in the order in which they are taken where none is named."""


def signed(question: Mapping[str, Json], decision: str, reason: str, key: Path | None) -> str:
    """The armored signature over a decision on what was shown.

    What is signed is spelt here, from the plan that was shown, and not taken from the operator: one that shows one plan
    and asks about another gets no signature.

    Raises:
        InvalidInput: there is no such key, or it did not sign.
        Refused: the plan that was shown has another digest than the one that is asked about.
    """
    try:
        request = request_from(question.get("request"))
    except ValueError:
        raise Refused("the operator does not say what exactly is asked, so nothing is signed; update it") from None
    if digest(question["plan"]) != request.plan_digest or question["digest"] != request.plan_digest:
        raise Refused("the plan that was shown is not the one that is asked about; nothing is signed")
    return _made_by(key.expanduser() if key else _usual_key(), statement(request, Decision(decision), reason))


def _usual_key() -> Path:
    found = [path for name in _USUAL if (path := Path.home() / ".ssh" / name).exists()]
    if not found:
        raise InvalidInput(f"none of {', '.join(_USUAL)} is in ~/.ssh; name a key, or its .pub, with --ssh-key")
    return found[0]


def _made_by(key: Path, statement: str) -> str:
    command = shutil.which("ssh-keygen")
    if command is None:
        raise InvalidInput("ssh-keygen is not here; install OpenSSH's client")
    if not key.is_file():
        raise InvalidInput(f"{key}: no such key; --ssh-key names a private key, or the .pub of one in an agent")
    argv = [command, "-Y", "sign", "-n", SIGNATURE_NAMESPACE, "-f", str(key.absolute())]
    try:
        done = subprocess.run(argv, input=statement.encode(), stdout=subprocess.PIPE, timeout=SIGN_S)
    except subprocess.TimeoutExpired:
        raise InvalidInput(f"{key}: no signature came in {SIGN_S} s; nothing was decided") from None
    if done.returncode != 0:
        raise InvalidInput(f"{key}: ssh-keygen signed nothing, and says why above; nothing was decided")
    return done.stdout.decode(errors="replace")
