"""What a removed file was, kept durably so that it can be put back: bytes, owner, mode.

Layout: STATE/undo/TARGET_ID/SHA256(PATH)/{SHA256(BYTES).bytes, kept.json}; directories 0700, files 0600. `kept.json`
is replaced last and atomically, so that it never names bytes that are not on disk. Contents may be secrets: they are
read only to be put back.
"""

import hashlib
import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path

from pitcrew.core.errors import Refused


@dataclass(frozen=True, kw_only=True, slots=True)
class Kept:
    """One file as it was. `mtime` in seconds; `mode` are the permission bits."""

    path: str
    data: bytes
    uid: int
    gid: int
    mode: int
    mtime: float


class Keepsakes:
    """Removed files by target and path, under one state directory."""

    def __init__(self, state_dir: Path) -> None:
        self._root = state_dir / "undo"

    def keep(self, target_id: str, kept: Kept) -> None:
        """Write a file down durably; a former one of the same place is replaced.

        Raises:
            Refused: it cannot be kept, and so must not be removed.
        """
        try:
            place = self._place(target_id, kept.path)
            _make(place)
            name = f"{hashlib.sha256(kept.data).hexdigest()}.bytes"
            _write(place / name, kept.data)
            about = {key: value for key, value in asdict(kept).items() if key != "data"} | {"bytes": name}
            _write(place / "kept.json", json.dumps(about).encode())
            for old in place.glob("*.bytes"):
                if old.name != name:
                    old.unlink()
        except OSError as error:
            raise Refused(f"{self._root}: {kept.path!r} cannot be kept for the undo: {error.strerror}") from error

    def find(self, target_id: str, path: str) -> Kept | None:
        """What was kept of a path, or None.

        Raises:
            Refused: it was kept, and cannot be read any more.
        """
        place = self._place(target_id, path)
        try:
            about = json.loads((place / "kept.json").read_bytes())
            name = str(about.pop("bytes"))
            data = (place / Path(name).name).read_bytes()
            if about["path"] != path or f"{hashlib.sha256(data).hexdigest()}.bytes" != name:
                raise Refused(f"{place}: what was kept of {path!r} has been changed; put the file back by hand")
            return Kept(data=data, **about)
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise Refused(f"{place}: what was kept of {path!r} cannot be read: {type(error).__name__}") from error

    def _place(self, target_id: str, path: str) -> Path:
        if not target_id.isalnum():
            raise Refused(f"{target_id[:80]!r} is not the id of a container")
        return self._root / target_id / hashlib.sha256(path.encode()).hexdigest()


def _make(place: Path) -> None:
    for directory in (place.parent.parent, place.parent, place):
        try:
            directory.mkdir(mode=0o700)
        except FileExistsError:
            continue
        _sync(directory.parent)


def _write(path: Path, data: bytes) -> None:
    draft = path.with_name(f".{path.name}.draft")
    draft.unlink(missing_ok=True)
    file = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    with os.fdopen(file, "wb") as out:
        out.write(data)
        out.flush()
        os.fsync(out.fileno())
    draft.replace(path)
    _sync(path.parent)


def _sync(directory: Path) -> None:
    file = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(file)
    finally:
        os.close(file)
