"""Templates: bounded, the same every time, and no line lost; what varies is masked, and what does not is shown."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pitcrew.core.observation import LogLine
from pitcrew.core.template import GROUPS_MAX, LEAF_GROUPS_MAX, LINE_CHARS_MAX, TOKENS_MAX, Template, mask, templates

BEGIN = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)


def of(*texts: str, every_s: int | None = None) -> tuple[Template, ...]:
    at = (None if every_s is None else BEGIN + timedelta(seconds=place * every_s) for place in range(len(texts)))
    return templates(LogLine(at=when, stream="stdout", text=text) for when, text in zip(at, texts, strict=True))


def told(*texts: str) -> list[tuple[str, int]]:
    return [(one.text, one.count) for one in of(*texts)]


MASKS = {
    "2026-03-04T05:06:07.123Z ERROR boom": "<time> ERROR boom",
    "2026-03-04 05:06:07,123 ERROR boom": "<time> ERROR boom",
    "2026-03-04T05:06:07+01:00 x": "<time> x",
    "2026/03/04 05:06:07 [error] x": "<time> [error] x",
    "[04/Mar/2026:05:06:07 +0000] x": "[<time>] x",
    "Mar  4 05:06:07 host sshd: x": "<time> host sshd: x",
    "Wed, 04 Mar 2026 05:06:07 GMT x": "<time> x",
    "at 05:06:07 or 1767225600.123": "at <time> or <time>",
    "request 123e4567-e89b-12d3-a456-426614174000 failed": "request <uuid> failed",
    "mail to jane.doe@example.org bounced": "mail to <email> bounced",
    "peer 10.0.0.7:5432 refused": "peer <ip> refused",
    "peer [2001:db8::7]:5432 refused": "peer [<ip>]:<n> refused",
    "object at 0x7f3a": "object at <hex>",
    "commit 4f1d9c2ab37e is bad": "commit <hex> is bad",
    "took 12ms of 3.5s, 1m30s in all": "took <duration> of <duration>, <duration> in all",
    "kept 12.5MiB of 3GB": "kept <size> of <size>",
    "GET /items/1234 500": "GET /items/<n> <n>",
    "worker-3 pid=17 died": "worker-<n> pid=<n> died",
    'peer "GET /items?page=17&size=20 HTTP/1.1" 200': 'peer "GET /items?page=<n>&size=<n> HTTP/<n>" <n>',
    'from "Mozilla/5.0 (X11; Linux x86_64)" now': "from <text> now",
    "v1 of s3 and utf8": "v1 of s3 and utf8",
    "  many\t spaces ": "many spaces",
    "12:34 and a:b and face:beef": "<n>:<n> and a:b and face:beef",
}


@pytest.mark.parametrize(("line", "expected"), MASKS.items(), ids=MASKS.keys())
def test_what_varies_is_masked_by_its_kind(line: str, expected: str) -> None:
    assert mask(line) == expected


def test_what_never_varied_is_shown_and_what_names_a_person_or_nothing_is_not() -> None:
    lines = [f"peer 10.0.0.7:5432 refused try {n} for jane@example.org id 4f1d9c2ab37e" for n in range(9)]
    assert told(*lines) == [("peer 10.0.0.7:5432 refused try <n> for <email> id <hex>", 9)]


def test_lines_that_differ_in_a_value_are_one_template() -> None:
    assert told("user=alice logged in", "user=bob logged in") == [("user=<*> logged in", 2)]
    assert told("load /a.conf now ok", "load /b.conf now ok") == [("load <*> now ok", 2)]
    assert told("load /a.conf", "load /b.conf") == [("load <*>", 2)]
    assert len(told("/a.conf", "/b.conf")) == 2


def test_a_choice_of_words_stays_and_many_words_in_one_place_are_a_variable() -> None:
    few = [f"{name} has entered the room" for name in ("alice", "bob", "carol")]
    assert len(told(*few)) == 3
    assert told(*few, "dave has entered the room") == [("<*> has entered the room", 4)]


def test_words_of_a_complaint_never_become_a_variable() -> None:
    lines = [f"{name} refused" for name in ("connection", "socket", "pipe", "link", "wire", "peer")]
    assert {text for text, _ in told(*lines)} == set(lines)
    noise = [f"c{n}n refused" for n in range(9)]
    for log in ([*noise, "connection refused"], ["connection refused", *noise]):
        assert ("connection refused", 1) in told(*log)
    fields = [f'level=error msg="{word} refused" n={n}' for n in range(9) for word in ("connection", "socket")]
    assert ('level=error msg="connection refused" n=<n>', 9) in told(*fields)
    assert ("failed reason=timeout", 1) in told("failed reason=timeout", "failed reason=denied")


def test_a_line_that_looks_like_a_template_swallows_no_other() -> None:
    texts = [text for text, _ in told("<*> <*> <n>", "connection was refused", "\x01 \x01 \x01", "\x00n\x00 b c")]
    assert "connection was refused" in texts


def test_complaints_share_no_template_with_other_lines() -> None:
    found = of("job 1 of x7 done and well", "job 2 of x8 failed and well")
    assert [(one.count, one.alarming) for one in found] == [(1, False), (1, True)]


def test_places_and_times_are_of_the_first_and_the_last_line() -> None:
    first, other = of("job 1", "ready", "job 2", every_s=10)
    assert (first.first, first.last, other.first) == (0, 2, 1)
    assert (first.first_at, first.last_at) == (BEGIN, BEGIN + timedelta(seconds=20))


def test_the_time_that_a_line_begins_with_counts_where_the_runtime_gave_none() -> None:
    [one] = of("2026-03-04T05:06:07Z x", "2026-03-04T05:06:08Z x")
    assert (one.first_at, one.last_at) == (BEGIN, BEGIN + timedelta(seconds=1))
    [naive] = of("2026-03-04 05:06:07,123 x")
    assert naive.first_at is not None
    assert naive.first_at.tzinfo is None
    [wrong] = of("2026-99-04T05:06:07Z x")
    assert wrong.first_at is None


def test_where_there_is_no_room_the_last_line_stands_for_the_rest() -> None:
    words = [f"a b {x}{y}" for x in "cdefghijkl" for y in "mnopqrst"]
    lines = [f"{word} error" for word in words]
    found = of(*lines)
    assert len(found) == LEAF_GROUPS_MAX + 1
    assert found[-1].text == f"other lines, the last: {lines[-1]}"
    assert sum(one.count for one in found) == len(lines)


WORDS = st.sampled_from(
    ("error", "GET", "refused", "alice", "user=bob", "7", "12ms", "/items/9", "10.0.0.7", "<*>", "…")
)
LINES = st.lists(st.text(max_size=80) | st.lists(WORDS, max_size=9).map(" ".join), max_size=80)


@given(LINES)
def test_no_line_is_lost_or_counted_twice(texts: list[str]) -> None:
    found = of(*texts)
    assert sum(one.count for one in found) == len(texts)
    assert sorted({one.first for one in found}) == sorted(one.first for one in found)
    for one in found:
        assert 0 <= one.first <= one.last < len(texts)
        assert (one.first == one.last) == (one.count == 1)


@given(LINES)
def test_the_same_log_gives_the_same_templates(texts: list[str]) -> None:
    assert of(*texts) == of(*texts)


@given(LINES)
def test_the_ends_of_a_log_are_among_the_templates(texts: list[str]) -> None:
    found = of(*texts)
    assert not texts or (found[0].first == 0 and max(one.last for one in found) == len(texts) - 1)


HOSTILE = {
    "ten thousand kinds": [f"{chr(97 + n % 26)}{n} is x{n}y of z{n}" for n in range(10_000)],
    "ten thousand complaints": [f"error {'abcdefgh'[n % 8]}{'ij'[n % 2]} {n}" * (n % 30) for n in range(10_000)],
    "a line of many tokens": ["a " * 100_000],
    "a token of a megabyte": ["a" * 1_000_000, "1" * 1_000_000, '"' * 100_000, ":" * 100_000, "a@" * 100_000],
}


@pytest.mark.parametrize("texts", HOSTILE.values(), ids=HOSTILE.keys())
def test_whatever_the_log_everything_is_bounded(texts: list[str]) -> None:
    found = of(*texts)
    assert len(found) <= 2 * (GROUPS_MAX + 1)
    assert sum(one.count for one in found) == len(texts)
    for one in found:
        assert len(one.text) <= 3 * LINE_CHARS_MAX
        assert len(one.text.split()) <= TOKENS_MAX + 5
