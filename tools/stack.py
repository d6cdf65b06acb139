"""`make stack-up`, `stack-demo` and `stack-down`: PitCrew as three processes, of which one can act and none can alone.

Containers from manifests/compose where an engine and compose are here, else three local processes with users of their
own; it says which and why. The demo breaks a real service, has it healed, and shows who can reach what. Exit 0 only if
it was healed by the audited path and every proof holds.
"""

import argparse
import json
import shutil
import sys
import time

from pitcrew.core.errors import PitCrewError
from pitcrew.core.incident import Incident, Recovery
from tools.demo import title
from tools.demo_seen import Follower, following, seen_of
from tools.demo_stage import docker_missing, docker_stage
from tools.demo_world import ROOT, DemoError, Stage, docker, run_chaos, say, until
from tools.stack_containers import Containers, compose_command
from tools.stack_crew import ROLES, Crew, Fact, journal, spoken_of
from tools.stack_processes import Processes

NAME = "pitcrew-stack"
COME_UP_S = 60


def main(arguments: list[str] | None = None) -> int:
    """Bring it up, show it, or take it down; 0 if all that was to be shown is so."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("do", choices=("up", "demo", "down"))
    parser.add_argument(
        "--as", dest="flavour", choices=("containers", "processes"), help="default: what is possible here"
    )
    parser.add_argument("--name", default=NAME, help="of the compose project and of the directory under .demo")
    parser.add_argument("--target", default="victim", help="the container that is looked after (default: victim)")
    chosen = parser.parse_args(arguments)
    try:
        if reason := docker_missing():
            raise DemoError(f"{reason}; three processes are shown on a real engine (`make demo` does without)")
        crew = crew_of(chosen.flavour, chosen.name)
        match chosen.do:
            case "up":
                return up(crew, chosen.target)
            case "down":
                crew.down()
                say("Stack", "down; nothing of it is left")
                return 0
            case _:
                return demo(crew, chosen.name, chosen.target)
    except (DemoError, PitCrewError) as error:
        print(f"stack: {error}", file=sys.stderr)
        return 1


def crew_of(flavour: str | None, name: str) -> Containers | Processes:
    """The roles as they were asked for, or as they can be had here."""
    if flavour == "containers" and not compose_command():
        raise DemoError(
            "there is neither `docker compose` nor docker-compose; on Debian: apt-get install docker-compose"
        )
    if flavour == "containers" or (flavour is None and compose_command()):
        return Containers(project=name)
    why = "as was asked for" if flavour else "there is neither `docker compose` nor docker-compose here"
    return Processes(root=ROOT / ".demo" / name, why=why)


def up(crew: Containers | Processes, target: str) -> int:
    """Bring it up and leave it; what it looks after is a container that people start."""
    manifest = (ROOT / "manifests/victim.yaml").read_text().replace("container: victim", f"container: {target}")
    crew.make(manifest)
    crew.start()
    if isinstance(crew, Containers):
        say(
            "Stack",
            f"start what it looks after with: docker run -d --name {target} --network {crew.network} pitcrew/victim",
        )
    say("Stack", "take it down with: make stack-down")
    return 0


def demo(crew: Containers | Processes, name: str, target: str) -> int:
    """Up, broken, healed, looked at from all sides, and down again."""
    began, home = time.monotonic(), ROOT / ".demo" / f"{name}-stage"
    shutil.rmtree(home, ignore_errors=True)
    (home / "manifests").mkdir(parents=True, mode=0o700)
    crew.down()
    try:
        manifest = (ROOT / "manifests/victim.yaml").read_text().replace("container: victim", f"container: {target}")
        crew.make(manifest)
        with docker_stage(target, home, crew.network if isinstance(crew, Containers) else "") as stage:
            try:
                crew.start()
                good = play(crew, stage)
            except DemoError as error:
                raise DemoError(f"{error}\n{crew.told()}") from None
    finally:
        crew.down()
        shutil.rmtree(home, ignore_errors=True)
    print(f"\ntook {time.monotonic() - began:.0f} s")
    return 0 if good else 1


def play(crew: Crew, stage: Stage) -> bool:
    """Broken by a flag, healed by its removal; whether every proof holds."""
    follower = Follower(lambda: journal(crew))
    until(lambda: follower.polled() and healthy(crew), COME_UP_S, "the service to come up", "")
    say("World", f"the service answers: {stage.health()}")
    title("A flag file breaks the service; its removal is a Low risk, and PitCrew is left to it")
    quiet, life = follower.settle(), started(stage)
    with following(stage) as events:
        run_chaos(stage, "break", "flag")
        until(lambda: stage.health().startswith("500"), 10, "the flag to break the service", "")
        say("World", f"the service answers: {stage.health()}")
        incident = follower.follow_one(after=quiet)
        witnessed = list(seen_of(stage, events()))
    say("World", f"the service answers: {stage.health()}")
    title("Why (pitcrew why)")
    print("\n".join(f"  {line}" for line in reasons(crew, incident).splitlines()))
    facts = [*healed(crew, stage, incident, life), joined(crew, incident), *crew.powers()]
    title("Proof")
    for fact in facts:
        print(f"  {'yes' if fact.good else 'NO '}  {fact.text}")
    for line in witnessed:
        print(f"  witness: {line}")
    return all(fact.good for fact in facts)


def healed(crew: Crew, stage: Stage, incident: Incident, life: str) -> list[Fact]:
    """What has to be so for the audited path to be what healed it."""
    attempt = incident.attempt if incident.attempts else None
    permit = attempt.permit if attempt else None
    known = spoken_of(crew, permit.serial) if permit else []
    text = (
        f"the permit {permit.serial if permit else '(none)'} stands in the records of: {', '.join(known) or 'nobody'}"
    )
    removed = attempt is not None and attempt.plan.action.name == "removeFile" and len(incident.attempts) == 1
    return [
        Fact(good=incident.recovery is Recovery.REMEDY, text="healed by a remedy, verified"),
        Fact(good=removed and started(stage) == life, text="the remedy removed the flag; nothing was restarted"),
        Fact(good=stage.health() == "200 OK", text="the service answers 200"),
        Fact(good=list(known) == list(ROLES), text=text),
    ]


def reasons(crew: Crew, incident: Incident, *words: str) -> str:
    """What `pitcrew why` says with the records of all three before it."""
    kept = (f"{crew.home('official')}/official/ledger.jsonl", f"{crew.home('mechanic')}/mechanic/spent.jsonl")
    ledgers = [word for path in kept for word in ("--ledger", path)]
    return crew.beside("pitcrew", "why", incident.id, "--state", crew.home("driver"), *ledgers, *words)


def joined(crew: Crew, incident: Incident) -> Fact:
    """Whether the records of the three are there, whole, and say the same."""
    said = json.loads(reasons(crew, incident, "-o", "json"))["records"]
    whole = all(one["inJournal"] and one["givenAt"] and one["spentAt"] for one in said["permits"])
    good = (
        whole and len(said["permits"]) == len(incident.attempts) and not said["doubts"] and not said["contradictions"]
    )
    text = f"pitcrew why joins the records of all three: {len(said['permits'])} permit(s)"
    return Fact(good=good, text=f"{text}, {said['contradictions']} contradiction(s), {len(said['doubts'])} doubt(s)")


def healthy(crew: Crew) -> bool:
    """Whether PitCrew itself says that the service is healthy."""
    return '"Healthy"' in crew.as_role("driver", "pitcrew", "get", "-o", "json", "--state", crew.home("driver"))


def started(stage: Stage) -> str:
    """When the run of the container began, as the engine says it."""
    return docker("inspect", "--format", "{{.State.StartedAt}}", stage.name).stdout.strip()


if __name__ == "__main__":
    sys.exit(main())
