"""The scene on Docker: the same workload in a container; the witness is a proxy of the engine's socket."""

import io
import re
import tarfile
from collections import Counter
from pathlib import Path
from typing import Any

from tests.crash import workload
from tests.crash.scenes import FLAG, FLAG_CONTENT, FLAG_MODE, SICK, Scene, Story, answer_of
from tests.engine_proxy import EngineProxy, Witnessed
from tests.waiting import eventually

ENGINE_SOCKET = Path("/var/run/docker.sock")
PORT = 8080
SRV = "/srv"

_EFFECTS = (
    (re.compile(r"POST .*/containers/[^/]+/start$"), "started"),
    (re.compile(r"POST .*/containers/[^/]+/restart$"), "restarted"),
    (re.compile(r"POST .*/exec/[^/]+/start$"), "ran a command in it"),
    (re.compile(r"PUT .*/containers/[^/]+/archive$"), "put a file into it"),
)


class ContainerScene(Scene):
    """A container of its own on a shared network; what changes it goes through the proxy and is written down there."""

    def __init__(self, story: Story, *, client: Any, image: str, network: str) -> None:
        super().__init__(story)
        self._proxy = EngineProxy(self.root / "engine.sock", ENGINE_SOCKET)
        self.docker_host = f"unix://{self._proxy.path}"
        self._container = client.containers.create(
            image,
            ["python3", f"{SRV}/workload.py", str(PORT), f"{SRV}/log", *(["tired"] if story.tired else [])],
            name=self.root.name,
            network=network,
            working_dir=f"{SRV}/work",
            user="0",
            init=True,
            healthcheck={"test": ["NONE"]},
        )
        self._container.put_archive("/", _packed(story))
        self.declare({"docker": {"container": self.root.name}}, PORT, f"{SRV}/work/{FLAG}")
        if story.running:
            self._container.start()
            eventually(lambda: self.answer() != 0, timeout_s=30, what="the workload")

    def answer(self) -> int:
        self._container.reload()
        networks = self._container.attrs["NetworkSettings"]["Networks"].values()
        address = next((each["IPAddress"] for each in networks if each["IPAddress"]), None)
        return answer_of(f"http://{address}:{PORT}/health") if address else 0

    def files(self) -> tuple[str, ...]:
        chunks, _ = self._container.get_archive(f"{SRV}/work")
        with tarfile.open(fileobj=io.BytesIO(b"".join(chunks))) as archive:
            return tuple(
                f"{Path(member.name).name} {member.mode & 0o7777:o} {_content(archive, member)!r}"
                for member in sorted(archive.getmembers(), key=lambda each: each.name)
                if member.isfile()
            )

    def witnessed(self) -> Counter[str]:
        return Counter(_named(each) for each in self._proxy.witnessed if each.is_effect)

    def remove(self) -> None:
        self._container.remove(force=True, v=True)
        self._proxy.close()


def _named(request: Witnessed) -> str:
    """An effect in words; one that is not known keeps its own."""
    spelt = f"{request.method} {request.path}"
    return next((words for pattern, words in _EFFECTS if pattern.search(spelt)), spelt)


def _content(archive: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    file = archive.extractfile(member)
    return file.read() if file else b""


def _packed(story: Story) -> bytes:
    """The workload with its directories and files, as the engine takes them."""
    files = {"workload.py": (Path(workload.__file__).read_bytes(), 0o644)}
    if story.flagged:
        files[f"work/{FLAG}"] = (FLAG_CONTENT, FLAG_MODE)
    if story.sick:
        files[f"work/{SICK}"] = (b"", 0o644)
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        for directory in ("work", "log"):
            entry = tarfile.TarInfo(f"{SRV}/{directory}".lstrip("/"))
            entry.type, entry.mode = tarfile.DIRTYPE, 0o755
            archive.addfile(entry)
        for name, (content, mode) in files.items():
            entry = tarfile.TarInfo(f"{SRV}/{name}".lstrip("/"))
            entry.size, entry.mode = len(content), mode
            archive.addfile(entry, io.BytesIO(content))
    return packed.getvalue()
