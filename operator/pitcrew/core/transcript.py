"""A transcript: what a model was sent about an incident and what it answered, kept beside the journal for people.

The journal holds what was chosen, and digests; a transcript holds the words. It is redacted, bounded and kept for some
days, and nothing is decided by it.
"""

from dataclasses import dataclass
from datetime import datetime

from pydantic import TypeAdapter

from pitcrew.core.opinion import ANSWER_BYTES_MAX
from pitcrew.core.prompt import Message
from pitcrew.core.untrusted import clean

TRANSCRIPT_BYTES_MAX = 256 * 1024
"""Bytes of one transcript: twice a prompt and an answer of their own bounds, spelt as JSON."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Turn:
    """One call: the messages beside those sent before, the way structured output was asked for, and what came of it.

    `trouble` says why there is no answer, or why it was not taken; both are empty where nothing came so far.
    """

    sent: tuple[Message, ...]
    way: str = ""
    answer: str = ""
    trouble: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Transcript:
    """One question of one incident; `left_out` tells what of the evidence it did not show."""

    incident: str
    model: str
    prompt_digest: str
    asked_at: datetime
    turns: tuple[Turn, ...]
    left_out: tuple[str, ...] = ()


def answer_kept(text: str) -> str:
    """An answer as it came, but for secrets, control characters and what is beyond the bound."""
    return clean(text, ANSWER_BYTES_MAX)


_TRANSCRIPT: TypeAdapter[Transcript] = TypeAdapter(Transcript)


def to_bytes(transcript: Transcript) -> bytes:
    """It as JSON.

    Raises:
        ValueError: it is larger than `TRANSCRIPT_BYTES_MAX`.
    """
    raw = _TRANSCRIPT.dump_json(transcript)
    if len(raw) > TRANSCRIPT_BYTES_MAX:
        raise ValueError(f"a transcript of {len(raw)} bytes, above {TRANSCRIPT_BYTES_MAX}")
    return raw


def from_bytes(raw: bytes) -> Transcript:
    """What `to_bytes` wrote.

    Raises:
        ValueError: it is no transcript.
    """
    return _TRANSCRIPT.validate_json(raw)
