"""A small language model on this machine, as an OpenAI-compatible endpoint on loopback: `make llm-local`.

    python -m tools.llm_local [--model NAME] [--port PORT]

The models and what serves them lie in .venv-llm, which `make llm-venv` makes. Prints what to export once it answers,
and serves until it is interrupted.
"""

import argparse
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryFile
from threading import Event
from typing import IO

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv-llm"
MODELS = ("gemma3-270m", "smollm2")
"""The models that `tools/llm_venv.sh` lays out, the default first."""
CONTEXT_TOKENS = 4096
"""Tokens of question and answer together; a question has at most 3,000 or so."""
THREADS_READING, THREADS_ANSWERING = 2, 1
"""Threads wait for each other at each step, by turning in circles: on a busy machine two take several times as long to
answer as one."""
COME_UP_S = 120
"""Seconds until a model answers; loading one takes two, and the machine may be busy."""
END_S = 5
"""Seconds that it has to end by itself; it does not while it computes an answer."""
LAUNCHED = ("setpriv", "--pdeathsig", "KILL", "nice", "-n", "10")
"""It ends with whoever started it, however that ends; and what PitCrew looks after comes first on a busy machine."""
UNHURRIED = {"PITCREW_MODEL_PATIENCE_S": "90", "PITCREW_MODEL_DEADLINE_S": "110"}
"""Settings with which a small model's answer comes in time: seconds that planning waits, and the call may take."""


class LocalModelError(Exception):
    """No model is served; the text says why and what to do."""


def missing() -> str | None:
    """Why no model can be served here, and the remedy; None where one can."""
    if (VENV / ".ready").exists():
        return None
    return f"nothing here serves a small model; `make llm-venv` builds {VENV.name} (about five minutes, once)"


@contextmanager
def serving(model: str, port: int = 0) -> Iterator[str]:
    """The base URL at which a model answers, for as long as the context.

    Raises:
        LocalModelError: it cannot be served, or does not answer in time.
    """
    if (reason := missing()) is not None:
        raise LocalModelError(reason)
    port = port or _free_port()
    with TemporaryFile() as log:
        server = subprocess.Popen(_command(model, port), stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=VENV)
        try:
            url = f"http://127.0.0.1:{port}/v1"
            _wait_for_answer(server, url, log)
            yield url
        finally:
            _end(server)


def exports(model: str, url: str) -> dict[str, str]:
    """The environment in which PitCrew asks this model."""
    return {"PITCREW_MODEL": model, "OPENAI_BASE_URL": url, "OPENAI_API_KEY": "none"}


def _command(model: str, port: int) -> list[str]:
    options = {
        "model": str(VENV / "models" / f"{model}.gguf"),
        "model_alias": model,
        "host": "127.0.0.1",
        "port": str(port),
        "n_ctx": str(CONTEXT_TOKENS),
        "n_threads": str(THREADS_ANSWERING),
        "n_threads_batch": str(THREADS_READING),
        # Else the server works out, for every token of the question, what might have followed it.
        "logits_all": "false",
    }
    words = [word for name, value in options.items() for word in (f"--{name}", value)]
    return [*LAUNCHED, str(VENV / "bin" / "python"), "-m", "llama_cpp.server", *words]


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait_for_answer(server: "subprocess.Popen[bytes]", url: str, log: IO[bytes]) -> None:
    end = time.monotonic() + COME_UP_S
    while time.monotonic() < end and server.poll() is None:
        with suppress(OSError), urllib.request.urlopen(f"{url}/models", timeout=5):
            return
        time.sleep(0.25)
    log.seek(0)
    told = log.read()[-2000:].decode(errors="replace")
    state = (
        f"did not answer within {COME_UP_S} s" if server.poll() is None else f"ended by itself ({server.returncode})"
    )
    raise LocalModelError(f"what serves the model {state}:\n{told}")


def _end(server: "subprocess.Popen[bytes]") -> None:
    server.terminate()
    try:
        server.wait(END_S)
    except subprocess.TimeoutExpired:
        server.kill()
        server.wait()


def main(arguments: list[str] | None = None) -> int:
    """Serve until interrupted."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", choices=MODELS, default=MODELS[0], help="default: %(default)s")
    parser.add_argument("--port", type=int, default=0, help="port on 127.0.0.1; any free one by default")
    chosen = parser.parse_args(arguments)
    stopped = Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stopped.set())
    try:
        with serving(chosen.model, chosen.port) as url:
            for name, value in exports(chosen.model, url).items():
                print(f"export {name}={value}")
            print("# it serves until you press Ctrl-C; its answers take a while:")
            print(f"# {' '.join(f'{name}={value}' for name, value in UNHURRIED.items())} waits for them", flush=True)
            stopped.wait()
    except LocalModelError as error:
        print(f"llm-local: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
