"""A sealed look is the same look after a journey, and its signature covers every part of it."""

from dataclasses import replace

import pytest

from pitcrew.core.observation import Absent, Blind, Observation, Outcome, Seal, Sight
from pitcrew.core.resource import ServiceKey
from pitcrew.core.seal import from_data, payload, to_data
from tests.core.scene import answer, at, facts
from tests.core.scene import seen as seen_with

SEAL = Seal(mechanic="default", target_digest="4f1d")


@pytest.mark.parametrize("sight", [facts(), Absent(detail="no such container"), Blind(reason="Away", detail="refused")])
def test_a_look_is_the_same_after_a_journey(sight: Sight) -> None:
    look = replace(seen_with(answer(Outcome.FAILURE)), sight=sight, seal=SEAL)
    assert from_data(to_data(look)) == look


def test_what_is_no_look_is_refused() -> None:
    with pytest.raises(ValueError, match="service"):
        from_data({"at": "2026-01-01T00:00:00Z"})


def _changed(look: Observation) -> dict[str, Observation]:
    return {
        "service": replace(look, service=ServiceKey("default/other")),
        "time": replace(look, at=at(1)),
        "sight": replace(look, sight=Absent(detail="gone")),
        "probes": replace(look, probes=()),
    }


@pytest.mark.parametrize("part", ["service", "time", "sight", "probes"])
def test_the_signed_bytes_change_with_every_part_of_a_look(part: str) -> None:
    look = seen_with(answer(Outcome.FAILURE))
    assert payload(_changed(look)[part], SEAL) != payload(look, SEAL)


def test_the_signed_bytes_name_who_looked_at_what_and_leave_the_signature_out() -> None:
    look = seen_with(answer(Outcome.FAILURE))
    assert payload(look, replace(SEAL, mechanic="web2")) != payload(look, SEAL)
    assert payload(look, replace(SEAL, target_digest="0000")) != payload(look, SEAL)
    assert payload(replace(look, seal=replace(SEAL, signature="ab")), SEAL) == payload(look, SEAL)
