"""Looks at a target as a user who may not talk to the engine, and says what was seen."""

import asyncio
import os
import sys
import time

from pitcrew.adapters.runtime.docker.endpoint import Endpoint
from pitcrew.adapters.runtime.docker.engine import Engine
from pitcrew.adapters.runtime.docker.reading import DockerRuntime
from pitcrew.core.observation import Blind
from tests.ports.docker_world import declared, now


async def main(url: str) -> None:
    runtime = DockerRuntime(Engine(Endpoint(url=url, origin="the test"), monotonic=time.monotonic), now=now)
    sight = await runtime.look(declared("alpha", "alpha", "/x"))
    if isinstance(sight, Blind):
        print(sight.reason, sight.detail)
    await runtime.close()


if __name__ == "__main__":
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)
    asyncio.run(main(sys.argv[1]))
