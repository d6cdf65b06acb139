"""PitCrew as an image: what only a real engine can show."""

import json
from collections.abc import Sequence
from typing import Any

import docker
import pytest

from tests import engine

pytestmark = pytest.mark.docker
LOCKED_DOWN: dict[str, Any] = {
    "read_only": True,
    "cap_drop": ["ALL"],
    "security_opt": ["no-new-privileges"],
    "network_mode": "none",
}
LOOK = """
import importlib.util, json, os, pathlib, pwd
mine = pathlib.Path(f"/var/lib/{pwd.getpwuid(os.getuid()).pw_name}")
print(json.dumps({
    "uid": os.getuid(),
    "mine": [mine.is_dir(), mine.stat().st_uid, oct(mine.stat().st_mode & 0o777)],
    "missing": [one for one in ("docker", "fastapi", "mcp", "uvicorn", "pitcrew") if not importlib.util.find_spec(one)],
    "spare": [name for name in ("pip", "pytest", "kopf") if importlib.util.find_spec(name)],
}))
"""


def run(entrypoint: Sequence[str] | None, *arguments: str, user: str = "") -> str:
    """What a locked down container of the image prints."""
    client = docker.from_env()
    try:
        output = client.containers.run(
            engine.image("pitcrew"), list(arguments), entrypoint=entrypoint, user=user, remove=True, **LOCKED_DOWN
        )
    finally:
        client.close()
    return bytes(output).decode()


@pytest.mark.parametrize(
    ("user", "uid"),
    [("pitcrew-mechanic", 10011), ("pitcrew-official", 10012), ("pitcrew-driver", 10013), ("", 10013)],
    ids=["mechanic", "official", "driver", "nobody-in-particular"],
)
def test_each_role_has_a_user_and_a_directory_and_what_it_needs_and_no_more(user: str, uid: int) -> None:
    seen = json.loads(run(["python"], "-c", LOOK, user=user))
    assert seen == {"uid": uid, "mine": [True, uid, "0o700"], "missing": [], "spare": []}


def test_the_command_runs_where_nothing_can_be_written() -> None:
    assert "Usage: pitcrew" in run(None)
