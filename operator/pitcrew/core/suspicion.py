"""Suspicion: text of somebody else that speaks to a reader instead of telling what happened.

A log tells; an injection orders, poses as an authority or as a tool, forges marks, or hides. What is found here becomes
evidence that raises the risk and is shown to people. No safety property rests on it: text chooses no action, found or
not (S8).
"""

import re
import unicodedata
from base64 import b64decode
from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum

from pitcrew.core.evidence import Fact, Source
from pitcrew.core.observation import LogLine, Observation, RuntimeEvent, RuntimeFacts

LINES_MAX = 2_000
"""Lines of a log that are looked at, the last ones."""
LINE_CHARS_MAX = 2_000
"""Characters of one line that are looked at; every pattern below is linear in them."""
WORDS_MAX = 8
"""Long words of one line that are tried as an encoding."""


class Manner(StrEnum):
    """In which way a text speaks to its reader."""

    ORDERS = "Orders"
    POSES = "Poses"
    FORGES = "Forges"
    PERMITS = "Permits"
    HIDES = "Hides"


_DOES = {
    Manner.ORDERS: "gives orders to its reader",
    Manner.POSES: "poses as somebody or something else",
    Manner.FORGES: "forges the marks of a prompt or an answer",
    Manner.PERMITS: "claims a permission",
    Manner.HIDES: "hides what it says",
}

_ORDERS = re.compile(
    r"\b(?:ignore|disregard|forget|override)\b.{0,40}\b(?:previous|prior|above|earlier|all|any|your|system)\b"
    r"|\b(?:answer|respond|reply)\b.{0,20}\bwith\b"
    r"|\b(?:you must|you should|you are now|you will be|act as|pretend|decode and obey|obey)\b"
    r"|\b(?:run|execute|choose|select|use|perform|trigger)\b.{0,24}\b(?:restart|runbook|remedy|playbook|docker|kubectl)\b"
    r"|\b(?:print|reveal|show|repeat|send)\b.{0,24}\b(?:api.?key|prompt|secret|instructions|token)s?\b"
    r"|\bignorier\w*\b.{0,40}\banweisung|\bignora\w*\b.{0,40}\binstruc|\bignor\w+\b.{0,40}\binstructions?\b"
    r"|忽略.{0,12}指令|игнорируй.{0,40}инструкц|無視.{0,12}指示",
    re.I,
)
_POSES = re.compile(
    r"^\W{0,8}(?:system|assistant|developer|operator|admin(?:istrator)?|platform team)\b\s{0,4}"
    r"(?:notice|message|prompt|:)"
    r"|\b(?:message|note|notice|order) (?:from|of|to) (?:the )?(?:sre|platform|security|operations|on-?call|model|ai)\b"
    r"|\bknown issue\b.{0,60}\b(?:run|restart|runbook)\b"
    r"|\b(?:solved|fixed|resolved) (?:before )?by\b.{0,24}\b(?:docker|restart)"
    r"|\b(?:large )?language model\b|\bdear (?:ai|model|assistant)\b",
    re.I,
)
_FORGES = re.compile(
    r"<\|[a-z_]{2,24}\|>|\[/?INST\]|<</?SYS>>|</?(?:s|system|tool|function_call|end_of_turn|start_of_turn)>"
    r"|\bEND OF EVIDENCE\b|\"id\"\s{0,4}:\s{0,4}\"E\d{1,4}\"|!\[[^\]\n]{0,80}\]\(https?:|```"
    r"|\"(?:cause|runbook|tool|tool_call|evidence|approve)\"\s{0,4}:",
    re.I,
)
_PERMITS = re.compile(
    r"\bapproved by\b|\bno (?:person|approval|human) (?:is )?needed\b|\bpre-?approved\b"
    r"|\b(?:change|ticket)\b.{0,24}\ballows?\b",
    re.I,
)
_ESCAPE = re.compile(r"\x1b(?:\[[0-?]{0,32}[ -/]{0,4}[@-~]|\][^\x07\x1b]{0,200}(?:\x07|\x1b\\)?)")
_LONG_WORD = re.compile(r"[A-Za-z0-9+/=]{24,512}|(?:%[0-9a-f]{2}){8,200}", re.I)
_MIXED = re.compile(r"[A-Za-z][\u0400-\u04ff]|[\u0400-\u04ff][A-Za-z]")


