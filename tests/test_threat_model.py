"""The threat model names tests that are there, so that no defence is claimed that nothing watches."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PAGE = (ROOT / "docs" / "threat-model.md").read_text(encoding="utf-8")
NAMED = sorted(set(re.findall(r"`(tests/[\w/]+\.py(?:::\w+)?)`", PAGE)))


def test_each_row_names_a_test_and_says_what_remains_or_that_nothing_does() -> None:
    rows = [line for line in PAGE.splitlines() if line.startswith("| ") and not line.startswith("| Path")]
    assert len(rows) > 20
    assert [row for row in rows if row.count("|") != 6] == []
    assert [row for row in rows if "`tests/" not in row and "the same" not in row] == []


@pytest.mark.parametrize("named", NAMED)
def test_a_test_that_the_threat_model_names_is_there(named: str) -> None:
    path, _, function = named.partition("::")
    assert (ROOT / path).is_file()
    assert not function or re.search(rf"^def {function}\(", (ROOT / path).read_text(encoding="utf-8"), re.MULTILINE)
