"""Last words: which lines belong to the end of a run, and what they blame; names only, and never an old run's."""

from datetime import datetime

import pytest

from pitcrew.core.lastwords import (
    BLAMED_MAX,
    UNDATED_LINES_MAX,
    asks_to_end,
    blamed_variables,
    blames_configuration,
    blames_taken_port,
    of_last_run,
)
from pitcrew.core.observation import LogLine, RuntimeFacts, RuntimeState
from tests.core.scene import at, facts

S = RuntimeState


def line(text: str, when: datetime | None) -> LogLine:
    return LogLine(at=when, stream="stderr", text=text)


RUNS: dict[str, tuple[RuntimeFacts, list[str]]] = {
    "of a run that goes on, since its start": (facts(started_at=at(-600)), ["early", "late", "now"]),
    "of a run that ended, right before its end": (
        facts(S.EXITED, started_at=at(-600), finished_at=at(-60)),
        ["late", "now"],
    ),
    "of a short run, all": (facts(S.EXITED, started_at=at(-66), finished_at=at(-60)), ["late", "now"]),
    "of one that dies again and again, also right before its present start": (
        facts(started_at=at(-20), deaths=5),
        ["now"],
    ),
    "of one that never ran, all": (facts(S.CREATED, started_at=None), ["before", "early", "late", "now"]),
}


@pytest.mark.parametrize(("sight", "kept"), RUNS.values(), ids=RUNS.keys())
def test_lines_belong_to_a_run(sight: RuntimeFacts, kept: list[str]) -> None:
    times = {"before": -900, "early": -599, "late": -65, "now": -40}
    assert of_last_run([line(text, at(seconds)) for text, seconds in times.items()], sight) == kept


def test_the_last_lines_of_unknown_time_count() -> None:
    lines = [line(f"{number}", None) for number in range(UNDATED_LINES_MAX + 5)]
    assert of_last_run(lines, facts()) == [f"{number}" for number in range(5, UNDATED_LINES_MAX + 5)]


OWN = ("PATH", "PORT", "DB_URL", "SPRING_DATASOURCE_URL", "ConnectionStrings__Basket")
NAMED: dict[str, tuple[str, tuple[str, ...]]] = {
    "by its name": ("configuration error: DB_URL must be set", ("DB_URL",)),
    "by a language's own error": ("KeyError: 'DB_URL'", ("DB_URL",)),
    "by the path of its setting": (
        "Failed to bind properties under 'spring.datasource.url'",
        ("SPRING_DATASOURCE_URL",),
    ),
    "by a nested path": (
        "FormatException: invalid value at 'ConnectionStrings:Basket'",
        ("ConnectionStrings__Basket",),
    ),
    "two of them": ("missing: PORT, DB_URL", ("PORT", "DB_URL")),
    "done without": ("PORT is invalid, using the default", ()),
    "done with another": ("PORT is not set, using 8000", ()),
    "without a complaint": ("DB_URL is taken from the environment", ()),
    "a variable that every process has": ("fatal: no such program in PATH", ()),
    "a part of another word": ("error: MY_DB_URLS is empty", ()),
    "an ordinary word": ("error: the port is closed", ()),
}


@pytest.mark.parametrize(("said", "named"), NAMED.values(), ids=NAMED.keys())
def test_a_complaint_names_variables(said: str, named: tuple[str, ...]) -> None:
    assert blamed_variables([said], OWN, ended=False) == named


def test_more_names_than_a_lead_are_cut() -> None:
    names = [f"SETTING_{number}" for number in range(BLAMED_MAX + 3)]
    assert blamed_variables([f"error: {' '.join(names)}"], names, ended=False) == tuple(names[:BLAMED_MAX])


CONFIGURATION = {
    "nginx": '2026/05/04 10:00:00 [emerg] 1#1: unknown directive "proxy_passs" in /etc/nginx/conf.d/a.conf:12',
    "redis": "*** FATAL CONFIG FILE ERROR (Redis 7.2.4) ***",
    "postgres": 'configuration file "/etc/postgresql/postgresql.conf" contains errors',
    "a parameter": 'FATAL: invalid value for parameter "shared_buffers": "lots"',
    "yaml": "yaml: line 14: mapping values are not allowed in this context",
    "a file": "cannot load config /etc/gateway/routes.yaml",
    "a file by another word": "error reading settings.toml: expected a value",
    "an option": "error: unrecognized option '--prot'",
    "an environment variable": "the environment variable BROKER is not set",
    "a required one": "required environment variable missing",
    "spring": "Could not resolve placeholder 'api.base' in value",
    "invalid configuration": "java.lang.IllegalStateException: Invalid configuration for route",
}
NO_CONFIGURATION = {
    "read well": "configuration loaded from /etc/app/config.yaml",
    "done without": "config file not found, using defaults",
    "ignored": "unknown option 'colour' in app.conf is ignored",
    "another error": "error: index out of range",
    "a request": "GET /config/errors-of-the-day 200",
    "unchanged": "config unchanged",
    "a missing row": "report 7 not found",
    "emergency elsewhere": "[emerg] cannot allocate memory",
}


@pytest.mark.parametrize("said", CONFIGURATION.values(), ids=CONFIGURATION.keys())
def test_a_wrong_configuration_is_told(said: str) -> None:
    assert blames_configuration([said])


@pytest.mark.parametrize("said", NO_CONFIGURATION.values(), ids=NO_CONFIGURATION.keys())
def test_other_words_blame_no_configuration(said: str) -> None:
    assert not blames_configuration([said])


PORTS = {
    "libc": ("OSError: [Errno 98] Address already in use", True),
    "node": ("Error: listen EADDRINUSE: address already in use :::3000", True),
    "spring": ("Web server failed to start. Port 8080 was already in use.", True),
    "go": ("listen tcp :8080: bind: address already in use", True),
    "windows": ("Only one usage of each socket address is normally permitted", True),
    "a name in use": ("username already in use", False),
    "a port": ("listening on port 8080", False),
}


@pytest.mark.parametrize(("said", "taken"), PORTS.values(), ids=PORTS.keys())
def test_a_taken_port_is_told(said: str, taken: bool) -> None:
    assert blames_taken_port([said]) is taken


def test_the_very_last_lines_of_a_run_that_ended_blame_in_any_language() -> None:
    said = ["DB_URL gelesen", "Umgebungsvariable DB_URL fehlt", "Programm beendet"]
    assert blamed_variables(said, OWN, ended=True) == ("DB_URL",)
    assert blamed_variables(said, OWN, ended=False) == ()


@pytest.mark.parametrize(
    "said",
    [
        "1:M 04 May 2026 User requested shutdown...",
        "LOG:  received fast shutdown request",
        "[notice] signal 15 (SIGTERM) received from 1, exiting: received SIGTERM",
        "shutdown requested by admin@example",
    ],
)
def test_an_end_that_somebody_asked_for_is_told(said: str) -> None:
    assert asks_to_end(["INFO served", said, "INFO bye"])
    assert not asks_to_end(["INFO served", "ERROR panic: nil map"])
