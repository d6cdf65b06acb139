"""Signing keys of a role: made once, durably, private to the user it runs as; and files of public keys.

The Official signs permits, a Mechanic signs what it saw; both keep their key in the same way, in `STATE/ROLE`. While a
key is rotated two public keys stand side by side, the signing one first, so that nobody is without a key in between.
"""

import os
import stat
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TypeAlias

from cryptography.exceptions import InvalidSignature
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

SigningKey: TypeAlias = Ed25519PrivateKey
"""What only its role holds; others name it to pass it on."""
PublicKey: TypeAlias = Ed25519PublicKey
"""What verifies, and can never sign."""

KEY = "key"
PUBLIC_KEY = "key.pub"
PREVIOUS = "previous.pub"
"""The public half of the key before, until it is retired; its private half is gone with the rotation."""
PUBLIC_KEYS_MAX = 2
"""Public keys in one file: the one that signs, and the one before."""
_FLAGS = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_BYTES_MAX = 4096
"""An Ed25519 key in PEM takes 119 bytes, its public half 113."""
_END = b"-----END PUBLIC KEY-----"


def private_key(directory: Path) -> SigningKey:
    """The key in `directory`/key (PEM, 0600), made where there is none; the public half is kept beside it as key.pub,
    before that of the key that was rotated out.

    Raises:
        InvalidInput: the directory or the file is open to others, not ours, or holds no such key.
        OSError: the disk does not keep it.
    """
    _own_directory(directory)
    path = directory / KEY
    if not os.path.lexists(path):
        _create(path)
    key = _read(path)
    _publish(directory, key.public_key())
    return key


def key_of_the_moment() -> SigningKey:
    """A key that nobody keeps and nobody knows."""
    return Ed25519PrivateKey.generate()


def shown(directory: Path) -> bytes:
    """The public keys of a role in PEM, the signing one first. Raises as `private_key` does, and makes no key."""
    _there(directory)
    private_key(directory)
    return (directory / PUBLIC_KEY).read_bytes()


def rotate(directory: Path) -> None:
    """Make a new key, which signs from the next start of the role on; the one before is still shown.

    Raises:
        InvalidInput: there is no key yet, the one before was not retired, or as `private_key`.
        OSError: the disk does not keep it.
    """
    _there(directory)
    path, before = directory / KEY, directory / PREVIOUS
    old = _pem(private_key(directory).public_key())
    if before.is_file() and before.read_bytes() != old:
        raise InvalidInput(f"{before}: the key before is not retired yet; do that first with `rotate --retire`")
    _replace(before, old, 0o644)
    fresh = Ed25519PrivateKey.generate()
    _replace(path, _private_pem(fresh), 0o600)
    _publish(directory, fresh.public_key())


def retire(directory: Path) -> None:
    """Show the key before no longer; what it signed counts as nobody's wherever the new file arrives.

    Raises:
        InvalidInput: there is none, or as `private_key`.
        OSError: the disk does not keep it.
    """
    _there(directory)
    before = directory / PREVIOUS
    if not before.is_file():
        raise InvalidInput(f"{directory}: no key waits to be retired; `rotate` makes a new one first")
    before.unlink()
    _sync_directory(directory)
    _publish(directory, private_key(directory).public_key())


def public_keys(path: Path, whose: str) -> tuple[PublicKey, ...]:
    """The one or two public keys of a file in PEM; `whose` is said in complaints, such as `the Official's`.

    Raises:
        InvalidInput: the file cannot be read, can be written by others, or holds anything else.
    """
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
        return parsed_public_keys(file.read(_BYTES_MAX), str(path), whose)


def parsed_public_keys(pem: bytes, place: str, whose: str) -> tuple[PublicKey, ...]:
    """The public keys in some bytes. Raises InvalidInput where there is anything but one or two in PEM."""
    parts = [part.strip() for part in pem.split(_END)]
    found = [_public(part + b"\n" + _END) for part in parts[:-1]]
    keys = [key for key in found if key is not None]
    if not 1 <= len(found) <= PUBLIC_KEYS_MAX or len(keys) != len(found) or parts[-1]:
        raise InvalidInput(f"{place}: holds no Ed25519 public key in PEM, or over two; give {whose} key.pub")
    return tuple(keys)


def is_by(keys: Sequence[PublicKey], payload: bytes, signature: str) -> bool:
    """Whether one of these keys signed exactly these bytes; `signature` is in hexadecimal."""
    return any(_verifies(key, payload, signature) for key in keys)


def _verifies(key: PublicKey, payload: bytes, signature: str) -> bool:
    try:
        key.verify(bytes.fromhex(signature), payload)
    except (InvalidSignature, ValueError):
        return False
    return True


def _public(pem: bytes) -> PublicKey | None:
    try:
        key = load_pem_public_key(pem)
    except (ValueError, TypeError):
        return None
    return key if isinstance(key, Ed25519PublicKey) else None


def _there(directory: Path) -> None:
    if not os.path.lexists(directory / KEY):
        raise InvalidInput(f"{directory}: no key yet; make one with `pitcrew keys init`")


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
    beside = path.with_name(f".{path.name}.partial")
    _write(beside, _private_pem(Ed25519PrivateKey.generate()), 0o600)
    with suppress(FileExistsError):
        os.link(beside, path, follow_symlinks=False)
    beside.unlink()
    _sync_directory(path.parent)


def public_pem(key: SigningKey) -> bytes:
    """The public half of a key in PEM."""
    return _pem(key.public_key())


def _private_pem(key: SigningKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def _pem(key: PublicKey) -> bytes:
    return key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def _read(path: Path) -> SigningKey:
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


def _parse(path: Path, pem: bytes) -> SigningKey:
    try:
        key = load_pem_private_key(pem, password=None)
    except (ValueError, TypeError):
        key = None
    if not isinstance(key, Ed25519PrivateKey):
        raise InvalidInput(f"{path}: holds no Ed25519 private key in PEM; move it away, and a new one is made")
    return key


def _publish(directory: Path, key: PublicKey) -> None:
    """Keep the public halves in their file, for whoever verifies."""
    path, before = directory / PUBLIC_KEY, directory / PREVIOUS
    own = _pem(key)
    previous = before.read_bytes() if before.is_file() and not before.is_symlink() else b""
    pem = own + (previous if previous != own else b"")
    if path.is_file() and not path.is_symlink() and path.read_bytes() == pem:
        return
    _replace(path, pem, 0o644)


def _replace(path: Path, data: bytes, mode: int) -> None:
    beside = path.with_name(f".{path.name}.partial")
    _write(beside, data, mode)
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
