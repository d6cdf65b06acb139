"""Files under a working directory, reached without following a symbolic link in any component.

Everything here blocks for a moment and belongs in a worker thread. What PitCrew removes is kept under
`STATE/undo`, one file per target and path: a line of JSON, then the bytes.
"""

import contextlib
import errno
import hashlib
import json
import os
import stat
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from pitcrew.adapters.runtime.process import shim
from pitcrew.core.errors import EffectFailed, Refused, Unavailable

LINKS = (errno.ELOOP, errno.ENOTDIR)
"""What opening answers where a component is a symbolic link."""
DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW


@dataclass(frozen=True, kw_only=True, slots=True)
class Kept:
    """What an undo needs to know of a removed file; `mtime_ns`, `inode` and `device` tell it from a later one."""

    path: str
    uid: int
    gid: int
    mode: int
    size: int
    inode: int
    device: int
    mtime_ns: int
    sha256: str


def relative_parts(working_dir: str, path: str) -> tuple[str, ...]:
    """The components of a declared path below the working directory. Raises: Refused when it is not inside."""
    root = Path(os.path.normpath(working_dir))
    below = Path(path)
    if below.is_absolute():
        if not below.is_relative_to(root):
            raise Refused(f"{path}: is not inside the working directory {root}")
        below = below.relative_to(root)
    if not below.parts or ".." in below.parts:
        raise Refused(f"{path}: is not a file inside the working directory {root}")
    return below.parts


@contextlib.contextmanager
def parent_of(working_dir: str, parts: tuple[str, ...]) -> Iterator[int]:
    """The opened directory that holds a file. Raises: OSError, ELOOP or ENOTDIR for a symbolic link on the way."""
    directory = os.open(working_dir, os.O_RDONLY | os.O_DIRECTORY)
    try:
        for part in parts[:-1]:
            deeper = os.open(part, DIRECTORY, dir_fd=directory)
            os.close(directory)
            directory = deeper
        yield directory
    finally:
        os.close(directory)


def status(working_dir: str, path: str) -> os.stat_result | None:
    """The file itself, links not followed; None when it is not there. Raises: OSError, Refused."""
    parts = relative_parts(working_dir, path)
    try:
        with parent_of(working_dir, parts) as directory:
            return os.stat(parts[-1], dir_fd=directory, follow_symlinks=False)
    except FileNotFoundError:
        return None


def read(working_dir: str, path: str, *, bytes_max: int) -> tuple[Kept, bytes]:
    """A regular file with all that an undo needs.

    Raises:
        Refused: it is absent, no regular file, behind a link, or larger than can be kept.
    """
    parts = relative_parts(working_dir, path)
    try:
        with parent_of(working_dir, parts) as directory:
            file = os.open(parts[-1], os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=directory)
    except FileNotFoundError:
        raise Refused(f"{path}: is not there") from None
    except OSError as problem:
        what = "is not a regular file" if problem.errno in LINKS else "cannot be kept for the undo"
        raise Refused(f"{path}: {what} ({problem.strerror})") from problem
    with open(file, "rb") as source:
        is_now = os.fstat(source.fileno())
        if not stat.S_ISREG(is_now.st_mode):
            raise Refused(f"{path}: is not a regular file")
        content = source.read(bytes_max + 1)
    if len(content) > bytes_max:
        raise Refused(f"{path}: is larger than the {bytes_max} bytes that can be kept for the undo")
    return _kept(path, is_now, content), content


def _kept(path: str, is_now: os.stat_result, content: bytes) -> Kept:
    return Kept(
        path=path,
        uid=is_now.st_uid,
        gid=is_now.st_gid,
        mode=stat.S_IMODE(is_now.st_mode),
        size=len(content),
        inode=is_now.st_ino,
        device=is_now.st_dev,
        mtime_ns=is_now.st_mtime_ns,
        sha256=hashlib.sha256(content).hexdigest(),
    )


def same(is_now: os.stat_result, *, inode: int, device: int, size: int, mtime_ns: int) -> bool:
    """Whether this is still the file that was kept, unchanged."""
    now = (is_now.st_ino, is_now.st_dev, is_now.st_size, is_now.st_mtime_ns)
    return now == (inode, device, size, mtime_ns)


