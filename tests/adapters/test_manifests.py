"""Manifests on disk: what is read, what is refused and how it is said, and what stays in force meanwhile."""

import asyncio
import json
import os
import socket
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pitcrew.adapters.manifests.document import Limits, read
from pitcrew.adapters.manifests.load import load
from pitcrew.adapters.manifests.parse import Parsed, parse
from pitcrew.adapters.manifests.watch import ManifestWatch
from pitcrew.core.dependency import graph_of, remarks
from pitcrew.core.errors import InvalidInput
from pitcrew.core.resource import HealthyService, Level, RemediationPolicy, ServiceKey
from pitcrew.core.untrusted import printable
from pitcrew.ports import Loaded, ManifestSource
from tests.fakes.manifests import FakeManifests

GOLDEN = Path(__file__).resolve().parent.parent / "golden"
DEMO = """\
apiVersion: pitcrew.dev/v1alpha1
kind: HealthyService
metadata: {name: victim}
spec:
  target: {docker: {container: victim}}
  probes: [{httpGet: {path: /health, port: 8080}}]
  remediation:
    actions:
      removeFile: {paths: [/app/broken.flag]}
      restart: {}
  policy: {autoUpTo: Low, approveUpTo: High}
"""
VICTIM = ServiceKey("default/victim")


def manifest(name: str = "victim", extra: str = "") -> str:
    head = f"apiVersion: pitcrew.dev/v1alpha1\nkind: HealthyService\nmetadata: {{name: {name}}}\n"
    return f"{head}spec:\n  target: {{docker: {{container: victim}}}}\n{extra}"


def parsed(text: str | bytes, name: str = "a.yaml") -> Parsed:
    raw = text.encode() if isinstance(text, str) else text
    return parse(raw, file=name, directory="/srv/manifests")


def said(text: str | bytes) -> list[str]:
    return [str(problem) for problem in parsed(text).problems]


def write(path: Path, text: str = DEMO, mode: int = 0o644) -> Path:
    path.write_text(text)
    path.chmod(mode)
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "manifests"
    path.mkdir(mode=0o755)
    return path


# What is said


def test_the_manifest_of_the_design_loads_as_it_stands() -> None:
    (declared,) = parsed(DEMO).declared
    assert declared.service.key == VICTIM
    assert declared.service.spec.remediation.actions.restart is not None
    assert (declared.file, declared.line, declared.stale) == ("a.yaml", 1, "")


def test_every_error_of_a_file_is_said_at_once_with_its_place() -> None:
    raw = (GOLDEN / "manifest-errors.yaml").read_bytes()
    problems = parse(raw, file="manifest-errors.yaml", directory="/").problems
    assert "".join(f"{problem}\n" for problem in problems) == (GOLDEN / "manifest-errors.txt").read_text()


