"""Run one command beside a workload: own process group, bounded output, ended at its timeout."""

import asyncio
import contextlib
import errno
import os
import signal
import subprocess
from collections.abc import Mapping, Sequence

from pitcrew.core.errors import Unavailable
from pitcrew.ports import ExecAnswer

CHUNK_BYTES = 65536
NOT_FOUND, NOT_EXECUTABLE = 127, 126
COMMANDS_FAULT = {
    errno.ENOENT: NOT_FOUND,
    errno.ENOTDIR: NOT_FOUND,
    errno.EACCES: NOT_EXECUTABLE,
    errno.ENOEXEC: NOT_EXECUTABLE,
    errno.EISDIR: NOT_EXECUTABLE,
}
"""What a shell answers for a command that cannot be executed; every other errno is our side's."""


async def run_command(
    argv: Sequence[str], *, cwd: str, env: Mapping[str, str], timeout_s: float, bytes_max: int
) -> ExecAnswer:
    """Run an argument list and read at most `bytes_max` of what it says on both streams.

    Its whole group is killed when it has ended, at the timeout, and when the caller is cancelled.
    Raises: Unavailable when our side could not carry it out.
    """
    reader, writer = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    os.set_blocking(writer, True)
    try:
        child = await asyncio.to_thread(_spawn, argv, cwd, env, writer)
    except OSError as problem:
        os.close(reader)
        if (code := COMMANDS_FAULT.get(problem.errno or 0)) is None:
            raise Unavailable(f"{argv[0]}: cannot be run ({problem.strerror})") from problem
        return ExecAnswer(exit_code=code, output=f"{argv[0]}: {problem.strerror}"[:bytes_max])
    finally:
        os.close(writer)
    return await _watch(child, reader, timeout_s, bytes_max)


def _spawn(argv: Sequence[str], cwd: str, env: Mapping[str, str], writer: int) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(
        list(argv),
        cwd=cwd,
        env=dict(env),
        stdin=subprocess.DEVNULL,
        stdout=writer,
        stderr=writer,
        start_new_session=True,
    )


async def _watch(child: "subprocess.Popen[bytes]", reader: int, timeout_s: float, bytes_max: int) -> ExecAnswer:
    loop = asyncio.get_running_loop()
    ended: asyncio.Future[None] = loop.create_future()
    output = bytearray()
    pidfd = os.pidfd_open(child.pid)

    ended.add_done_callback(lambda _: loop.remove_reader(pidfd))

    def read() -> None:
        with contextlib.suppress(BlockingIOError):
            if chunk := os.read(reader, CHUNK_BYTES):
                output.extend(chunk[: bytes_max - len(output)])
            else:
                loop.remove_reader(reader)

    loop.add_reader(reader, read)
    loop.add_reader(pidfd, ended.set_result, None)
    timed_out = False
    try:
        await asyncio.wait_for(ended, timeout_s)
        read()
    except TimeoutError:
        timed_out = True
    finally:
        loop.remove_reader(reader)
        loop.remove_reader(pidfd)
        os.close(reader)
        os.close(pidfd)
        # The leader is not reaped yet, so its group id cannot belong to anyone else.
        os.killpg(child.pid, signal.SIGKILL)
        await asyncio.shield(asyncio.to_thread(child.wait))
    code = child.returncode
    text = output.decode(errors="replace")
    return ExecAnswer(exit_code=None if timed_out else code if code >= 0 else 128 - code, output=text)
