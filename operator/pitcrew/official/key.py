"""The signing key of the Official: made once, durably, private to the user PitCrew runs as."""

import os
import stat
from contextlib import suppress
from pathlib import Path
from typing import TypeAlias

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

from pitcrew.core.errors import InvalidInput

SigningKey: TypeAlias = Ed25519PrivateKey
"""What only the Official holds; others name it to pass it on."""

KEY = "key"
PUBLIC_KEY = "key.pub"
_FLAGS = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_BYTES_MAX = 4096
"""An Ed25519 key in PEM takes 119 bytes."""


def signing_key(directory: Path) -> Ed25519PrivateKey:
    """The key in `directory`/key (PEM, 0600), made where there is none; the public half is kept beside it as key.pub.

    Raises:
        InvalidInput: the directory or the file is open to others, not ours, or holds no such key.
        OSError: the disk does not keep it.
    """
    _own_directory(directory)
    path = directory / KEY
    if not os.path.lexists(path):
        _create(path)
    key = _read(path)
    _publish(directory / PUBLIC_KEY, key)
    return key


def _own_directory(directory: Path) -> None:
    if not os.path.lexists(directory):
        directory.mkdir(mode=0o700, parents=True)
        _sync_directory(directory.parent)
    status = os.lstat(directory)
    if not stat.S_ISDIR(status.st_mode):
        raise InvalidInput(f"{directory}: not a directory; move it away")
    _refuse_others(directory, status, "700")


def _refuse_others(path: Path, status: os.stat_result, mode: str) -> None:
    if status.st_uid != os.geteuid() or status.st_mode & 0o077:
        shown = oct(stat.S_IMODE(status.st_mode))[2:]
        raise InvalidInput(f"{path}: mode {shown}, uid {status.st_uid}, so others can use it; own it, chmod {mode} it")


def _create(path: Path) -> None:
    """A new key, complete and durable before it has its name; one that appears meanwhile stays."""
    pem = Ed25519PrivateKey.generate().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    beside = path.with_name(f".{path.name}.partial")
    _write(beside, pem, 0o600)
    with suppress(FileExistsError):
        os.link(beside, path, follow_symlinks=False)
    beside.unlink()
    _sync_directory(path.parent)


def _read(path: Path) -> Ed25519PrivateKey:
    try:
        descriptor = os.open(path, os.O_RDONLY | _FLAGS)
    except OSError as error:
        raise InvalidInput(f"{path}: cannot be read ({error.strerror}); give a readable regular file") from None
    with os.fdopen(descriptor, "rb") as file:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise InvalidInput(f"{path}: not a regular file; move it away")
        _refuse_others(path, status, "600")
        return _parse(path, file.read(_BYTES_MAX))


def _parse(path: Path, pem: bytes) -> Ed25519PrivateKey:
    try:
        key = load_pem_private_key(pem, password=None)
    except (ValueError, TypeError):
        key = None
    if not isinstance(key, Ed25519PrivateKey):
        raise InvalidInput(f"{path}: holds no Ed25519 private key in PEM; move it away, and a new one is made")
    return key


def _publish(path: Path, key: Ed25519PrivateKey) -> None:
    """Keep the public half in its file, for the Mechanic."""
    pem = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    if path.is_file() and not path.is_symlink() and path.stat().st_size == len(pem) and path.read_bytes() == pem:
        return
    beside = path.with_name(f".{path.name}.partial")
    _write(beside, pem, 0o644)
    beside.replace(path)
    _sync_directory(path.parent)


def _write(path: Path, data: bytes, mode: int) -> None:
    path.unlink(missing_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _FLAGS, mode)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(descriptor)


def _sync_directory(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
