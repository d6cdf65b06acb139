"""A log says one line per record: JSON reads as text, and a trace as its last exception."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pitcrew.core.logs import alarming, records
from pitcrew.core.observation import LogLine


def said(*texts: str) -> list[str]:
    return [record.text for record in records(LogLine(at=None, stream="stdout", text=text) for text in texts)]


def from_text(text: str) -> list[str]:
    return said(*text.strip("\n").split("\n"))


PYTHON = """
ERROR Exception on /health [GET]
Traceback (most recent call last):
  File "/app/app.py", line 3, in load
    return os.environ["DATABASE_URL"]
           ~~~~~~~~~~^^^^^^^^^^^^^^^^
KeyError: 'DATABASE_URL'

During handling of the above exception, another exception occurred:

Traceback (most recent call last):
  File "/app/app.py", line 9, in main
    load()
RuntimeError: DATABASE_URL is missing
ready
"""
JAVA = """
Exception in thread "main" java.lang.IllegalStateException: cannot start
\tat com.acme.App.main(App.java:12)
Caused by: java.sql.SQLException: no connection
\tat com.acme.Db.open(Db.java:40)
\t... 3 more
Caused by: java.net.ConnectException: Connection refused
\tat com.acme.Net.dial(Net.java:7)
\t... 12 common frames omitted
ready
"""
GO = """
panic: runtime error: index out of range [5] with length 3

goroutine 1 [running]:
main.handle(0xc000012345, {0x1, 0x2})
\t/app/main.go:12 +0x1d
created by main.main in goroutine 1
\t/app/main.go:7 +0x2b

goroutine 7 [select]:
net/http.(*Server).Serve(0xc0000)
\t/usr/local/go/src/net/http/server.go:1 +0x1
exit status 2
"""
NODE = """
/app/server.js:12

TypeError: Cannot read properties of undefined (reading 'url')
    at connect (/app/server.js:12:9)
    at Object.<anonymous> (/app/server.js:30:1)
Node.js v18.2.0
"""
TRACES = {
    "python": (PYTHON, ["ERROR Exception on /health [GET]", "RuntimeError: DATABASE_URL is missing", "ready"]),
    "java": (
        JAVA,
        [
            'Exception in thread "main" java.lang.IllegalStateException: cannot start',
            "Caused by: java.net.ConnectException: Connection refused",
            "ready",
        ],
    ),
    "go": (GO, ["panic: runtime error: index out of range [5] with length 3", "exit status 2"]),
    "node": (NODE, ["TypeError: Cannot read properties of undefined (reading 'url')", "Node.js v18.2.0"]),
    "python, cut off": ('Traceback (most recent call last):\n  File "x"', ["Traceback (most recent call last):"]),
    "python, twice": (
        "Traceback (most recent call last):\n  x\nA: 1\nTraceback (most recent call last):\n  y\nB: 2",
        ["A: 1", "B: 2"],
    ),
    "none": ("one\n\n  indented\ntwo", ["one", "  indented", "two"]),
}


@pytest.mark.parametrize(("text", "expected"), TRACES.values(), ids=TRACES.keys())
def test_a_trace_is_told_by_its_last_exception(text: str, expected: list[str]) -> None:
    assert from_text(text) == expected


RECORDS: dict[str, tuple[dict[str, object], list[str]]] = {
    "level and message": ({"level": "error", "message": "no database"}, ["ERROR no database"]),
    "pino": ({"level": 50, "msg": "no database", "pid": 7}, ["ERROR no database"]),
    "time": ({"ts": "2026-03-04T05:06:07Z", "msg": "up"}, ["2026-03-04T05:06:07Z up"]),
    "python trace": (
        {"message": "failed", "exc_info": "Traceback (most recent call last):\n  File\nValueError: bad"},
        ["failed", "ValueError: bad"],
    ),
    "java trace": (
        {"message": "failed", "stack_trace": "A: x\n\tat b\nCaused by: B: y\n\tat c\nCaused by: C: z\n\tat d"},
        ["failed", "A: x", "Caused by: C: z"],
    ),
    "error as an object": (
        {"level": "error", "msg": "failed", "err": {"type": "Error", "message": "ECONNREFUSED", "stack": "x"}},
        ["ERROR failed", "Error: ECONNREFUSED"],
    ),
    "an error that the message tells": ({"msg": "failed: no room", "error": "no room"}, ["failed: no room"]),
    "an error alone": ({"severity": "ERROR", "exception": "no room"}, ["ERROR no room"]),
    "a request": (
        {"msg": "done", "method": "GET", "path": "/x", "status": 500},
        ["done method=GET path=/x status=500"],
    ),
    "several lines": ({"level": "info", "message": "one\ntwo"}, ["INFO one", "two"]),
}


@pytest.mark.parametrize(("record", "expected"), RECORDS.values(), ids=RECORDS.keys())
def test_a_json_record_reads_as_text(record: dict[str, object], expected: list[str]) -> None:
    assert said(json.dumps(record)) == expected


@pytest.mark.parametrize(
    "text",
    ['{"pid": 7}', '{"message": 7}', "{not json}", '{"a": ' * 5_000 + "1" + "}" * 5_000, '{"message": "x"} trailing'],
    ids=["no message", "a number", "no JSON", "deep", "more than an object"],
)
def test_what_is_no_such_record_stays_as_it_is(text: str) -> None:
    assert said(text) == [text]


ALARMS = {
    "ERROR boom": True,
    "KeyError: 'DATABASE_URL'": True,
    "java.net.ConnectException: Connection refused": True,
    "level=error msg=x": True,
    "write: no space left on device": True,
    "started, 0 errors": False,
    "finished without errors": False,
    '{"error": null}': False,
    "errors=0 lines=12": False,
    "0 errors, and then it failed": True,
    "a.error is a name": False,
    "ready": False,
}


@pytest.mark.parametrize(("text", "expected"), ALARMS.items(), ids=ALARMS.keys())
def test_what_complains_is_told_from_what_does_not(text: str, expected: bool) -> None:
    assert alarming(text) is expected


@given(st.lists(st.text(max_size=60) | st.sampled_from([*PYTHON.split("\n"), *JAVA.split("\n"), *GO.split("\n")])))
def test_no_line_is_made_up(texts: list[str]) -> None:
    assert set(said(*texts)) <= set(texts) | set(said(*(t for t in texts if t.strip().startswith("{"))))
