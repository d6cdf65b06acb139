"""Where a service listens by its own log, beside where it is asked."""

import pytest

from pitcrew.core.listening import listens_elsewhere

LOOPBACK = "Listening at: http://127.0.0.1:8000 (7)"
HEARD: dict[str, tuple[list[str], bool, bool]] = {
    "on its own loopback": ([LOOPBACK], True, True),
    "on the host's loopback": ([LOOPBACK], False, False),
    "on localhost": (["listening on http://localhost:8000"], True, True),
    "on the loopback of the new protocol": (["listening on [::1]:8000"], True, True),
    "on all addresses": (["Uvicorn running on http://0.0.0.0:8000"], True, False),
    "on all addresses of the new protocol": (["listening on [::]:8000"], True, False),
    "on the port alone": (['msg="listening" addr=:8000'], True, False),
    "on another port": (["Tomcat started on port(s): 9090 (http)"], True, True),
    "on another port of the host": (["listening on :9090"], False, True),
    "on both": ([LOOPBACK, "listening on *:8000"], True, False),
    "a second one on loopback": (["debug listening on 127.0.0.1:6060", "serving on 0.0.0.0:8000"], True, False),
    "nowhere by its log": (["started at 9:30", "ready"], True, False),
    "a line about another": (["connected to 127.0.0.1:9000"], True, False),
    "a time and a line of code": (["09:30:15 server.go:141] serving on 0.0.0.0:8000"], True, False),
}


@pytest.mark.parametrize(("lines", "own", "elsewhere"), HEARD.values(), ids=HEARD.keys())
def test_a_log_says_where_it_listens(lines: list[str], own: bool, elsewhere: bool) -> None:
    assert listens_elsewhere(lines, {8000}, own_loopback=own) is elsewhere


def test_where_no_port_is_asked_there_is_no_elsewhere() -> None:
    assert not listens_elsewhere([LOOPBACK], (), own_loopback=True)
