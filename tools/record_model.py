"""Record what a model answers in the demo, for machines without one: `make record-demo`.

    python -m tools.record_model [--model NAME] [--upstream URL]

Plays the demo on Docker and as a local process, with a real model: a small one on this machine, or NAME at URL. It
stands between PitCrew's own client and the model, and writes down each exchange, refused ways of asking included. Only
once the demo was content with both acts do the new recordings take the place of the old ones in tools/recorded/.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Thread

from tools.demo_stage import docker_missing
from tools.demo_world import ROOT
from tools.llm_local import MODELS, UNHURRIED, LocalModelError, exports, serving
from tools.recorded_model import RECORDED, way_and_turn

ACTS = {"flag": "declared file exists", "hang": "stopped by a signal (state T)"}
"""The texts of a prompt by which a player knows the incident of each act."""
STAGES: Mapping[str, Mapping[str, str]] = {"docker": {}, "process": {"DOCKER_HOST": "unix:///nonexistent/docker.sock"}}
"""The kinds of targets, and what in the environment makes the demo play on each."""
UPSTREAM_S = 600
BODY_BYTES_MAX = 1 << 20


class RecordError(Exception):
    """Nothing was recorded; the text says why."""


def main(arguments: list[str] | None = None) -> int:
    """Both kinds of stages; 0 only if all recordings were renewed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default=MODELS[0], help="the model's name; default: %(default)s")
    parser.add_argument(
        "--upstream", help="base URL of an endpoint that serves it; default: a small one on this machine"
    )
    chosen = parser.parse_args(arguments)
    try:
        if reason := docker_missing():
            raise RecordError(f"the demo has to play on Docker too: {reason}")
        with nullcontext(chosen.upstream) if chosen.upstream else serving(chosen.model) as upstream:
            for on in STAGES:
                renew(on, chosen.model, upstream)
    except (RecordError, LocalModelError) as error:
        print(f"record-demo: {error}", file=sys.stderr)
        return 1
    return 0


def renew(on: str, model: str, upstream: str) -> None:
    """Play the demo on one kind of target, and put what was recorded in the place of the old recordings.

    Raises:
        RecordError: the demo was not content, or the model did not answer in both acts.
    """
    with TemporaryDirectory() as directory:
        fresh = Path(directory)
        with recording(upstream, model, fresh) as url:
            environ = {**os.environ, **exports(model, url), **UNHURRIED, **STAGES[on]}
            if subprocess.run([sys.executable, "-m", "tools.demo"], cwd=ROOT, env=environ).returncode != 0:
                raise RecordError(f"the demo on {on} was not content")
        answered = {path.name.partition("-")[0] for path in fresh.iterdir() if '"status": 200' in path.read_text()}
        if unanswered := ACTS.keys() - answered:
            raise RecordError(f"the model gave no answer to {', '.join(sorted(unanswered))} on {on}")
        shutil.rmtree(RECORDED / on, ignore_errors=True)
        shutil.copytree(fresh, RECORDED / on)


@contextmanager
def recording(upstream: str, model: str, into: Path) -> Iterator[str]:
    """The base URL of a go-between that writes down what is asked and answered."""

    class Recorder(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(min(int(self.headers.get("Content-Length", 0)), BODY_BYTES_MAX))
            status, kind, answer = passed_on(f"{upstream.rstrip('/')}{self.path.removeprefix('/v1')}", body)
            write(into, model, body, status, answer)
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, format: str, *args: object) -> None:
            print(f"recorder: {format % args}", file=sys.stderr)

    with ThreadingHTTPServer(("127.0.0.1", 0), Recorder) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}/v1"
        server.shutdown()


def passed_on(url: str, body: bytes) -> tuple[int, str, bytes]:
    """Status, content type and body of the endpoint's answer."""
    headers = {
        "Content-Type": "application/json",
        "Authorization": f"Bearer {os.environ.get('OPENAI_API_KEY', 'none')}",
    }
    try:
        with urllib.request.urlopen(urllib.request.Request(url, body, headers), timeout=UPSTREAM_S) as answer:
            return answer.status, answer.headers.get("Content-Type", ""), answer.read(BODY_BYTES_MAX)
    except urllib.error.HTTPError as error:
        return error.code, error.headers.get("Content-Type", ""), error.read(BODY_BYTES_MAX)


def write(into: Path, model: str, body: bytes, status: int, answer: bytes) -> None:
    """One exchange of an act as a file; what is asked about another incident is passed on and not kept."""
    act = next((act for act, when in ACTS.items() if when in body.decode()), None)
    if act is None:
        return
    request = json.loads(body)
    way, turn = way_and_turn(request)
    kept = {
        "model": model,
        "date": f"{datetime.now(UTC):%Y-%m-%d}",
        "when": ACTS[act],
        "way": way,
        "turn": turn,
        "request": request,
        "status": status,
        "response": answer.decode(),
    }
    text = json.dumps(kept, ensure_ascii=False, indent=1) + "\n"
    (into / f"{act}-{way}-{turn}.json").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