def remove(working_dir: str, path: str, *, inode: int, device: int, size: int, mtime_ns: int) -> None:
    """Unlink exactly the file that was kept.

    Raises:
        Refused: it is gone or another; nothing was touched.
        EffectFailed: it cannot be removed.
    """
    parts = relative_parts(working_dir, path)
    try:
        with parent_of(working_dir, parts) as directory:
            is_now = os.stat(parts[-1], dir_fd=directory, follow_symlinks=False)
            unchanged = same(is_now, inode=inode, device=device, size=size, mtime_ns=mtime_ns)
            if not (unchanged and stat.S_ISREG(is_now.st_mode)):
                raise Refused(f"{path}: was changed since it was kept; nothing was removed")
            os.unlink(parts[-1], dir_fd=directory)
            os.fsync(directory)
    except FileNotFoundError:
        raise Refused(f"{path}: is not there any more; nothing was removed") from None
    except OSError as problem:
        raise EffectFailed(f"{path}: cannot be removed ({problem.strerror})") from problem


def restore(working_dir: str, kept: Kept, content: bytes) -> None:
    """Put a file back with owner and mode, complete before its name appears; never over another one.

    Raises:
        EffectFailed: something has that name by now, or it cannot be written.
    """
    parts = relative_parts(working_dir, kept.path)
    name = parts[-1]
    temporary = f".{hashlib.sha256(name.encode()).hexdigest()[:16]}.pitcrew-restore"
    try:
        with parent_of(working_dir, parts) as directory:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(temporary, dir_fd=directory)
            try:
                _write(temporary, directory, kept, content)
                os.link(temporary, name, src_dir_fd=directory, dst_dir_fd=directory, follow_symlinks=False)
            finally:
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(temporary, dir_fd=directory)
            os.fsync(directory)
    except OSError as problem:
        raise EffectFailed(f"{kept.path}: cannot be put back ({problem.strerror})") from problem


def _write(name: str, directory: int, kept: Kept, content: bytes) -> None:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
    with open(os.open(name, flags, 0o600, dir_fd=directory), "wb") as out:
        out.write(content)
        out.flush()
        is_now = os.fstat(out.fileno())
        if (is_now.st_uid, is_now.st_gid) != (kept.uid, kept.gid):
            os.fchown(out.fileno(), kept.uid, kept.gid)
        os.fchmod(out.fileno(), kept.mode)
        os.fsync(out.fileno())


def keep(folder: Path, kept: Kept, content: bytes) -> None:
    """Write what an undo needs, durably and for our own user only. Raises: Unavailable."""
    place = place_of(folder, kept.path)
    temporary = place.with_suffix(".tmp")
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW
        with open(os.open(temporary, flags, 0o600), "wb") as out:
            out.write(json.dumps(asdict(kept)).encode() + b"\n" + content)
            out.flush()
            os.fsync(out.fileno())
        os.replace(temporary, place)
        shim.sync_directory(str(folder))
        shim.sync_directory(str(folder.parent))
    except OSError as problem:
        raise Unavailable(f"{place}: the undo cannot be kept ({problem.strerror}); nothing was removed") from problem


def recall(folder: Path, path: str) -> tuple[Kept, bytes]:
    """What was kept of a path. Raises: Refused when nothing was, or it is damaged."""
    place = place_of(folder, path)
    try:
        head, _, content = place.read_bytes().partition(b"\n")
        kept = Kept(**json.loads(head))
    except FileNotFoundError:
        raise Refused(f"{path}: nothing was kept of it, so it cannot be put back") from None
    except (OSError, ValueError, TypeError) as problem:
        raise Refused(f"{place}: what was kept of {path} cannot be read ({problem})") from problem
    if hashlib.sha256(content).hexdigest() != kept.sha256 or kept.path != path:
        raise Refused(f"{place}: what was kept of {path} is damaged")
    return kept, content


def place_of(folder: Path, path: str) -> Path:
    """Where what an undo needs of a path is kept."""
    return folder / f"{hashlib.sha256(path.encode()).hexdigest()[:32]}.kept"
