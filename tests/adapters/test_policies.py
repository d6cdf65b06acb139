"""Policies of the platform in manifest files: what is read, how it is refused, and what stays in force meanwhile."""

from pathlib import Path

import pytest

from pitcrew.adapters.manifests.load import load
from pitcrew.adapters.manifests.parse import Parsed, parse
from pitcrew.adapters.policy.cel import check_rules
from pitcrew.core.policy import Guardrails
from pitcrew.core.resource import HealthyService, Selector
from pitcrew.ports import Loaded
from tests.adapters.test_manifests import DEMO, problems, run, watch, watching, write

ROOT = Path(__file__).resolve().parents[2]
HEAD = "apiVersion: pitcrew.dev/v1alpha1\nkind: RemediationPolicy\n"
POLICY = f"{HEAD}metadata: {{name: platform}}\nspec:\n  selector: {{}}\n  autoUpTo: Low\n"


def policy(name: str = "platform", selector: str = "{}", extra: str = "") -> str:
    return f"{HEAD}metadata: {{name: {name}}}\nspec:\n  selector: {selector}\n{extra}"


def parsed(text: str) -> Parsed:
    return parse(text.encode(), file="p.yaml", directory="/", extra_checks=check_rules)


def binds(loaded: Loaded) -> Guardrails:
    """What binds the demo's service."""
    (service,) = parse(DEMO.encode(), file="a.yaml", directory="/").declared
    return loaded.guardrails.binding(service.service)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    place = tmp_path / "manifests"
    place.mkdir(mode=0o755)
    return place


def test_policies_and_services_stand_side_by_side_in_one_file() -> None:
    found = parsed(f"{DEMO}---\n{POLICY}")
    assert found.problems == ()
    assert [one.service.metadata.name for one in found.declared] == ["victim"]
    assert [(one.policy.name, one.line) for one in found.policies] == [("platform", 13)]


def test_the_example_binds_the_demos_service() -> None:
    loaded = load([ROOT / "manifests/guardrails.yaml", ROOT / "manifests/victim.yaml"], extra_checks=check_rules)
    assert loaded.problems == ()
    assert [one.name for one in binds(loaded).policies] == ["platform"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (policy(extra="  autoUpTo: low\n"), "p.yaml:6:13: spec.autoUpTo: 'low' is not allowed; did you mean 'Low'?"),
        (policy(extra="  approvers: {}\n"), "p.yaml:6:3: spec.approvers: unknown field; did you mean 'approveUpTo'?"),
        (policy(extra="  actions: [dance]\n"), "p.yaml:6:13: spec.actions[0]: 'dance' will not do: no such action;"),
        (f"{HEAD}metadata: {{name: p}}\nspec: {{}}\n", "p.yaml:4:1: spec.selector: is required: Which services"),
        (policy(selector="{matchLabel: {a: b}}"), "p.yaml:5:14: spec.selector.matchLabel: unknown field; did you mean"),
        (f"{HEAD}metadata: {{name: p, namespace: a}}\nspec: {{selector: {{}}}}\n", "p.yaml:3:21: metadata.namespace:"),
        (policy(extra="  cooldown: 48h\n"), "p.yaml:6:13: spec.cooldown: '48h' is out of range; allowed: 0s to 24h"),
        (
            policy(extra="  rules: [{name: a, effect: Deny, message: m, expression: '1 +'}]\n"),
            "p.yaml:6:59: spec.rules[0].expression: not CEL",
        ),
        (POLICY.replace("RemediationPolicy", "RemediationPolice"), "allowed: HealthyService, RemediationPolicy"),
    ],
)
def test_a_policy_is_refused_with_its_place_and_what_is_allowed_and_may_be_one_all_the_same(
    text: str, said: str
) -> None:
    found = parsed(text)
    assert found.policies == ()
    assert said in "\n".join(map(str, found.problems))
    assert len(found.unread) == 1


@pytest.mark.parametrize(
    ("text", "selector"),
    [
        (policy(extra="  mode: Off\n"), Selector()),
        (policy(selector="{namespaces: [blue]}", extra="  mode: Off\n"), Selector(namespaces=["blue"])),
        (policy(selector="[]"), None),
        (policy(selector="{matchLabels: {a: b, a: c}}"), None),
        (f"{POLICY}  x: [", None),
        (f"{policy(selector='{namespaces: [blue]}')}---\n{DEMO}  x: 1\n", Selector(namespaces=["blue"])),
    ],
    ids=["all", "a namespace", "no selector", "a selector with a fault", "no YAML", "a fault elsewhere in the file"],
)
def test_a_policy_that_is_not_in_force_tells_whom_it_could_bind(text: str, selector: Selector | None) -> None:
    assert [one.selector for one in parsed(text).unread] == [selector]


