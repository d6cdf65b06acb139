"""Transcripts on disk: for their owner's eyes, under checked names, and never trusted when read back."""

import asyncio
import os
import time
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from pitcrew.adapters.transcripts.files import TranscriptFiles, read_transcript, transcript_path
from pitcrew.core.errors import InvalidInput, Unavailable
from pitcrew.core.transcript import TRANSCRIPT_BYTES_MAX
from tests.ports.test_transcripts import ASKED, AT

DIGEST = ASKED.prompt_digest


def test_only_its_owner_may_read_it(tmp_path: Path) -> None:
    asyncio.run(TranscriptFiles(tmp_path / "model").keep(ASKED))
    (path,) = (tmp_path / "model").iterdir()
    assert path.name == f"victim-7.{DIGEST[:16]}.json"
    assert (tmp_path / "model").stat().st_mode & 0o777 == 0o700
    assert path.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    ("incident", "digest"),
    [
        *[(one, DIGEST) for one in ("../victim-7", "a/b", "", ".", "victim-7\n", "Victim-7", "x" * 200)],
        *[("victim-7", one) for one in ("", "../" * 22, "AB" * 32, "ab" * 31, "ab" * 32 + "\n")],
    ],
    ids=repr,
)
def test_ids_that_are_no_file_name_are_refused(tmp_path: Path, incident: str, digest: str) -> None:
    with pytest.raises(InvalidInput):
        transcript_path(tmp_path, incident, digest)
    with pytest.raises(Unavailable):
        asyncio.run(TranscriptFiles(tmp_path / "model").keep(replace(ASKED, incident=incident, prompt_digest=digest)))
    assert list(tmp_path.iterdir()) == []


UNREADABLE = {
    "no JSON": b"not a transcript",
    "another object": b'{"incident": "victim-7"}',
    "cut short": b'{"incident": "victim-7", "model"',
    "nested without end": b"[" * 100_000,
    "too large": b'{"x": "' + b"y" * TRANSCRIPT_BYTES_MAX + b'"}',
    "not text": b"\xff\xfe",
}


@pytest.mark.parametrize("raw", UNREADABLE.values(), ids=UNREADABLE)
def test_a_file_that_was_changed_is_told_as_such(tmp_path: Path, raw: bytes) -> None:
    transcript_path(tmp_path, "victim-7", DIGEST).write_bytes(raw)
    with pytest.raises(Unavailable, match="this is no transcript"):
        read_transcript(tmp_path, "victim-7", DIGEST)


def test_the_transcript_of_another_question_under_its_name_is_told(tmp_path: Path) -> None:
    asyncio.run(TranscriptFiles(tmp_path).keep(ASKED))
    transcript_path(tmp_path, "victim-7", DIGEST).rename(transcript_path(tmp_path, "victim-8", DIGEST))
    with pytest.raises(Unavailable, match="of another question"):
        read_transcript(tmp_path, "victim-8", DIGEST)


@pytest.mark.parametrize("kind", ["link", "pipe", "directory"])
def test_what_is_no_plain_file_is_neither_followed_nor_waited_for(tmp_path: Path, kind: str) -> None:
    path = transcript_path(tmp_path, "victim-7", DIGEST)
    match kind:
        case "link":
            path.symlink_to("/etc/hostname")
        case "pipe":
            os.mkfifo(path)
        case _:
            path.mkdir()
    with pytest.raises(Unavailable):
        read_transcript(tmp_path, "victim-7", DIGEST)


def test_only_our_own_old_files_are_removed_by_trusted_time(tmp_path: Path) -> None:
    files = TranscriptFiles(tmp_path)
    asyncio.run(files.keep(replace(ASKED, asked_at=AT + timedelta(days=400_000))))
    asyncio.run(files.keep(replace(ASKED, incident="victim-8")))
    for name in ("notes.txt", f"Victim-9.{DIGEST[:16]}.json", ".partial"):
        (tmp_path / name).write_text("mine")
        os.utime(tmp_path / name, (0, 0))
    assert time.time() > AT.timestamp()
    assert asyncio.run(files.prune(AT + timedelta(days=1))) == 1
    left = sorted(path.name for path in tmp_path.iterdir())
    assert left == sorted(["notes.txt", f"Victim-9.{DIGEST[:16]}.json", ".partial", f"victim-7.{DIGEST[:16]}.json"])


def test_a_place_that_cannot_be_written_or_looked_at_is_told(tmp_path: Path) -> None:
    (tmp_path / "model").write_text("a file")
    with pytest.raises(Unavailable, match="cannot be kept"):
        asyncio.run(TranscriptFiles(tmp_path / "model").keep(ASKED))
    loop = tmp_path / "loop"
    loop.symlink_to(loop)
    with pytest.raises(Unavailable, match="cannot be kept"):
        asyncio.run(TranscriptFiles(loop).keep(ASKED))
