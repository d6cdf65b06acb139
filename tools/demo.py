"""`make demo`: a real service comes up, chaos breaks it from outside twice, and PitCrew heals it by the audited path.

Act one is healed by PitCrew alone. In act two the policy asks for a person: at a terminal that is you; without one the
demo itself approves as a second user of this machine, and says so. Docker where an engine answers and an image can be
had, else a local process; it says which and why. Exit 0 only if the journal shows the whole path of both.

A model gives second opinions: the one in the environment, a small one on this machine (`--model`), else a recorded one.
"""

import argparse
import os
import pwd
import select
import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pitcrew.core.errors import PitCrewError
from pitcrew.core.incident import Incident, Phase, Recovery
from pitcrew.core.record import Json
from pitcrew.entrypoints.cli import orders
from tools.demo_seen import Follower, watched, witness
from tools.demo_stage import docker_missing, docker_stage, operator, process_stage
from tools.demo_world import DEMO, ROOT, STATE, DemoError, Stage, pitcrew, run_chaos, say, until
from tools.llm_local import MODELS, UNHURRIED, LocalModelError, exports, serving
from tools.recorded_model import RECORDED, playing, recordings

COME_UP_S = 60
ANSWER_S = 60
"""Seconds that a person at the terminal has; then the demo goes on by itself."""
SECOND_USER = "nobody"
RULE = """
    rules:
      - name: a-restart-needs-a-person
        expression: action.name == "restart"
        effect: RequireApproval
        message: it ends every request and cannot be undone
    approvers: {{users: [{users}]}}
"""
"""What act two adds to the policy in the manifest."""


def main(arguments: list[str] | None = None) -> int:
    """The demo; 0 only if the service was healed by the audited path, twice."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", choices=("local", *MODELS), help=f"serve one on this machine; local: {MODELS[0]}")
    chosen = parser.parse_args(arguments).model
    began = time.monotonic()
    shutil.rmtree(DEMO, ignore_errors=True)
    (DEMO / "manifests").mkdir(parents=True, mode=0o700)
    STATE.mkdir(mode=0o755)
    try:
        reason = docker_missing()
        with (
            docker_stage() if not reason else process_stage(reason) as stage,
            model(stage, MODELS[0] if chosen == "local" else chosen) as told,
            operator(stage, {**approving(), **told}),
        ):
            return play(stage, began)
    except (DemoError, LocalModelError, PitCrewError) as error:
        print(f"demo: {error}", file=sys.stderr)
        return 1


@contextmanager
def model(stage: Stage, local: str | None) -> Iterator[dict[str, str]]:
    """What the operator is told about a model: the one on this machine that was chosen, the one that is configured, or
    one whose recorded answers are played."""
    if local:
        say("Demo", f"the small model {local} on this machine gives second opinions; it thinks for a minute or less")
        with serving(local) as url:
            yield {**exports(local, url), **UNHURRIED}
        return
    if os.environ.get("PITCREW_MODEL"):
        say("Demo", f"the model {os.environ['PITCREW_MODEL']} gives second opinions, as the environment says")
        yield {}
        return
    known = recordings(RECORDED / stage.on)
    say("Demo", "no model is configured; add one with PITCREW_MODEL, OPENAI_API_KEY and OPENAI_BASE_URL")
    say(
        "Demo",
        f"played instead: recorded answers of {known[0].model} of {known[0].date}, by the same client and checks",
    )
    with playing(known) as url:
        yield exports(known[0].model, url)


def approving() -> dict[str, str]:
    """Only where no second user can act, the demo's operator lets its own user approve."""
    return {} if os.geteuid() == 0 and not sys.stdin.isatty() else {"PITCREW_OWN_USER_MAY_APPROVE": "true"}