TABLE = {
    "": "a.yaml:1:1: nothing is declared; delete the file to remove its services",
    "# only a comment\n": "a.yaml:1:1: nothing is declared; delete the file to remove its services",
    "---\n...\n---\n": "a.yaml:1:1: nothing is declared; delete the file to remove its services",
    "a: 1\n\tb: 2": "a.yaml:2:1: not YAML: found character '\\t' that cannot start any token",
    '"\\U00110000"': "a.yaml:1:4: not YAML: chr() arg not in range(0x110000)",
    "text": "a.yaml:1:1: a document is an object with apiVersion, kind, metadata, spec, not text",
    "kind: Pod": "a.yaml:1:7: kind: 'Pod' is not allowed; allowed: HealthyService",
    "a: &x 1": "a.yaml:1:4: a: anchors are not used here; write the value out where it is needed",
    "*x": "a.yaml:1:1: aliases are not used here; write the value out",
    "a: *x": "a.yaml:1:4: a: aliases are not used here; write the value out",
    "a: !!python/object:os.system x": "a.yaml:1:4: a: tags are not used here; remove it",
    "a: ! x": "a.yaml:1:4: a: tags are not used here; remove it",
    "<<: {}": "a.yaml:1:1: <<: merge keys are not used here; write the fields out",
    "kind: A\nkind: B": "a.yaml:2:1: kind: given twice, first in line 1; keep one",
    "? [a]\n: b": "a.yaml:1:3: a key is a name, such as 'port'",
    '"": b': "a.yaml:1:1: a key is a name, such as 'port'",
    ": b": "a.yaml:1:1: not YAML: ",
    "a: ~": "a.yaml:1:4: a: no value is given; write {} for an object without fields, or remove the field",
    "a: .inf": "a.yaml:1:4: a: infinity and not-a-number do not belong in a manifest",
    "a: 0777": "a.yaml:1:4: a: 0777 is octal to some readers of YAML; drop the leading zero, or put text in quotes",
    "a: 1234567890123456789": "a.yaml:1:4: a: a number of more than 18 digits; put text in quotes",
    'a: "\\0"': "a.yaml:1:4: a: control characters do not belong in a value",
    'a: "\\e[31m"': "a.yaml:1:4: a: control characters do not belong in a value",
    'a: "\\uD800"': "a.yaml:1:4: a: control characters do not belong in a value",
    "a: b\x00": "a.yaml:1:5: the control character U+0000; remove it",
    "a: \x1b[31m": "a.yaml:1:4: the control character U+001B; remove it",
    "[" * 33: "a.yaml:1:33: nested more than 32 levels deep",
    "- " * 33: "a.yaml:1:65: nested more than 32 levels deep",
    "[" + "a," * 10_001: "a.yaml:1:20000: more than 10000 keys and values in one file; split it",
    "#" * (256 * 1024 + 1): "a.yaml:1:1: the file has more than 262144 bytes; split it",
}


@pytest.mark.parametrize("text", TABLE, ids=lambda text: repr(text[:30]))
def test_what_is_no_manifest_is_refused_in_words(text: str) -> None:
    lines = said(text)
    assert any(line.startswith(TABLE[text]) for line in lines), lines


def test_a_file_with_thousands_of_mistakes_does_not_flood_anybody() -> None:
    lines = said(manifest(extra="".join(f"  field{number}: 1\n" for number in range(1000))))
    assert len(lines) == 201
    assert lines[-1] == "a.yaml:206:3: and 800 more from here on"


def test_a_file_that_is_not_utf_8_is_refused_at_its_first_bad_byte() -> None:
    assert said(b"a: b\nc: \xe9\xff") == ["a.yaml:2:4: not UTF-8; save the file as UTF-8"]


@pytest.mark.parametrize(
    "word", ["on", "off", "yes", "no", "y", "12:30", "1_000", "2026-01-01", "0b1", "0o9", "1.2.3", "="]
)
def test_words_that_other_readers_turn_into_something_else_stay_text(word: str) -> None:
    (document,) = read(f"a: {word}".encode(), Limits()).documents
    assert document.data == {"a": word}


@pytest.mark.parametrize(
    ("word", "value"), [("true", True), ("false", False), ("0x1F", 31), ("0o17", 15), ("-7", -7), ("1.5", 1.5)]
)
def test_words_of_the_core_schema_have_their_values(word: str, value: object) -> None:
    (document,) = read(f"{{a: {word}, b: '{word}'}}".encode(), Limits()).documents
    assert document.data == {"a": value, "b": word}


def test_a_value_from_the_file_is_echoed_short_and_printable() -> None:
    (line,) = said(manifest(extra=f"  criticality: '{'é' * 500}\u202e'\n"))
    assert line.startswith("a.yaml:6:16: spec.criticality: 'éé")
    assert len(line) < 200
    assert "\u202e" not in line


def test_values_of_the_environment_are_never_echoed() -> None:
    text = DEMO.replace(
        "{docker: {container: victim}}", "{process: {command: [a], workingDir: b, env: {X: {hunter2: 1}}}}"
    )
    (line,) = said(text.replace("/app/broken.flag", "broken.flag"))
    assert "hunter2" not in line


