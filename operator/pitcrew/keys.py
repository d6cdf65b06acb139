"""Ed25519 keys in files: private ones are made once, durably, and are private to the user PitCrew runs as; public ones
are read from what somebody else published.

Official and Mechanic each have a key of their own, made alike; nobody else imports this.
"""

import os
import stat
from contextlib import suppress
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)

from pitcrew.core.errors import InvalidInput

KEY = "key"
PUBLIC_KEY = "key.pub"
PUBLIC_KEYS_MAX = 2
"""Keys that count at once: the one that signs, and the one before it while it is rotated."""
_FLAGS = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_BYTES_MAX = 4096
"""An Ed25519 key in PEM takes 119 bytes."""
_PEM_END = b"-----END PUBLIC KEY-----"


def private_key(directory: Path) -> Ed25519PrivateKey:
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


def public_keys(path: Path, whose: str) -> tuple[Ed25519PublicKey, ...]:
    """One or two public keys from a file in PEM; `whose` is said in complaints, such as `the Official's`.

    Raises:
        InvalidInput: the file cannot be read, can be written by others, or holds something else.
    """
    pem = _public(path, whose)
    parts = [part + _PEM_END for part in pem.split(_PEM_END)[:-1]]
    rest = pem.split(_PEM_END)[-1].strip()
    keys = tuple(key for part in parts if (key := _parse_public(part)) is not None)
    if rest or not keys or len(keys) != len(parts):
        raise InvalidInput(f"{path}: holds no Ed25519 public key in PEM, or more than that; give {whose} key.pub")
    if len(keys) > PUBLIC_KEYS_MAX:
        raise InvalidInput(f"{path}: holds {len(keys)} keys; {PUBLIC_KEYS_MAX} count at once: remove the retired ones")
    return keys


def public_pem(key: Ed25519PrivateKey) -> bytes:
    """The public half of a key in PEM."""
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def _public(path: Path, whose: str) -> bytes:
    try:
        descriptor = os.open(path, os.O_RDONLY | _FLAGS)
    except OSError as error:
        raise InvalidInput(f"{path}: cannot be read ({error.strerror}); give {whose} key.pub") from None
    with os.fdopen(descriptor, "rb") as file:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise InvalidInput(f"{path}: not a regular file; give {whose} key.pub")
        if status.st_mode & 0o022:
            raise InvalidInput(f"{path}: others can write it, and so choose whose word counts; chmod 644 it")
        return file.read(_BYTES_MAX)


def _parse_public(pem: bytes) -> Ed25519PublicKey | None:
    try:
        key = load_pem_public_key(pem.strip())
    except (ValueError, TypeError):
        return None
    return key if isinstance(key, Ed25519PublicKey) else None


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
    """Keep the public half in its file, for those who verify."""
    pem = public_pem(key)
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
