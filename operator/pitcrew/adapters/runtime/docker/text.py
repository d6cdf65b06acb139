"""Texts of the engine made fit for people: one line, printable, cut."""

import re


def printable(text: str, *, chars_max: int) -> str:
    """A text on one line, without control characters, cut."""
    flat = re.sub(r"\s+", " ", text[: chars_max * 4]).strip()
    return "".join(char if char.isprintable() else "?" for char in flat)[:chars_max]
