"""Verification: healed is a window without a break, not one good answer."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pitcrew.core.action import Action, RemoveFile, Restart, RestoreFile, Start
from pitcrew.core.verification import Stand, Verification, look, settle_s
from tests.core.scene import FLAG, PROBE, at, declared

FOR_S, SETTLE_S = 4, 3
WINDOW = Verification(began_at=at(0), verify_for_s=FOR_S, settle_s=SETTLE_S)
SAMPLE = {"g": False, "b": True, "u": None}
P, OK, NO = Stand.PENDING, Stand.PASSED, Stand.FAILED


def after(samples: Sequence[bool | None]) -> Verification:
    """One look a second from the beginning on."""
    window = WINDOW
    for second, sample in enumerate(samples):
        window = look(window, sample, at(second))
    return window


@pytest.mark.parametrize(
    ("samples", "stand"),
    [
        ("", P),
        ("g", P),
        ("gggg", P),
        ("ggggg", OK),
        ("bbbggggg", OK),
        ("gbgggg", P),
        ("gbggggg", OK),
        ("bbb", P),
        ("bbbb", NO),
        ("gggb", NO),
        ("gggbggggg", NO),
        ("ggggu", P),
        ("gggugggg", P),
        ("ggguggggg", OK),
        ("uuuuuuuuuuuu", P),
        ("uuuub", NO),
        ("gggggb", OK),
    ],
)
def test_the_window_stands(samples: str, stand: Stand) -> None:
    assert after([SAMPLE[one] for one in samples]).stand is stand


@given(st.lists(st.sampled_from((True, False, None)), max_size=30))
def test_passing_takes_the_whole_window_without_a_break(samples: list[bool | None]) -> None:
    window = WINDOW
    for second, sample in enumerate(samples):
        before, window = window, look(window, sample, at(second))
        if before.stand is not P:
            assert window == before
        elif window.stand is OK:
            assert samples[second - FOR_S : second + 1] == [False] * (FOR_S + 1)
        elif window.stand is NO:
            assert sample is True
            assert second >= SETTLE_S
        if sample is None:
            assert window.stand is before.stand


@pytest.mark.parametrize(
    ("action", "seconds"),
    [
        (RemoveFile(path=FLAG), 5),
        (RestoreFile(path=FLAG), 5),
        (Start(), 30 + 20),
        (Restart(grace_s=7), 7 + 30 + 20),
    ],
    ids=lambda value: getattr(value, "name", ""),
)
def test_a_target_has_time_to_settle_with_its_longest_initial_delay(action: Action, seconds: int) -> None:
    service = declared(probes=[{**PROBE, "initialDelaySeconds": 20}, {**PROBE, "initialDelaySeconds": 3}])
    assert settle_s(action, service) == seconds