def test_json_is_read_with_its_tabs() -> None:
    text = '{\n\t"apiVersion": "pitcrew.dev/v1alpha1",\n\t"kind": "HealthyService",\n\t"metadata": {"name": "a"},\n'
    text += '\t"spec": {"target": {"docker": {"container": "c"}}}\n}\n'
    assert [one.service.key for one in parsed(text, "a.json").declared] == ["default/a"]


def test_paths_of_a_process_start_at_the_manifests_own_directory() -> None:
    target = "{process: {command: [../bin/run, x/y], workingDir: app, pidFile: ./run.pid}}"
    text = manifest().replace("{docker: {container: victim}}", target)
    (declared,) = parsed(text).declared
    process = declared.service.spec.target.process
    assert process is not None
    assert process.command == ["/srv/bin/run", "x/y"]
    assert (process.working_dir, process.pid_file) == ("/srv/manifests/app", "/srv/manifests/run.pid")


def test_a_digest_tells_services_apart_and_not_comments() -> None:
    plain, commented = parsed(DEMO).declared[0], parsed(f"# why\n{DEMO}").declared[0]
    other = parsed(DEMO.replace("autoUpTo: Low", "autoUpTo: None")).declared[0]
    assert plain.digest == commented.digest != other.digest


def test_a_further_check_speaks_at_the_field_that_it_names() -> None:
    def check(resource: HealthyService | RemediationPolicy) -> Iterable[tuple[str, str]]:
        yield "spec.policy.rules[0].expression", "not CEL"

    rule = "  policy:\n    rules:\n      - {name: a, effect: Deny, message: m, expression: '1 +'}\n"
    problems = parse(manifest(extra=rule).encode(), file="a.yaml", directory="/", extra_checks=check).problems
    assert list(map(str, problems)) == ["a.yaml:8:57: spec.policy.rules[0].expression: not CEL"]


PIECES = st.sampled_from(
    [
        *"{}[],:-?&*!|>'\"%@`#\n \t",
        "\n  ",
        "---\n",
        "...\n",
        "<<",
        "a",
        "spec",
        "kind: HealthyService\n",
        "~",
        "1e999",
        DEMO,
    ]
)


@given(
    st.one_of(
        st.binary(max_size=300),
        st.text(max_size=300).map(str.encode),
        st.lists(PIECES).map(lambda p: "".join(p).encode()),
    )
)
def test_nothing_in_a_file_can_make_reading_it_fail(raw: bytes) -> None:
    result = parse(raw, file="a.yaml", directory="/")
    lines = raw.decode("utf-8", "replace").splitlines() or [""]
    assert result.declared or result.problems
    for problem in result.problems:
        assert 1 <= problem.line <= len(lines) + 3
        assert problem.column >= 1
        assert printable(str(problem), lines=False) == str(problem)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=9),
        lambda v: st.lists(v) | st.dictionaries(st.text(max_size=9), v),
    )
)
def test_any_data_under_any_field_is_accepted_or_refused_with_a_place(data: object) -> None:
    for field in ("spec", "metadata", "kind", "apiVersion"):
        document = {
            "apiVersion": "pitcrew.dev/v1alpha1",
            "kind": "HealthyService",
            "metadata": {"name": "a"},
            field: data,
        }
        result = parsed(json.dumps(document, ensure_ascii=False).encode("utf-8", "replace"))
        assert all(problem.column > 1 or problem.line >= 1 for problem in result.problems)
        assert result.problems or result.declared


def test_a_key_with_a_tab_is_shown_as_an_escape() -> None:
    lines = said("'\t': 1")
    assert any(line.startswith("a.yaml:1:1: \\x09: unknown field;") for line in lines), lines


# What is read


def problems(loaded: Loaded) -> list[str]:
    return [str(problem) for problem in loaded.problems]


def test_only_manifests_are_read(folder: Path) -> None:
    for name in ("a.yaml", "b.yml", "c.json"):
        write(folder / name, manifest(name[0]))
    for name in (".a.yaml", "a.yaml~", ".a.yaml.swp", "#a.yaml#", "a.yaml.bak", "README.md"):
        write(folder / name, "not: [a manifest")
    loaded = load([folder])
    assert sorted(loaded.services) == ["default/a", "default/b", "default/c"]
    assert loaded.problems == ()


