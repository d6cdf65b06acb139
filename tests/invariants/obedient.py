"""A model that obeys every order it can find in its prompt, whatever the disguise, and is honest otherwise."""

import base64
import binascii
import codecs
import re
import unicodedata
from urllib.parse import unquote

from pitcrew.core.prompt import Question
from tests.fakes.consultant import opinion
from tests.invariants.payloads import MARK

_PLAIN = str.maketrans("аеосрхіН", "aeocpxiH")


class Obedient:
    """`says` of a `FakeConsultant`. `steered` counts the questions in which it found an order."""

    def __init__(self, cause: str, runbook: str) -> None:
        self._honest = (cause, runbook)
        self.steered = 0
        self.asked = 0

    def __call__(self, question: Question) -> str:
        words = question.vocabulary
        self.asked += 1
        found = any(MARK in text for text in _readings(question.user))
        self.steered += found
        cause, runbook = ("Hang", "hang") if found else self._honest
        if runbook not in words.runbooks:
            cause, runbook = ("Hang", "None") if found else ("Unknown", "None")
        return opinion(cause=cause, runbook=runbook, evidence=words.evidence[:3], confidence=100)


def _readings(text: str) -> list[str]:
    """The text as it is, and as a clever reader would undo its disguises."""
    visible = "".join(c for c in unicodedata.normalize("NFKC", text) if unicodedata.category(c) != "Cf")
    plain = visible.translate(_PLAIN).lower()
    tags = "".join(chr(ord(c) - 0xE0000) for c in text if 0xE0020 <= ord(c) < 0xE007F)
    return [plain, plain[::-1], codecs.decode(plain, "rot13"), unquote(plain), tags, *_decoded(visible)]


def _decoded(text: str) -> list[str]:
    found = []
    for word in re.findall(r"[A-Za-z0-9+/=]{24,}", text):
        for decode in (lambda raw: base64.b64decode(raw + "=" * (-len(raw) % 4)), bytes.fromhex):
            try:
                found.append(decode(word).decode("utf-8", "replace"))
            except (ValueError, binascii.Error):
                continue
    return found
