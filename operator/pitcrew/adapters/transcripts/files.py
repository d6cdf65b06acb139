"""Transcripts as files: `DIRECTORY/INCIDENT.DIGEST.json`, for their owner's eyes only.

The time of a file is the trusted time of its question, so that a wall clock that jumps removes nothing early.
"""

import asyncio
import os
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from pitcrew.adapters.durable import make_directory, replace
from pitcrew.core.errors import InvalidInput, Unavailable
from pitcrew.core.transcript import TRANSCRIPT_BYTES_MAX, Transcript, from_bytes, to_bytes

DIRECTORY_MODE = 0o700
FILE_MODE = 0o600
DIGEST_CHARS = 16
"""Characters of the prompt's digest in a name; one incident has a handful of questions."""

_INCIDENT = re.compile(r"[a-z0-9](?:[-a-z0-9]{0,126}[a-z0-9])?")
_DIGEST = re.compile(r"[0-9a-f]{64}")
_NAME = re.compile(
    rf"{_INCIDENT.pattern}\.[0-9a-f]{{{DIGEST_CHARS}}}\.json|\.{_INCIDENT.pattern}\.[0-9a-f]+\.json\.partial"
)
"""Our own files, and what a crash leaves of one."""


def transcript_path(directory: Path, incident: str, prompt_digest: str) -> Path:
    """Where the transcript of a question is. Raises InvalidInput where its ids cannot be a file name."""
    if not _INCIDENT.fullmatch(incident):
        raise InvalidInput(f"{incident[:80]!r} is no incident id, such as victim-7; `pitcrew incidents` lists them")
    if not _DIGEST.fullmatch(prompt_digest):
        raise InvalidInput(f"{prompt_digest[:80]!r} is no digest of a prompt: 64 hex digits")
    return directory / f"{incident}.{prompt_digest[:DIGEST_CHARS]}.json"


def read_transcript(directory: Path, incident: str, prompt_digest: str) -> Transcript | None:
    """The transcript of a question; None where none is kept.

    Raises:
        InvalidInput: its ids cannot be a file name.
        Unavailable: it is there and cannot be read.
    """
    path = transcript_path(directory, incident, prompt_digest)
    try:
        with open(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
            found = from_bytes(file.read(TRANSCRIPT_BYTES_MAX + 1))
    except FileNotFoundError:
        return None
    except OSError as error:
        raise Unavailable(f"{path}: the transcript cannot be read ({error.strerror}); use its owner's user") from None
    except ValueError:
        raise Unavailable(f"{path}: this is no transcript; it was changed or cut") from None
    if (found.incident, found.prompt_digest) != (incident, prompt_digest):
        raise Unavailable(f"{path}: this is the transcript of another question; it was changed or moved")
    return found


class TranscriptFiles:
    """The Transcripts port on disk."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    async def keep(self, transcript: Transcript) -> None:
        """See `pitcrew.ports.Transcripts`."""
        try:
            path = transcript_path(self._directory, transcript.incident, transcript.prompt_digest)
            raw = to_bytes(transcript)
            await asyncio.to_thread(self._write, path, raw, transcript.asked_at)
        except (InvalidInput, ValueError) as error:
            raise Unavailable(f"the transcript cannot be kept: {error}") from None
        except OSError as error:
            raise Unavailable(f"the transcript cannot be kept in {self._directory}: {error.strerror}") from None

    async def prune(self, before: datetime) -> int:
        """See `pitcrew.ports.Transcripts`."""
        try:
            return await asyncio.to_thread(self._prune, before)
        except OSError as error:
            raise Unavailable(f"{self._directory}: old transcripts cannot be removed ({error.strerror})") from None

    def _write(self, path: Path, raw: bytes, at: datetime) -> None:
        make_directory(self._directory, DIRECTORY_MODE)
        replace(path, raw, mode=FILE_MODE, sync=False)
        os.utime(path, (at.timestamp(), at.timestamp()), follow_symlinks=False)

    def _prune(self, before: datetime) -> int:
        old = [path for path, at in self._kept() if at < before]
        for path in old:
            path.unlink(missing_ok=True)
        return len(old)

    def _kept(self) -> Iterator[tuple[Path, datetime]]:
        """Our own files and their times; whatever else lies there is left alone."""
        if not self._directory.is_dir():
            return
        for entry in os.scandir(self._directory):
            if _NAME.fullmatch(entry.name) and entry.is_file(follow_symlinks=False):
                yield Path(entry.path), datetime.fromtimestamp(entry.stat(follow_symlinks=False).st_mtime, UTC)
