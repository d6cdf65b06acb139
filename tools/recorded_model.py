"""Play what a real model once answered, over HTTP on loopback, for a machine without one.

    python tools/recorded_model.py [--on docker|process] [--port PORT]

PitCrew asks it like any endpoint: same client, same prompt, same checks. A request is answered by the recording of the
same kind of incident (`when` is a text of its prompt), asked in the same way and at the same turn; anything else gets a
404, and PitCrew goes on by its rules. `tools/record_model.py` makes the recordings.
"""

import argparse
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, fields
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Event, Thread
from typing import Any

RECORDED = Path(__file__).resolve().parent / "recorded"
"""One directory for each kind of target the demo plays on, since their evidence differs."""
BODY_BYTES_MAX = 1 << 20


@dataclass(frozen=True, kw_only=True, slots=True)
class Recording:
    """One exchange with a model. `turn` counts the answers that the model was shown of its own, 0 at first."""

    model: str
    date: str
    when: str
    way: str
    turn: int
    status: int
    response: str


def recordings(directory: Path) -> tuple[Recording, ...]:
    """All in one directory, by file name."""
    found = (json.loads(path.read_text(encoding="utf-8")) for path in sorted(directory.glob("*.json")))
    return tuple(Recording(**{field.name: one[field.name] for field in fields(Recording)}) for one in found)


def way_and_turn(request: Mapping[str, Any]) -> tuple[str, int]:
    """How structured output is asked for, and how often the model has answered before."""
    way = request.get("response_format", {}).get("type", "text")
    return way, sum(message["role"] == "assistant" for message in request["messages"])


def fitting(known: Sequence[Recording], body: bytes) -> Recording | None:
    """The recording that answers a request."""
    asked, text = way_and_turn(json.loads(body)), body.decode()
    return next((one for one in known if one.when in text and (one.way, one.turn) == asked), None)


@contextmanager
def playing(known: Sequence[Recording], port: int = 0) -> Iterator[str]:
    """The base URL at which the recordings are played."""

    class Player(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(min(int(self.headers.get("Content-Length", 0)), BODY_BYTES_MAX))
            found = fitting(known, body)
            status = found.status if found else 404
            answer = found.response if found else '{"error": {"message": "nothing recorded fits this request"}}'
            raw = answer.encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(raw)))
            self.end_headers()
            self.wfile.write(raw)

        def log_message(self, format: str, *args: object) -> None:
            """Nothing is said on its own."""

    with ThreadingHTTPServer(("127.0.0.1", port), Player) as server:
        thread = Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}/v1"
        finally:
            server.shutdown()
            thread.join()


def main(arguments: list[str] | None = None) -> int:
    """Play until interrupted."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--on", choices=("docker", "process"), default="docker", help="default: %(default)s")
    parser.add_argument("--port", type=int, default=0, help="port on 127.0.0.1; any free one by default")
    chosen = parser.parse_args(arguments)
    known = recordings(RECORDED / chosen.on)
    if not known:
        print(f"no recordings in {RECORDED / chosen.on}; tools/record_model.py makes them", file=sys.stderr)
        return 1
    with playing(known, chosen.port) as url:
        names = ", ".join(sorted({f"{one.model} of {one.date}" for one in known}))
        print(f"recorded answers of {names}\nexport OPENAI_BASE_URL={url} PITCREW_MODEL={known[0].model}", flush=True)
        with suppress(KeyboardInterrupt):
            Event().wait()
    return 0


if __name__ == "__main__":
    sys.exit(main())