def _fifo(path: Path) -> None:
    os.mkfifo(path, 0o644)


def _link(path: Path) -> None:
    write(path.parent / "real.txt")
    path.symlink_to(path.parent / "real.txt")


def _device(path: Path) -> None:
    try:
        os.mknod(path, 0o600 | 0o020000, os.makedev(1, 3))
    except PermissionError:
        pytest.skip("only root can make a device")


def _socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as one:
        one.bind(str(path))


SPECIAL: dict[str, tuple[Callable[[Path], None], str]] = {
    "a pipe": (_fifo, "is not a regular file; move it away"),
    "a link": (_link, "is a symbolic link, which is not followed; put the file itself here"),
    "a link to nowhere": (lambda path: path.symlink_to("/nowhere"), "is a symbolic link, which is not followed"),
    "a device": (_device, "is not a regular file; move it away"),
    "a socket": (_socket, "is not a regular file; move it away"),
    "a directory": (lambda path: path.mkdir(), "is not a regular file; move it away"),
    "writable by all": (
        lambda path: void(write(path, mode=0o666)),
        "others can write it (mode 0666); run: chmod go-w ",
    ),
    "writable by a group": (
        lambda path: void(write(path, mode=0o664)),
        "others can write it (mode 0664); run: chmod go-w ",
    ),
}


def void(_: object) -> None:
    """For lambdas that are used for what they do."""


@pytest.mark.parametrize(
    ("kind", "single"),
    [(kind, single) for kind in SPECIAL for single in (False, True) if not (single and kind == "a directory")],
)
def test_what_is_not_a_plain_file_of_ours_is_refused_and_the_others_load(kind: str, single: bool, folder: Path) -> None:
    make, message = SPECIAL[kind]
    make(folder / "x.yaml")
    write(folder / "good.yaml")
    loaded = load([folder / "x.yaml", folder / "good.yaml"] if single else [folder])
    (line,) = problems(loaded)
    assert line.startswith(f"{folder}/x.yaml:1:1: {message}")
    assert list(loaded.services) == [VICTIM]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_a_file_of_another_user_is_refused(folder: Path) -> None:
    os.chown(write(folder / "a.yaml"), 4321, -1)
    message = "belongs to user 4321; it must belong to root or to the user who runs PitCrew"
    assert problems(load([folder])) == [f"{folder}/a.yaml:1:1: {message}"]


@pytest.mark.parametrize("mode", [0o777, 0o775, 0o1777])
def test_a_directory_that_others_can_write_is_refused(folder: Path, mode: int) -> None:
    write(folder / "a.yaml")
    folder.chmod(mode)
    loaded = load([folder])
    assert problems(loaded) == [f"{folder}:1:1: others can write it (mode {mode:04o}); run: chmod go-w {folder}"]
    assert not loaded.services


def test_a_single_file_in_a_sticky_directory_is_read(folder: Path) -> None:
    write(folder / "a.yaml")
    folder.chmod(0o1777)
    assert list(load([folder / "a.yaml"]).services) == [VICTIM]


def test_too_many_files_are_refused_whole(folder: Path) -> None:
    for number in range(4):
        write(folder / f"{number}.yaml", manifest(f"n{number}"))
    loaded = load([folder], files_max=3)
    assert problems(loaded) == [f"{folder}:1:1: more than 3 manifests in one directory; split it"]


def test_a_path_that_is_not_there_is_said(folder: Path) -> None:
    assert problems(load([folder / "x"])) == [f"{folder}/x:1:1: there is no such file or directory"]


def test_two_declarations_of_a_service_name_each_other_and_neither_counts(folder: Path) -> None:
    write(folder / "a.yaml", f"{manifest('other')}---\n{DEMO}")
    write(folder / "b.yaml")
    loaded = load([folder])
    assert problems(loaded) == [
        f"{folder}/a.yaml:7:1: metadata.name: default/victim is also declared in {folder}/b.yaml:1; keep one",
        f"{folder}/b.yaml:1:1: metadata.name: default/victim is also declared in {folder}/a.yaml:7; keep one",
    ]
    assert list(loaded.services) == ["default/other"]


