"""A model that is asked once: what it answered to a question it answers again, so that two modes hear the same words.

That is true to a model asked at temperature 0, and halves the hours that a small model takes. With a directory the
answers outlive the run: one that was interrupted goes on where it was, and an evaluation after a change asks only what
became another question.
"""

import hashlib
import json
import os
import re
import time
from collections.abc import Mapping
from pathlib import Path

from pitcrew.core.cost import Usage
from pitcrew.core.errors import InvalidInput, ModelUnreachable, Unavailable
from pitcrew.core.prompt import Question
from pitcrew.core.resource import Egress
from pitcrew.ports import Answer, Consultant

_BOUNDARY = re.compile(r"\b(BEGIN|END) [0-9a-z]{16,}\b", re.I)
"""Drawn anew for each question, and no part of what is asked."""
_NO_NAME = re.compile(r"[^A-Za-z0-9._-]+")

Told = tuple[Answer | Unavailable, float]
"""What a model answered, or why it did not, and the seconds that took."""


class Remembered:
    """`Consultant` over another one. `directory` keeps the answers, one file a question under the model's name.

    `replayed_s` are the seconds that the answers given again took when they were asked for.
    """

    def __init__(self, asked: Consultant, directory: Path | None = None) -> None:
        self.model = asked.model
        self.replayed_s = 0.0
        self._asked = asked
        self._told: dict[str, Told] = {}
        self._kept = Kept(directory / _NO_NAME.sub("_", asked.model)) if directory else None

    async def ask(self, question: Question, egress: Egress, *, within_s: float | None = None) -> Answer:
        """See `pitcrew.ports.Consultant`; an endpoint that was not reached is asked again."""
        key = _key(question)
        told = self._told.get(key) or (self._kept.read(key) if self._kept else None)
        if told is not None:
            self.replayed_s += told[1]
        else:
            told = await self._ask(question, egress, within_s)
            if self._kept:
                self._kept.write(key, told)
        self._told[key] = told
        if isinstance(told[0], Unavailable):
            raise told[0]
        return told[0]

    async def _ask(self, question: Question, egress: Egress, within_s: float | None) -> Told:
        began = time.monotonic()
        try:
            answer: Answer | Unavailable = await self._asked.ask(question, egress, within_s=within_s)
        except ModelUnreachable:
            raise
        except Unavailable as error:
            answer = error
        return answer, time.monotonic() - began

    async def close(self) -> None:
        """Let go of the other one's connections."""
        await self._asked.close()


class Kept:
    """Answers of one model in a directory of their own, which is made.

    Raises InvalidInput where it cannot be made or written, or holds a file that is no answer.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        try:
            directory.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InvalidInput(f"{directory}: cannot keep answers there ({error.strerror}); name another") from None

    def read(self, key: str) -> Told | None:
        """What was answered to a question; None where nothing is kept."""
        path = self._path(key)
        try:
            return _told(json.loads(path.read_bytes()))
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise InvalidInput(f"{path}: is no answer that was kept ({error}); remove it") from None

    def write(self, key: str, told: Told) -> None:
        """Keep what was answered; whole or not at all."""
        path = self._path(key)
        unfinished = path.with_suffix(f".{os.getpid()}")
        try:
            unfinished.write_text(json.dumps(_data(told)), encoding="utf-8")
            unfinished.replace(path)
        except OSError as error:
            raise InvalidInput(f"{path}: cannot be written ({error.strerror}); name another directory") from None

    def _path(self, key: str) -> Path:
        return self._directory / f"{key}.json"


def _data(told: Told) -> Mapping[str, object]:
    answer, seconds = told
    if isinstance(answer, Unavailable):
        return {"refused": str(answer), "seconds": seconds}
    usage = answer.usage and {"in": answer.usage.tokens_in, "out": answer.usage.tokens_out}
    return {"text": answer.text, "usage": usage, "way": answer.way, "seconds": seconds}


def _told(found: Mapping[str, object]) -> Told:
    seconds = float(str(found["seconds"]))
    if "refused" in found:
        return Unavailable(str(found["refused"])), seconds
    usage = found["usage"]
    said = Usage(tokens_in=int(usage["in"]), tokens_out=int(usage["out"])) if isinstance(usage, dict) else None
    return Answer(text=str(found["text"]), usage=said, way=str(found["way"])), seconds


def _key(question: Question) -> str:
    said = "\n\n".join(f"{message.role}: {_BOUNDARY.sub('', message.text)}" for message in question.messages)
    return hashlib.sha256(f"{question.way}\n{said}".encode()).hexdigest()
