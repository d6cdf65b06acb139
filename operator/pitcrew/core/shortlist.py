"""The shortlist: which runbooks are worth a look, best first, each with why.

Two rankers are joined: the signals that evidence proves, and a search for its words. Neither chooses a remedy; that is
`runbook.retrieve`, by cause and proof alone. The shortlist orders what a model may choose from and what people read.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

from pitcrew.core.evidence import Evidence
from pitcrew.core.runbook import Proof, Runbook, prove
from pitcrew.core.untrusted import bound

RANK_CONSTANT = 60
"""Of reciprocal rank fusion: a place counts 1 / (60 + place), so that being well placed by both rankers beats being
first by one (Cormack, Clarke and Büttcher, SIGIR 2009)."""
ASKED_BYTES_MAX = 8 * 1024
"""Bytes of evidence that are searched for; what tells causes apart stands first."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Hit:
    """A runbook that a search found, and which of the words asked for are in it."""

    runbook: str
    words: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Listed:
    """A runbook on the shortlist: how the evidence stands to it (None where there is none), and the words found."""

    runbook: Runbook
    proof: Proof | None
    words: tuple[str, ...] = ()

    @property
    def applies(self) -> bool:
        """Whether the evidence proves it and no exclusion holds."""
        return self.proof is not None and self.proof.applies


def shortlist(
    runbooks: Iterable[Runbook], evidence: Sequence[Evidence], hits: Sequence[Hit] = ()
) -> tuple[Listed, ...]:
    """The runbooks that apply, then those that a search found, each by reciprocal rank fusion of both rankers."""
    words = {hit.runbook: hit.words for hit in hits}
    known = [
        Listed(
            runbook=runbook,
            proof=prove(runbook, evidence) if evidence else None,
            words=words.get(runbook.head.id, ()),
        )
        for runbook in runbooks
    ]
    by_signals = _places(known)
    by_words = {hit.runbook: place for place, hit in enumerate(hits, start=1)}

    def order(one: Listed) -> tuple[bool, Fraction, str]:
        id_ = one.runbook.head.id
        return (not one.applies, -sum((_worth(places, id_) for places in (by_signals, by_words)), Fraction()), id_)

    return tuple(sorted((one for one in known if one.applies or one.runbook.head.id in words), key=order))


def offered(listed: Iterable[Listed]) -> tuple[Runbook, ...]:
    """Those that a model may choose from: only what the evidence proves."""
    return tuple(one.runbook for one in listed if one.applies)


def asked_of(evidence: Sequence[Evidence]) -> str:
    """The words of the evidence, for a search."""
    return bound(" ".join(item.text for item in evidence), ASKED_BYTES_MAX)


def _worth(places: Mapping[str, int], runbook: str) -> Fraction:
    return Fraction(1, RANK_CONSTANT + places[runbook]) if runbook in places else Fraction()


def _places(listed: Sequence[Listed]) -> Mapping[str, int]:
    """The place of each by its signals: whether it applies, then how much of it holds, then how specific it is.

    Equal ones share a place; where no signal holds there is none.
    """
    keys = {one.runbook.head.id: _key(one.proof) for one in listed if one.proof is not None and one.proof.holds}
    first: dict[tuple[bool, Fraction, int], int] = {}
    for place, key in enumerate(sorted(keys.values(), reverse=True), start=1):
        first.setdefault(key, place)
    return {runbook: first[key] for runbook, key in keys.items()}


def _key(proof: Proof) -> tuple[bool, Fraction, int]:
    held = len(proof.holds)
    return (proof.applies, Fraction(held, held + len(proof.lacks)), held)
