"""Manifest files and directories, read so that nothing but a plain file of ours or root's is ever opened (S14).

A path is a directory (its `*.yaml`, `*.yml` and `*.json`, without subdirectories; hidden and editors' files are passed
over) or a single file. Links, pipes, devices and sockets are refused without opening them. What others can write, they
could declare in our name: such files and directories are refused.
"""

import os
import stat
from collections.abc import Sequence
from dataclasses import dataclass

from pitcrew.core.untrusted import clean, printable

SUFFIXES = (".yaml", ".yml", ".json")
FILES_MAX = 500
"""Files read from one directory."""
_OPEN = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC


class Unsafe(Exception):
    """A path that is not read; the text says why, and the remedy."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Found:
    """One manifest file: its bytes (one more than the limit at most), or why it was not read, or that it is absent."""

    file: str
    directory: str
    raw: bytes = b""
    refused: str = ""
    absent: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Scan:
    """One look at all paths.

    `listed` are the directories that were read, `sought` the single files that were looked for: what is not among
    `found` there does not exist. `blind` are paths that could not be seen, with the reason: nothing is known of them.
    """

    found: tuple[Found, ...]
    listed: frozenset[str]
    sought: frozenset[str]
    blind: dict[str, str]


def scan(paths: Sequence[str], *, bytes_max: int, files_max: int = FILES_MAX) -> Scan:
    """Look at directories and single files. Never raises for what is there."""
    found: dict[str, Found] = {}
    listed: set[str] = set()
    sought: set[str] = set()
    blind: dict[str, str] = {}
    for path in map(os.path.normpath, paths):
        try:
            is_directory = os.path.isdir(path)
            look = _list(path, bytes_max, files_max) if is_directory else [_seek(path, bytes_max)]
            for one in look:
                found.setdefault(os.path.abspath(one.file), one)
            (listed if is_directory else sought).add(path)
        except Unsafe as error:
            blind[path] = str(error)
        except OSError as error:
            blind[path] = f"cannot be read: {error.strerror}"
    return Scan(found=tuple(found.values()), listed=frozenset(listed), sought=frozenset(sought), blind=blind)


def _list(path: str, bytes_max: int, files_max: int) -> list[Found]:
    with _Directory(path, shared=False) as folder:
        return folder.manifests(bytes_max, files_max)


def _seek(path: str, bytes_max: int) -> Found:
    with _Directory(os.path.dirname(path) or ".", shared=True) as folder:
        one = folder.read(os.path.basename(path), path, bytes_max)
    return one or Found(file=path, directory=folder.absolute, refused="there is no such file or directory", absent=True)


class _Directory:
    """An open directory; what is read in it is read through its descriptor, wherever its name leads meanwhile.

    `shared` takes a directory such as /tmp, in which others can write but not replace what is ours.
    """

    def __init__(self, path: str, *, shared: bool) -> None:
        self._path = path
        self.absolute = os.path.abspath(path)
        self._fd = os.open(path, _OPEN | os.O_DIRECTORY)
        try:
            status = os.fstat(self._fd)
            if not (shared and status.st_mode & stat.S_ISVTX):
                _check_owner(status, path)
        except Unsafe:
            os.close(self._fd)
            raise

    def __enter__(self) -> "_Directory":
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._fd)

    def manifests(self, bytes_max: int, files_max: int) -> list[Found]:
        """Every manifest, by name.

        Raises:
            Unsafe: there are too many.
        """
        names = sorted(name for name in os.listdir(self._fd) if is_manifest(name))
        if len(names) > files_max:
            raise Unsafe(f"more than {files_max} manifests in one directory; split it")
        read = (self.read(name, os.path.join(self._path, name), bytes_max) for name in names)
        return [one for one in read if one is not None]

    def read(self, name: str, path: str, bytes_max: int) -> Found | None:
        """One file; None when it is not there (any more)."""
        try:
            raw = self._bytes(name, path, bytes_max)
        except FileNotFoundError:
            return None
        except Unsafe as error:
            return Found(file=path, directory=self.absolute, refused=str(error))
        except OSError as error:
            return Found(file=path, directory=self.absolute, refused=f"cannot be read: {error.strerror}")
        return Found(file=path, directory=self.absolute, raw=raw)

    def _bytes(self, name: str, path: str, bytes_max: int) -> bytes:
        _check_kind(os.stat(name, dir_fd=self._fd, follow_symlinks=False))
        fd = os.open(name, _OPEN | os.O_NOFOLLOW, dir_fd=self._fd)
        with os.fdopen(fd, "rb") as file:
            status = os.fstat(fd)
            _check_kind(status)
            _check_owner(status, path)
            return file.read(bytes_max + 1)


def is_manifest(name: str) -> bool:
    """Whether a name in a directory is read: not hidden, not an editor's copy, with one of our suffixes."""
    return name.endswith(SUFFIXES) and not name.startswith((".", "#"))


def _check_kind(status: os.stat_result) -> None:
    if stat.S_ISLNK(status.st_mode):
        raise Unsafe("is a symbolic link, which is not followed; put the file itself here")
    if not stat.S_ISREG(status.st_mode):
        raise Unsafe("is not a regular file; move it away")


def _check_owner(status: os.stat_result, path: str) -> None:
    if status.st_uid not in (0, os.geteuid()):
        raise Unsafe(f"belongs to user {status.st_uid}; it must belong to root or to the user who runs PitCrew")
    if status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        mode, name = stat.S_IMODE(status.st_mode), printable(clean(path, 256), lines=False)
        raise Unsafe(f"others can write it (mode {mode:04o}); run: chmod go-w {name}")