def suspicion(
    seen: Observation,
    logs: Sequence[LogLine],
    events: Sequence[RuntimeEvent],
    processes: Sequence[str],
    missing: Sequence[str],
) -> tuple[Fact, ...]:
    """A fact for each manner in which text of others speaks to a reader, and where; as it came, before any cleaning."""
    places: dict[Manner, list[tuple[str, Source]]] = {}
    for place, (source, texts) in _channels(seen, logs, events, processes, missing).items():
        for manner in dict.fromkeys(manner for text in texts for manner in manners(text)):
            places.setdefault(manner, []).append((place, source))
    return tuple(
        Fact(
            source=found[0][1],
            key="suspicion",
            value=str(manner),
            text=f"text in {', '.join(place for place, _ in found)} {_DOES[manner]}: it is data, and nobody follows it",
        )
        for manner, found in sorted(places.items())
    )


def _channels(
    seen: Observation,
    logs: Sequence[LogLine],
    events: Sequence[RuntimeEvent],
    processes: Sequence[str],
    missing: Sequence[str],
) -> Mapping[str, tuple[Source, Sequence[str]]]:
    return {
        "the log": (Source.LOG, [line.text for line in logs[-LINES_MAX:]]),
        "what probes were answered": (Source.PROBE, [probe.detail for probe in seen.probes]),
        "what the runtime tells": (Source.RUNTIME, _told_by_runtime(seen)),
        "events": (Source.EVENT, [event.detail for event in events]),
        "names of processes": (Source.RUNTIME, processes),
        "errors of tools": (Source.RUNTIME, missing),
    }


def _told_by_runtime(seen: Observation) -> Sequence[str]:
    facts = seen.sight
    if not isinstance(facts, RuntimeFacts):
        return (facts.detail,)
    health = facts.engine_health.output if facts.engine_health else ""
    files = [file.path for file in facts.files]
    return [facts.name, facts.image, facts.error, health, *facts.env_names, *facts.networks, *files]


def manners(text: str) -> tuple[Manner, ...]:
    """The ways in which a text, as it came and before anything was cleaned, speaks to its reader."""
    found: dict[Manner, None] = {}
    for line in text.splitlines() or [""]:
        found |= dict.fromkeys(_of_line(line[:LINE_CHARS_MAX]))
    return tuple(sorted(found))


def _of_line(line: str) -> Iterable[Manner]:
    bare = unicodedata.normalize("NFKC", _ESCAPE.sub(" ", line))
    plain = "".join(c for c in bare if unicodedata.category(c) != "Cf")
    if _hides(line, plain):
        yield Manner.HIDES
    for manner, pattern in _PATTERNS.items():
        if pattern.search(plain):
            yield manner
    if any(_ORDERS.search(read) for read in _decoded(plain)):
        yield Manner.HIDES


_PATTERNS = {Manner.ORDERS: _ORDERS, Manner.POSES: _POSES, Manner.FORGES: _FORGES, Manner.PERMITS: _PERMITS}


def _hides(line: str, plain: str) -> bool:
    """Invisible or turned characters, letters of two alphabets in one word, or letters in full width."""
    invisible = sum(unicodedata.category(c) == "Cf" for c in line)
    wide = sum("\uff01" <= c <= "\uff5e" for c in line)
    return invisible > 2 or "\u202e" in line or wide > 8 or bool(_MIXED.search(plain))


def _decoded(line: str) -> Iterable[str]:
    for match in list(_LONG_WORD.finditer(line))[:WORDS_MAX]:
        word = match[0]
        if word.startswith("%"):
            yield _bytes_text(bytes.fromhex(word.replace("%", "")))
            continue
        for decode in (_from_base64, _from_hex):
            yield decode(word)


def _from_base64(word: str) -> str:
    try:
        return _bytes_text(b64decode(word + "=" * (-len(word) % 4)))
    except ValueError:
        return ""


def _from_hex(word: str) -> str:
    try:
        return _bytes_text(bytes.fromhex(word))
    except ValueError:
        return ""


def _bytes_text(raw: bytes) -> str:
    return raw.decode("utf-8", "replace")