@pytest.mark.parametrize("text", [DEMO.replace("Low", "Lw"), "a: [", "kind: Deployment\n", "services: {web: {}}\n"])
def test_a_broken_file_that_has_no_policy_holds_nobody(text: str) -> None:
    found = parsed(text)
    assert found.problems
    assert found.unread == ()


def test_a_policy_is_broken_from_the_start_and_binds_nothing_until_it_is_mended(folder: Path) -> None:
    async def test() -> None:
        write(folder / "a.yaml")
        write(folder / "p.yaml", POLICY.replace("Low", "Lw"))
        source = watch(folder)
        assert source.guardrails().unread, "before the first look nothing may be done"
        async with watching(source) as states:
            broken = await states.next()
            assert binds(broken).policies == ()
            (unread,) = binds(broken).unread
            assert unread.place.startswith(f"{folder}/p.yaml:6:13: spec.autoUpTo: ")
            assert source.guardrails() == broken.guardrails
            write(folder / "p.yaml", POLICY)
            mended = await states.until(lambda one: one.policies)
            assert mended.unread == ()
            assert source.guardrails() == mended.guardrails

    run(test())


@pytest.mark.parametrize("text", [POLICY.replace("Low", "Lw"), f"{POLICY}  x: [", ""], ids=["field", "syntax", "empty"])
def test_a_policy_that_became_bad_stays_in_force_as_it_was_and_says_so(text: str, folder: Path) -> None:
    async def test() -> None:
        write(folder / "a.yaml")
        write(folder / "p.yaml", POLICY)
        async with watching(watch(folder)) as states:
            first = await states.next()
            write(folder / "p.yaml", text)
            stale = await states.until(lambda one: one.problems)
            assert binds(stale).policies == binds(first).policies != ()
            assert binds(stale).unread == ()
            ((name, why),) = binds(stale).stale
            assert name == "platform"
            assert f"the last good version is in force: {folder}/p.yaml:" in why
            (folder / "p.yaml").unlink()
            gone = await states.until(lambda one: not one.policies)
            assert binds(gone) == Guardrails()

    run(test())


def test_a_second_policy_that_is_bad_has_no_last_version_though_its_file_has(folder: Path) -> None:
    async def test() -> None:
        write(folder / "p.yaml", POLICY)
        async with watching(watch(folder)) as states:
            await states.next()
            write(folder / "p.yaml", f"{POLICY}---\n{policy('second', extra='  mode: Off')}")
            bad = await states.until(lambda one: one.problems)
            assert [one.name for one in binds(bad).policies] == ["platform"]
            assert [one.name for one in binds(bad).unread] == ["second"]

    run(test())


def test_two_policies_of_one_name_are_refused_and_hold_whom_either_could_bind(folder: Path) -> None:
    write(folder / "p.yaml", policy(selector="{namespaces: [blue]}"))
    write(folder / "q.yaml", policy(selector="{namespaces: [default]}"))
    loaded = load([folder])
    assert [line.partition(": ")[2] for line in problems(loaded)] == [
        f"metadata.name: the policy platform is also declared in {folder}/q.yaml:1; keep one",
        f"metadata.name: the policy platform is also declared in {folder}/p.yaml:1; keep one",
    ]
    assert loaded.policies == {}
    assert [one.selector for one in binds(loaded).unread] == [Selector(namespaces=["default"])]


def test_a_file_or_directory_that_cannot_be_seen_may_hold_a_policy(folder: Path) -> None:
    write(folder / "a.yaml")
    (folder / "p.yaml").symlink_to(folder / "a.yaml")
    assert [one.place.startswith(f"{folder}/p.yaml:1:1: ") for one in binds(load([folder])).unread] == [True]
    (folder / "p.yaml").unlink()
    assert binds(load([folder])).unread == ()
    folder.chmod(0o777)
    assert len(binds(load([folder])).unread) == 1


def test_a_single_file_that_is_not_there_holds_nobody(folder: Path) -> None:
    loaded = load([folder / "gone.yaml"])
    assert loaded.problems
    assert loaded.unread == ()


def test_a_service_and_a_policy_may_have_one_name() -> None:
    found = parsed(f"{DEMO}---\n{policy('victim')}")
    assert found.problems == ()
    assert all(isinstance(one.service, HealthyService) for one in found.declared)
