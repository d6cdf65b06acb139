"""Tokens in a JSON file, hashes only, read at every request: one that was revoked is nobody's at once."""

import fcntl
import json
import os
import secrets
import stat
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from pitcrew.adapters.durable import replace
from pitcrew.core.caller import TOKEN_BYTES, TOKENS_MAX, Caller, Role, Token, caller_of, token_digest
from pitcrew.core.errors import InvalidInput, Unavailable

PREFIX = "pitcrew_"
"""What a token begins with, so that whoever looks for lost secrets finds it."""
DAYS_MAX = 3650
_BYTES_MAX = 256 * 1024
"""A file of as many tokens as there may be takes half of that."""


class _Entry(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    roles: tuple[Role, ...]
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    created_at: AwareDatetime
    expires_at: AwareDatetime | None = None


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    version: Literal[1] = 1
    tokens: Annotated[tuple[_Entry, ...], Field(max_length=TOKENS_MAX)]


@dataclass(kw_only=True, slots=True)
class TokenFile:
    """The tokens of one file; see `Tokens` for the contract. `now` is asked for their expiry."""

    path: Path
    now: Callable[[], datetime]
    _read: bytes | None = None
    _tokens: Sequence[Token] = field(default_factory=tuple)

    @classmethod
    def open(cls, path: Path, now: Callable[[], datetime]) -> "TokenFile":
        """Raises InvalidInput where the file cannot be used, so that a server says so before it listens."""
        made = cls(path=path, now=now)
        made._look()
        return made

    def who(self, token: str) -> Caller | None:
        """See `Tokens.who`."""
        try:
            return caller_of(self._look(), token, self.now())
        except InvalidInput as error:
            raise Unavailable(str(error)) from None

    def _look(self) -> Sequence[Token]:
        """The tokens of the file as it is now; what did not change is not parsed again."""
        data = _bytes(self.path)
        if data != self._read:
            self._tokens, self._read = _parsed(self.path, data), data
        return self._tokens


def listed(path: Path) -> Sequence[Token]:
    """The tokens of a file. Raises InvalidInput where it cannot be used."""
    return _parsed(path, _bytes(path))


def add(path: Path, name: str, roles: Sequence[Role], now: datetime, days: int | None = None) -> str:
    """Make a token and keep its hash, in a file that is made (0600) where there is none; the token, which nobody can
    ever show again.

    Raises:
        InvalidInput: the name is taken or none, the roles do not go together, or the file cannot be used.
        OSError: the disk does not keep it.
    """
    if days is not None and not 1 <= days <= DAYS_MAX:
        raise InvalidInput(f"--days {days}: give 1 to {DAYS_MAX}, or leave it out for a token that does not expire")
    token = PREFIX + secrets.token_urlsafe(TOKEN_BYTES)
    made = Token(
        name=name,
        roles=frozenset(roles),
        sha256=token_digest(token),
        created_at=now,
        expires_at=None if days is None else now + timedelta(days=days),
    )
    with _alone(path):
        known = listed(path) if os.path.lexists(path) else ()
        if any(one.name == name for one in known):
            raise InvalidInput(f"{path}: {name} has a token; revoke it first, or take another name")
        if len(known) >= TOKENS_MAX:
            raise InvalidInput(f"{path}: has {TOKENS_MAX} tokens, as many as there may be; revoke some")
        _keep(path, [*known, made])
    return token


def revoke(path: Path, name: str) -> None:
    """Remove a token; whoever has it is nobody from the next request on.

    Raises:
        InvalidInput: there is no such name, or the file cannot be used.
        OSError: the disk does not keep it.
    """
    with _alone(path):
        known = listed(path)
        if all(one.name != name for one in known):
            raise InvalidInput(f"{path}: no token of the name {name!r}; see `pitcrew tokens list`")
        _keep(path, [one for one in known if one.name != name])


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Nobody else changes the file meanwhile; the directory is locked, since the file itself is replaced."""
    try:
        directory = os.open(path.absolute().parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise InvalidInput(f"{path.parent}: {error.strerror}; name a file in a directory that is there") from None
    try:
        fcntl.flock(directory, fcntl.LOCK_EX)
        yield
    finally:
        os.close(directory)


def _keep(path: Path, tokens: Sequence[Token]) -> None:
    entries = tuple(
        _Entry(
            name=one.name,
            roles=tuple(sorted(one.roles)),
            sha256=one.sha256,
            created_at=one.created_at,
            expires_at=one.expires_at,
        )
        for one in tokens
    )
    text = _File(tokens=entries).model_dump_json(indent=1)
    mode, group = 0o600, -1
    if path.exists():
        status = path.stat()
        mode, group = stat.S_IMODE(status.st_mode), status.st_gid
    replace(path, f"{text}\n".encode(), mode=0o600)
    if mode != 0o600:
        os.chown(path, -1, group, follow_symlinks=False)
        path.chmod(mode)


def _bytes(path: Path) -> bytes:
    """What is in the file, where it is ours and nobody else can write it or look into it."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise InvalidInput(
            f"{path}: the tokens cannot be read ({error.strerror}); make the file with `pitcrew tokens add`"
        ) from None
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise InvalidInput(f"{path}: the file of tokens is not a regular file; move it away")
        if status.st_uid not in (os.geteuid(), 0) or status.st_mode & 0o037:
            shown = oct(stat.S_IMODE(status.st_mode))[2:]
            raise InvalidInput(
                f"{path}: mode {shown}, uid {status.st_uid}, so others can use the tokens; own it, chmod 600 it, or "
                "640 where root owns it and a group of yours reads it"
            )
        data = os.read(descriptor, _BYTES_MAX + 1)
    finally:
        os.close(descriptor)
    if len(data) > _BYTES_MAX:
        raise InvalidInput(f"{path}: the file of tokens has more than {_BYTES_MAX} bytes; it is none of ours")
    return data


def _parsed(path: Path, data: bytes) -> Sequence[Token]:
    try:
        found = _File.model_validate(json.loads(data, object_pairs_hook=_once))
        tokens = [
            Token(
                name=one.name,
                roles=frozenset(one.roles),
                sha256=one.sha256,
                created_at=one.created_at,
                expires_at=one.expires_at,
            )
            for one in found.tokens
        ]
    except InvalidInput as error:
        raise InvalidInput(f"{path}: {error}") from None
    except ValidationError as error:
        first = error.errors(include_input=False)[0]
        field_name = ".".join(map(str, first["loc"])) or "file"
        raise InvalidInput(f"{path}: {field_name}: {first['msg']}; make it anew with `pitcrew tokens add`") from None
    except (ValueError, RecursionError) as error:
        raise InvalidInput(f"{path}: no JSON of tokens ({error}); make it anew with `pitcrew tokens add`") from None
    twice = [one.name for place, one in enumerate(tokens) if one.name in {other.name for other in tokens[:place]}]
    if twice:
        raise InvalidInput(f"{path}: {twice[0]} stands there twice; a name has one token: revoke it and add it again")
    return tokens


def _once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key stands twice in one object")
    return found
