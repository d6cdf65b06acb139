"""Transcripts in memory, and a disk that is full when a test says so."""

from datetime import datetime

from pitcrew.core.errors import Unavailable
from pitcrew.core.transcript import Transcript, from_bytes, to_bytes


class FakeTranscripts:
    """`Transcripts` in memory, by incident and digest of the prompt; `full` says why nothing can be kept."""

    def __init__(self) -> None:
        self.kept: dict[tuple[str, str], Transcript] = {}
        self.full = ""

    async def keep(self, transcript: Transcript) -> None:
        """See `pitcrew.ports.Transcripts`."""
        if self.full:
            raise Unavailable(self.full)
        self.kept[transcript.incident, transcript.prompt_digest] = from_bytes(to_bytes(transcript))

    async def prune(self, before: datetime) -> int:
        """See `pitcrew.ports.Transcripts`."""
        if self.full:
            raise Unavailable(self.full)
        old = [key for key, transcript in self.kept.items() if transcript.asked_at < before]
        for key in old:
            del self.kept[key]
        return len(old)
