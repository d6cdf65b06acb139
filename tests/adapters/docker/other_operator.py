"""A second operator with a state directory of its own, as a process: tries to prepare a restart and says what came."""

import asyncio
import sys
import time
from pathlib import Path

from pitcrew.adapters.lock.files import TargetLocks
from pitcrew.adapters.runtime.docker.acting import DockerActuator
from pitcrew.adapters.runtime.docker.endpoint import Endpoint
from pitcrew.adapters.runtime.docker.engine import Engine
from pitcrew.core.action import Restart
from pitcrew.core.errors import PitCrewError
from pitcrew.core.resource import HealthyService


async def main(socket: str, state_dir: str, lock_dir: str, service: str, target_id: str) -> None:
    actuator = DockerActuator(
        Engine(Endpoint(url=f"unix://{socket}", origin="the test"), monotonic=time.monotonic),
        state_dir=Path(state_dir),
        locks=TargetLocks(Path(lock_dir), owner=state_dir),
    )
    declared = HealthyService.model_validate_json(service)
    try:
        await actuator.prepare(declared, Restart(grace_s=1), target_id=target_id, op="two")
        print("Prepared")
    except PitCrewError as error:
        print(type(error).__name__, error)
    await actuator.close()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
