"""The development half: what its drafts give, wide enough, and with enough that is not for a machine to fix."""

from collections import Counter

from pitcrew.entrypoints.evaluation.case import read_cases
from tests.bench.author_dev_half import FILES, HERE, differing, rendered

FAULTS = (1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 16, 17, 18, 19, 20, 21, 26, 28, 29)
"""The rows of FAULTS.md."""


def test_the_files_are_what_their_drafts_give() -> None:
    assert differing() == []


def test_the_same_drafts_give_the_same_bytes() -> None:
    assert all((HERE / name).read_text() == rendered(cases) for name, cases in FILES.items())


def test_every_fault_and_many_kinds_of_apps_are_there() -> None:
    cases = read_cases([HERE])
    assert len(cases) >= 100
    assert {case.fault for case in cases} >= set(FAULTS)
    assert len({case.app for case in cases}) >= 10
    assert len({case.style for case in cases}) >= 8


def test_much_is_made_hard_and_a_fifth_is_not_for_a_machine() -> None:
    cases = read_cases([HERE])
    noise = Counter(word for case in cases for word in case.noise)
    assert min(noise[word] for word in ("misleading-log", "before-last-start", "missing-logs", "two-faults")) >= 4
    assert sum(not case.label.ours for case in cases) * 5 >= len(cases)


def test_what_is_not_ours_is_left_alone() -> None:
    wrong = [case.id for case in read_cases([HERE]) if not case.label.ours and "none" not in case.label.actions]
    assert wrong == []


def test_no_first_step_is_right_and_harmful_without_saying_so() -> None:
    both = [
        case.id for case in read_cases([HERE]) if case.label.ours and set(case.label.actions) & set(case.label.harmful)
    ]
    assert both == []