def play(stage: Stage, began: float) -> int:
    """Up, broken and healed; broken again, and healed with a person."""
    say("PitCrew", f"watches {stage.name} ({stage.kind}), declared in {stage.manifest.relative_to(ROOT)}")
    follower = Follower()
    until(
        lambda: follower.polled() and (stage.health() == "200 OK" and watched(stage)),
        COME_UP_S,
        "the service to come up",
    )
    say("World", f"the service answers: {stage.health()}")
    title("Act one: a flag file breaks the service; its removal is a Low risk, and PitCrew is left to it")
    first = act_one(stage, follower)
    seen = [f"act one: {line}" for line in witness(stage)]
    title("Act two: the service hangs; a restart ends every request, and the policy now asks for a person")
    second, decided_by = act_two(stage, follower)
    seen += [f"both acts: {line}" for line in witness(stage)]
    show(second)
    good = verdict(stage, first, second, decided_by)
    for line in seen:
        print(f"  witness: {line}")
    print(f"\nReports: {(STATE / 'reports').relative_to(ROOT)}   took {time.monotonic() - began:.0f} s")
    print(f"More:    .venv/bin/pitcrew why {first.id} --state {STATE.relative_to(ROOT)}")
    return 0 if good else 1


def act_one(stage: Stage, follower: Follower) -> Incident:
    """Broken by a flag, healed by its removal."""
    quiet = follower.settle()
    run_chaos(stage, "break", "flag")
    until(lambda: stage.health().startswith("500"), 10, "the flag to break the service")
    say("World", f"the service answers: {stage.health()}")
    incident = follower.follow_one(after=quiet)
    say("World", f"the service answers: {stage.health()}")
    return incident


def act_two(stage: Stage, follower: Follower) -> tuple[Incident, str]:
    """Hung, and restarted once a person approved; the incident, and who decided."""
    quiet = follower.settle()
    ask_for_people(stage)
    run_chaos(stage, "break", "hang")
    until(lambda: stage.health().startswith("no answer"), 15, "the service to hang")
    say("World", f"the service answers: {stage.health()}")
    asking = follower.follow_to(quiet, lambda one: one.phase is Phase.AWAITING_APPROVAL, "the question to a person")
    decided_by = decide(asking)
    incident = follower.follow_one(after=quiet)
    if incident.phase is Phase.ESCALATED:
        run_chaos(stage, "fix")
    until(lambda: follower.polled() and stage.health() == "200 OK", COME_UP_S, "the service to answer again")
    say("World", f"the service answers: {stage.health()}")
    return incident, decided_by


def ask_for_people(stage: Stage) -> None:
    """Edit the policy in the manifest, as a person would."""
    users = ", ".join(sorted({SECOND_USER, pwd.getpwuid(os.geteuid()).pw_name}))
    text = stage.manifest.read_text()
    line = next(line for line in text.splitlines() if line.strip().startswith("policy: {"))
    inner = line.strip().removeprefix("policy: {").removesuffix("}")
    block = "  policy:\n" + "".join(f"    {part.strip()}\n" for part in inner.split(","))
    fresh = stage.manifest.with_name(".victim.new")
    fresh.write_text(text.replace(line, (block + RULE.format(users=users).strip("\n")).rstrip()))
    fresh.chmod(0o600)
    fresh.replace(stage.manifest)
    read = "declaration changed"
    until(lambda: read in (DEMO / "operator.log").read_text(), 15, "the edited policy to be read")
    say("Demo", f"edited the policy in {stage.manifest.relative_to(ROOT)}: a restart asks {users}")


def decide(incident: Incident) -> str:
    """Have a person decide, or the demo in a person's place; who it was, for the proof."""
    print()
    if sys.stdin.isatty():
        question = pitcrew("approve", incident.id, "--reason", "?", "--plan", "no-digest")
        print(question.stdout)
        print(f"Approve? [y/N, {ANSWER_S} s] ", end="", flush=True)
        ready, _, _ = select.select([sys.stdin], [], [], ANSWER_S)
        if ready:
            word = "approve" if sys.stdin.readline().strip().lower() in ("y", "yes") else "deny"
            done = pitcrew(word, incident.id, "--reason", "decided at the terminal of the demo")
            print(done.stdout.splitlines()[-1] if done.returncode == 0 else done.stderr)
            return f"you, at the terminal ({word})"
        print("no answer; the demo goes on by itself")
    return as_second_user(incident.id)


