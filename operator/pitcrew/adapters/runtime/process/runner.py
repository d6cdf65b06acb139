"""The supervisor of one declared command: runs it once, ends it at its timeout, and writes down how it ended.

Runs by itself (`python -I -S runner.py DIR`, standard library only) and outlives PitCrew, so that PitCrew's death
neither runs a command twice, nor leaves one without an end, nor loses its outcome.

DIR holds:

    lock         flock, handed over locked as standard input and so held to the end: whoever finds it free knows
                 that nothing is under way
    order.json   what to run; it holds the declared environment, therefore 0600
    begun        there before the command is; it can be made once
    end.json     how it ended: `code` (128 and more for a signal; None at the timeout) and `output`

It detaches itself, so that its first process ends at once. Why nothing was run is said on standard error.
"""

import ctypes
import json
import os
import selectors
import signal
import subprocess
import sys
import time

PR_SET_PDEATHSIG = 1
NOT_FOUND, NOT_EXECUTABLE = 127, 126
"""What a shell answers for a command that is not there, or cannot be executed."""
CHUNK_BYTES = 65536
OUTPUT_BYTES_MAX = 4096


def write_once(path: str, text: str) -> None:
    """Write a file that is not there yet, durably, name included. Raises: FileExistsError, OSError."""
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    with open(file, "w", encoding="utf-8") as out:
        out.write(text)
        out.flush()
        os.fsync(out.fileno())
    directory = os.open(os.path.dirname(path), os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def write_whole(path: str, value: dict[str, object]) -> None:
    """Write a JSON file so that its name only ever stands for all of it."""
    write_once(f"{path}.tmp", json.dumps(value))
    os.replace(f"{path}.tmp", path)


def dies_with_its_parent() -> None:
    """In the child: a supervisor that is killed takes the command along."""
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def run(argv: list[str], cwd: str, env: dict[str, str], timeout_s: float) -> dict[str, object]:
    """Run an argument list in a group of its own; how it ended."""
    reader, writer = os.pipe()
    try:
        child = subprocess.Popen(
            argv,
            cwd=cwd,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=writer,
            stderr=writer,
            start_new_session=True,
            preexec_fn=dies_with_its_parent,
        )
    except (OSError, ValueError) as problem:
        code = NOT_FOUND if isinstance(problem, FileNotFoundError) else NOT_EXECUTABLE
        return {"code": code, "output": f"cannot be run: {problem}"}
    finally:
        os.close(writer)
    output, in_time = watched(child, reader, time.monotonic() + timeout_s)
    # The leader is not reaped yet, so its group id cannot belong to anyone else.
    os.killpg(child.pid, signal.SIGKILL)
    code = child.wait()
    ended = code if code >= 0 else 128 - code
    return {"code": ended if in_time else None, "output": output.decode(errors="replace")}


def watched(child: "subprocess.Popen[bytes]", reader: int, until: float) -> tuple[bytes, bool]:
    """The beginning of what it says, and whether it ended in time."""
    output, pidfd = bytearray(), os.pidfd_open(child.pid)
    os.set_blocking(reader, False)
    with selectors.DefaultSelector() as selector:
        selector.register(reader, selectors.EVENT_READ)
        selector.register(pidfd, selectors.EVENT_READ)
        while (left_s := until - time.monotonic()) > 0:
            ready = [key.fd for key, _ in selector.select(left_s)]
            if reader in ready and not read(reader, output):
                selector.unregister(reader)
            if pidfd in ready:
                read(reader, output)
                return bytes(output), True
    return bytes(output), False


def read(reader: int, output: bytearray) -> bool:
    """Take what is there, keep what there is room for; False at the end of it."""
    try:
        chunk = os.read(reader, CHUNK_BYTES)
    except BlockingIOError:
        return True
    output.extend(chunk[: OUTPUT_BYTES_MAX - len(output)])
    return bool(chunk)


def supervise(directory: str) -> None:
    """Run the order of a directory, once. Raises: FileExistsError, OSError, ValueError."""
    with open(f"{directory}/order.json", encoding="utf-8") as file:
        order = json.load(file)
    write_once(f"{directory}/begun", "")
    end = run(order["argv"], order["cwd"], order["env"], order["timeout_s"])
    write_whole(f"{directory}/end.json", end)


def main(directory: str) -> None:
    """The program. One argument: the absolute path of the directory."""
    if os.fork():
        return
    try:
        supervise(directory)
    except FileExistsError as problem:
        print(f"{problem.filename}: it was begun before; it is not run again", file=sys.stderr)
    except (OSError, ValueError) as problem:
        print(f"{directory}: cannot be used ({problem})", file=sys.stderr)


if __name__ == "__main__":
    main(sys.argv[1])
