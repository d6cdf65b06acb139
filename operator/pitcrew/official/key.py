"""The signing key of the Official."""

from pathlib import Path
from typing import TypeAlias

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from pitcrew.keys import private_key

SigningKey: TypeAlias = Ed25519PrivateKey
"""What only the Official holds; others name it to pass it on."""


def signing_key(directory: Path) -> SigningKey:
    """The key in `directory`/key, made where there is none; see `private_key`."""
    return private_key(directory)
