"""Pages that are made out of the code say what the code says, and the check notices when they do not."""

from pathlib import Path

import pytest
from pydantic import BaseModel

from pitcrew.core.incident import (
    TRANSITIONS,
)
from pitcrew.core.resource import HealthyService, RemediationPolicy
from pitcrew.settings import Settings
from tools import generate


def test_every_generated_page_is_current() -> None:
    assert generate.stale(generate.ROOT) == []


def test_a_page_that_says_something_else_is_found(tmp_path: Path) -> None:
    generate.write(tmp_path)
    assert generate.stale(tmp_path) == []
    (tmp_path / "docs" / "reference" / "cli.md").write_text("by hand")
    (tmp_path / "docs" / "incident-machine.md").unlink()
    assert generate.stale(tmp_path) == ["docs/reference/cli.md", "docs/incident-machine.md"]


def test_the_table_of_the_machine_is_drawn_in_full() -> None:
    page = generate.incident_machine()
    for (phase, event), to in TRANSITIONS.items():
        assert f"| {phase or 'none'} | {event} | {to} |\n" in page


@pytest.mark.parametrize("name", Settings.model_fields)
def test_every_setting_is_told_with_its_meaning(name: str) -> None:
    (row,) = [line for line in generate.settings().splitlines() if f"`PITCREW_{name.upper()}`" in line]
    assert len(row.split("|")[3].strip()) > 20


@pytest.mark.parametrize(("model", "least"), [(HealthyService, 40), (RemediationPolicy, 15)])
def test_every_field_of_a_resource_has_a_meaning(model: type[BaseModel], least: int) -> None:
    rows = [line for line in generate.resource(model).splitlines() if line.startswith("| `")]
    assert len(rows) > least
    assert [row for row in rows if not row.split("|")[-2].strip()] == []


def test_the_page_of_the_command_line_shows_each_command() -> None:
    page = generate.command_line()
    for command in ("run", "validate", "get", "events", "status", "incidents", "why", "report", "doctor", "audit seal"):
        assert f"## `pitcrew {command}`" in page
