"""Progress: what counts forward, in whatever language, and what only counts."""

from collections.abc import Sequence

import pytest

from pitcrew.core.observation import LogLine
from pitcrew.core.progress import comes_forward
from tests.core.scene import at


def steps(form: str, numbers: Sequence[object], last: float = -4) -> list[LogLine]:
    """The same sentence every 20 s, the last one so many seconds before 0."""
    count = len(numbers)
    return [
        LogLine(at=at(last - 20 * (count - 1 - place)), stream="stdout", text=form.replace("{}", str(number)))
        for place, number in enumerate(numbers)
    ]


@pytest.mark.parametrize(
    ("form", "numbers"),
    [
        ("rebuilding: {} %", (41, 45, 52)),
        ("2026-05-04 10:00:00 chunk {}/4000", (1150, 1162, 1171)),
        ("{} von 90.000 Sätzen übernommen", ("11.800", "12.100", "12.400")),
        ("データ移行中: {}% 完了", (38, 41, 45)),
        ("recovering [{}] of [24] shards", (5, 8, 10)),
        ("fetched {} GB of 12.0 GB", (2.6, 3.0, 3.4)),
        ('msg="segment loaded" segment={} last=120', (37, 40, 44)),
        ("epoch 3/10, step {}/5000", (1000, 1100, 1200)),
        ("draining: {} mails left", (412, 300, 188)),
        ('{"level": "info", "msg": "copied {} of 90"}', (3, 4, 9)),
    ],
)
def test_the_same_sentence_with_more_of_the_same_whole_is_progress(form: str, numbers: Sequence[object]) -> None:
    assert comes_forward(steps(form, numbers), at(0))
    assert not comes_forward(steps(form, numbers[:2]), at(0)), "two steps may be chance"
    assert not comes_forward(steps(form, (*numbers[1:], numbers[0])), at(0)), "it went back"
    assert not comes_forward(steps(form, numbers, last=-600), at(0)), "it stands still"


@pytest.mark.parametrize(
    ("form", "numbers"),
    [
        ("retry {}/10", (3, 4, 5)),
        ("pool: {}/10 connections in use", (7, 8, 9)),
        ("heap usage {}%", (61, 67, 73)),
        ("heartbeat {}", (1041, 1042, 1043)),
        ("imported {}/12 files", (10, 11, 12)),
        ("GET /orders/{} 200", (3, 5, 8)),
        ("listening on 10.0.0.{}/24", (3, 5, 8)),
    ],
)
def test_tries_gauges_and_ends_are_none(form: str, numbers: Sequence[object]) -> None:
    assert not comes_forward(steps(form, numbers), at(0))