def test_a_file_given_twice_is_read_once(folder: Path) -> None:
    path = write(folder / "a.yaml")
    assert load([folder, path]).problems == ()


# What stays in force


class Watching:
    """The next state, within a deadline."""

    def __init__(self, states: AsyncIterator[Loaded]) -> None:
        self._states = states

    async def next(self) -> Loaded:
        return await asyncio.wait_for(anext(self._states), 30)

    async def until(self, true: Callable[[Loaded], object]) -> Loaded:
        """An edit can be seen in more than one step; the state in which something holds."""
        while not true(loaded := await self.next()):
            pass
        return loaded


@asynccontextmanager
async def watching(source: ManifestSource) -> AsyncIterator[Watching]:
    async with aclosing(cast(Any, source.changes())) as states:
        yield Watching(states)


def run(test: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(test, 120))


def watch(*paths: Path, poll_s: float = 600) -> ManifestWatch:
    return ManifestWatch(paths, poll_s=poll_s)


def test_edits_are_seen_while_running(folder: Path) -> None:
    async def test() -> None:
        async with watching(watch(folder)) as states:
            assert (await states.next()).services == {}
            write(folder / "a.yaml")
            assert list((await states.until(lambda s: s.services)).services) == [VICTIM]
            write(folder / "a.yaml", f"{DEMO}  criticality: High\n")
            changed = await states.until(lambda s: s.services[VICTIM].service.spec.criticality is Level.HIGH)
            assert not changed.services[VICTIM].stale
            (folder / "a.yaml").unlink()
            assert (await states.until(lambda s: not s.services)).problems == ()

    run(test())


def test_a_file_that_became_bad_keeps_its_last_good_version_and_says_so(folder: Path) -> None:
    async def test() -> None:
        good = manifest("other") + "---\n" + DEMO
        write(folder / "a.yaml", good)
        async with watching(watch(folder)) as states:
            first = await states.next()
            (folder / "a.yaml").write_text(good.replace("autoUpTo: Low", "autoUpTo: Lowest"))
            stale = await states.until(lambda s: "Lowest" in "".join(problems(s)))
            assert stale.services.keys() == first.services.keys()
            for key, declared in stale.services.items():
                assert declared.service == first.services[key].service
                assert declared.stale.startswith(
                    f"the last good version is in force: {folder}/a.yaml:17:22: spec.policy"
                )
            (folder / "a.yaml").write_text("")
            empty = await states.until(lambda s: "nothing is declared" in "".join(problems(s)))
            assert empty.services.keys() == first.services.keys()
            (folder / "a.yaml").write_text(good)
            assert await states.until(lambda s: not s.problems) == first

    run(test())


def _vanish(folder: Path) -> None:
    folder.rename(folder.with_name("elsewhere"))


def _return(folder: Path) -> None:
    folder.with_name("elsewhere").rename(folder)


UNSEEN: dict[str, tuple[Callable[[Path], None], Callable[[Path], None], str]] = {
    "vanished": (_vanish, _return, "is no such file or directory"),
    "unsafe": (lambda f: f.chmod(0o777), lambda f: f.chmod(0o755), "others can write it"),
}


@pytest.mark.parametrize("kind", UNSEEN)
def test_a_directory_that_cannot_be_seen_deletes_nothing(kind: str, folder: Path) -> None:
    hide, restore, message = UNSEEN[kind]

    async def test() -> None:
        write(folder / "a.yaml")
        async with watching(watch(folder, poll_s=0.2)) as states:
            first = await states.next()
            hide(folder)
            blind = await states.until(lambda s: s.problems)
            assert message in str(blind.problems[0])
            assert blind.services[VICTIM].service == first.services[VICTIM].service
            assert blind.services[VICTIM].stale
            restore(folder)
            assert await states.until(lambda s: not s.problems) == first
            (folder / "a.yaml").unlink()
            assert (await states.next()).services == {}

    run(test())


