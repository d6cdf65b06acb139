"""Real SSH keys, made for one test and forgotten with it."""

import subprocess
from datetime import datetime
from pathlib import Path

from pitcrew.core.approval import SIGNATURE_NAMESPACE


def new_key(path: Path, kind: str = "ed25519") -> Path:
    """A private key without a passphrase at this path; its public half is beside it."""
    words = ["ssh-keygen", "-q", "-t", kind, "-N", "", "-C", path.name, "-f", str(path)]
    subprocess.run(words, check=True, stdin=subprocess.DEVNULL, timeout=60)
    return path


def public(key: Path) -> str:
    """Type and key, as a line of allowed signers has them."""
    return " ".join(key.with_name(f"{key.name}.pub").read_text().split()[:2])


def allowed_line(
    principals: str,
    key: Path,
    *,
    before: datetime | None = None,
    after: datetime | None = None,
    namespaces: str = "",
) -> str:
    """One line of allowed signers."""
    options = [f'{name}="{at:%Y%m%d%H%M%SZ}"' for name, at in (("valid-after", after), ("valid-before", before)) if at]
    options += [f'namespaces="{namespaces}"'] if namespaces else []
    return " ".join(filter(None, [principals, ",".join(options), public(key)])) + "\n"


def sign(key: Path, statement: str, namespace: str = SIGNATURE_NAMESPACE) -> str:
    """The signature of a key over a statement."""
    words = ["ssh-keygen", "-Y", "sign", "-n", namespace, "-f", str(key)]
    return subprocess.run(words, input=statement.encode(), check=True, capture_output=True, timeout=60).stdout.decode()
