"""A service with a flag that is ill for another reason too: every remedy in turn, then a person, and no trace left."""

from tests.scenarios.conftest import Build
from tests.scenarios.operator import condition, last_number
from tests.scenarios.stage import FLAG

CONTENT, MODE = b"left here by a deploy\x00\xff\n", 0o640


def test_what_does_not_help_is_taken_back_and_a_person_is_told_what_to_do(build: Build) -> None:
    stage = build(own_workload=True)
    stage.declare()
    operator = stage.operator()
    before = last_number(operator.wait_until_quiet())
    stage.put(FLAG, CONTENT, MODE)
    was, life, acts = stage.file(FLAG), stage.life(), stage.acts()
    stage.put("sick", b"")
    seen = operator.wait_for(
        lambda seen: seen["incident"] and seen["incident"]["phase"] == "Escalated" and seen["incident"]["report"],
        "an escalated incident",
        within_s=120,
    )
    tried = [(one["action"].split()[0], one["helped"]) for one in seen["incident"]["attempts"]]
    assert tried == [("remove", False), ("restart", False)]
    assert stage.file(FLAG) == was, "the flag file is not back with its bytes, mode and owner"
    assert stage.life() not in ("", life)
    done = [act for act in stage.acts()[len(acts) :] if act != "start"]
    assert done in (["remove", "restart", "put"], ["remove"])
    assert condition(seen, "Stalled")["message"].startswith(f"{seen['incident']['id']}: find out who writes the flag")
    report = operator.pitcrew("report", seen["incident"]["id"]).stdout
    assert "neither removing it nor a restart brought the service back" in report
    assert seen["incident"]["id"] == f"victim-{before + 1}"