def as_second_user(incident: str) -> str:
    """Approve as another user of this machine, which takes root; else as this one. Either is labelled."""
    done = pitcrew("approve", incident, "--reason", "?", "--plan", "no-digest")
    print("\n".join(f"  {line}" for line in done.stdout.splitlines()))
    reason = "given by the demo itself, since nobody sits at a terminal"
    if os.geteuid() != 0 or approving():
        approved = pitcrew("approve", incident, "--reason", reason)
        if approved.returncode != 0:
            raise DemoError(f"the approval was refused: {approved.stderr.strip()}")
        return f"the demo itself, as {pwd.getpwuid(os.geteuid()).pw_name}: another user takes root"
    user = pwd.getpwnam(SECOND_USER)
    # Opened before the rights are given away: the second user may not be able to reach this checkout.
    state = os.open(STATE, os.O_PATH | os.O_DIRECTORY)
    child = os.fork()
    if child == 0:
        os.setgroups([])
        os.setgid(user.pw_gid)
        os.setuid(user.pw_uid)
        os._exit(0 if approved_by(Path(f"/proc/self/fd/{state}"), incident, reason) else 1)
    os.close(state)
    _, status = os.waitpid(child, 0)
    if os.waitstatus_to_exitcode(status) != 0:
        raise DemoError(f"the approval by {SECOND_USER} was refused")
    return f"the demo itself, as the second user {SECOND_USER}"


def approved_by(state: Path, incident: str, reason: str) -> bool:
    """Approve the plan that is asked about now, as whoever this process is."""
    try:
        question = orders.ask(state, {"do": "question", "incident": incident})
        digest: Json = question["digest"] if isinstance(question, dict) else None
        request: dict[str, Json] = {"do": "decide", "incident": incident, "plan": digest, "decision": "Approve"}
        print(f"  {orders.ask(state, {**request, 'reason': reason})}", flush=True)
    except PitCrewError as error:
        print(f"  {error}", flush=True)
        return False
    return True


def verdict(stage: Stage, first: Incident, second: Incident, decided_by: str) -> bool:
    """Whether the audited path is what healed it."""
    one, two = first.attempt, second.attempt
    denied = "deny" in decided_by
    checks = {
        "act one: healed by a remedy, verified": first.recovery is Recovery.REMEDY,
        "act one: the remedy removed the flag; nothing was restarted": len(first.attempts) == 1
        and one.plan.action.name == "removeFile",
        "act two: nothing was done before a person decided": two.approval is not None
        and (two.intended_at is None or two.intended_at > two.approval.at),
        "act two: denied, so it went to a person"
        if denied
        else "act two: healed by the approved restart, verified": second.phase is Phase.ESCALATED
        if denied
        else second.recovery is Recovery.REMEDY and two.plan.action.name == "restart",
        "a permit for exactly the plan, each time": all(
            attempt.permit is not None and attempt.permit.plan_digest == attempt.plan.digest
            for attempt in ([one] if denied else [one, two])
        ),
        "both diagnosers spoke, and the model changed no action": all(incident.advice for incident in (first, second)),
        "the service answers 200": stage.health() == "200 OK",
        "the journal's chain holds": pitcrew("audit", "verify").returncode == 0,
        "the reports are written": all((STATE / "reports" / f"{i.id}.md").is_file() for i in (first, second)),
    }
    for incident in (first, second):
        for advice in incident.advice:
            came = f"{advice.opinion.cause}" if advice.opinion else advice.failure
            weight = {True: "agrees", False: "disagrees", None: "has no weight"}[advice.agrees]
            print(f"  model ({advice.model}) on {incident.id}: {came}; it {weight}: {advice.note}")
    print("\nProof")
    for text, good in checks.items():
        print(f"  {'yes' if good else 'NO '}  {text}")
    print(f"  decided in act two by: {decided_by}")
    return all(checks.values())


def show(incident: Incident) -> None:
    """The decision, as `pitcrew why` tells it."""
    title("Why (pitcrew why)")
    shown = pitcrew("why", incident.id)
    print("\n".join(f"  {line}" for line in shown.stdout.splitlines()) or f"  {shown.stderr.strip()}")


def title(text: str) -> None:
    """A line between two parts."""
    print(f"\n{text}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