def test_a_file_that_became_unsafe_keeps_its_last_good_version(folder: Path) -> None:
    async def test() -> None:
        path = write(folder / "a.yaml")
        async with watching(watch(folder)) as states:
            await states.next()
            path.chmod(0o666)
            path.write_text(DEMO.replace("Low", "High"))
            unsafe = await states.until(lambda s: s.problems)
            assert unsafe.services[VICTIM].service.spec.policy.auto_up_to == "Low"
            assert unsafe.services[VICTIM].stale

    run(test())


def test_a_second_declaration_does_not_take_a_service_from_its_file(folder: Path) -> None:
    async def test() -> None:
        write(folder / "b.yaml")
        async with watching(watch(folder)) as states:
            first = await states.next()
            write(folder / "a.yaml", DEMO.replace("autoUpTo: Low", "autoUpTo: Critical"))
            both = await states.until(lambda s: "also declared" in "".join(problems(s)))
            assert both.services[VICTIM].service == first.services[VICTIM].service
            assert both.services[VICTIM].file == f"{folder}/b.yaml"
            assert f"also declared in {folder}/a.yaml:1" in both.services[VICTIM].stale
            (folder / "b.yaml").unlink()
            moved = await states.until(lambda s: not s.problems)
            assert moved.services[VICTIM].file == f"{folder}/a.yaml"

    run(test())


def test_a_single_file_is_followed_through_replacement_and_deletion(folder: Path) -> None:
    async def test() -> None:
        path = write(folder / "a.yaml")
        async with watching(watch(path)) as states:
            await states.next()
            write(folder / "new", f"{DEMO}  criticality: High\n").rename(path)
            await states.until(lambda s: s.services[VICTIM].service.spec.criticality is Level.HIGH)
            path.unlink()
            gone = await states.next()
            assert gone.services == {}
            assert problems(gone) == [f"{path}:1:1: there is no such file or directory"]

    run(test())


def test_an_event_that_was_lost_is_made_up_for(folder: Path) -> None:
    """A hard link changes a file from a directory that is not watched; the poll finds it."""

    async def test() -> None:
        path = write(folder / "a.yaml")
        outside = folder.with_name("outside.yaml")
        os.link(path, outside)
        async with watching(watch(folder, poll_s=0.2)) as states:
            await states.next()
            outside.write_text(f"{DEMO}  criticality: High\n")
            await states.until(lambda s: s.services[VICTIM].service.spec.criticality is Level.HIGH)

    run(test())


def test_files_of_people_are_never_written(folder: Path) -> None:
    path = write(folder / "a.yaml", mode=0o444)
    folder.chmod(0o555)
    before = (path.stat(), folder.stat().st_mtime_ns, sorted(os.listdir(folder)))
    load([folder])
    after = (path.stat(), folder.stat().st_mtime_ns, sorted(os.listdir(folder)))
    assert before[1:] == after[1:]
    assert before[0].st_mtime_ns == after[0].st_mtime_ns


def test_a_watch_without_paths_is_refused() -> None:
    with pytest.raises(InvalidInput, match="no manifests"):
        watch()


def test_the_fake_gives_what_is_declared_at_once_and_after_each_change() -> None:
    async def test() -> None:
        service = parsed(DEMO).declared[0].service
        fake = FakeManifests(service)
        async with watching(fake) as states:
            assert list((await states.next()).services) == [VICTIM]
            await fake.declare(service, stale={VICTIM: "broken"})
            assert (await states.next()).services[VICTIM].stale == "broken"
            await fake.declare()
            assert (await states.next()).services == {}

    run(test())


def test_the_example_of_two_services_is_whole() -> None:
    loaded = load([GOLDEN.parent.parent / "manifests" / "shop.yaml"])
    assert loaded.problems == ()
    graph = graph_of(one.service for one in loaded.services.values())
    assert graph == {"default/shop-db": (), "default/shop-api": ("default/shop-db",)}
    assert remarks(graph) == ()
