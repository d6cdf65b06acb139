"""Postmortems on disk: replaced whole, private, and never outside their directory."""

import asyncio
from pathlib import Path

import pytest

from pitcrew.adapters.reports.files import ReportFiles
from pitcrew.core.errors import InvalidInput, Unavailable


def test_a_report_is_stored_and_replaced(tmp_path: Path) -> None:
    sink = ReportFiles(tmp_path / "reports")
    place = asyncio.run(sink.write("victim-7", "one"))
    assert asyncio.run(sink.write("victim-7", "two")) == place == str(tmp_path / "reports" / "victim-7.md")
    assert Path(place).read_text() == "two"
    assert Path(place).stat().st_mode & 0o777 == 0o640
    assert [path.name for path in (tmp_path / "reports").iterdir()] == ["victim-7.md"]


@pytest.mark.parametrize("incident", ["../victim-7", "a/b", "", ".", "victim-7\n", "Victim-7", "x" * 200], ids=repr)
def test_an_id_that_is_no_file_name_is_refused(tmp_path: Path, incident: str) -> None:
    with pytest.raises(InvalidInput, match="is no incident id"):
        asyncio.run(ReportFiles(tmp_path).write(incident, "text"))
    assert list(tmp_path.iterdir()) == []


def test_a_link_in_the_place_of_a_report_is_replaced_and_not_followed(tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("mine")
    (tmp_path / "victim-7.md").symlink_to(tmp_path / "precious")
    asyncio.run(ReportFiles(tmp_path).write("victim-7", "text"))
    assert (tmp_path / "precious").read_text() == "mine"
    assert not (tmp_path / "victim-7.md").is_symlink()


def test_a_place_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "reports").write_text("a file")
    with pytest.raises(Unavailable, match="cannot be written"):
        asyncio.run(ReportFiles(tmp_path / "reports").write("victim-7", "text"))
