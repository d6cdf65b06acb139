"""Record what a model answers: stands between a command and a model's endpoint, and writes down each exchange.

    python tools/record_model.py --upstream http://127.0.0.1:8001/v1 --model NAME --when "file exists" -- COMMAND

The command runs with OPENAI_BASE_URL and PITCREW_MODEL set to this, so that PitCrew's own client asks, with its own
prompt. Each exchange becomes a file in tools/recorded/: model, date, digest of the request, and the answer as it came.
`tools/recorded_model.py` plays them. `--when` is a text of the prompt by which a player knows such an incident again.
"""

import argparse
import hashlib
import json
import os
import subprocess
import sys
import urllib.error
import urllib.request
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

RECORDED = Path(__file__).resolve().parent / "recorded"
UPSTREAM_S = 900
BODY_BYTES_MAX = 1 << 20


def main(arguments: list[str] | None = None) -> int:
    """The exit code of the command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--upstream", required=True, help="base URL of the endpoint, such as http://127.0.0.1:8001/v1")
    parser.add_argument("--model", required=True, help="the model's name at the endpoint")
    parser.add_argument("--when", required=True, help="a text of the prompt by which a player knows the incident")
    parser.add_argument("--into", type=Path, default=RECORDED, help="where the files go")
    parser.add_argument("command", nargs="+", help="what to run")
    chosen = parser.parse_args(arguments)
    with ThreadingHTTPServer(("127.0.0.1", 0), recorder(chosen.upstream, chosen.model, chosen.when, chosen.into)) as it:
        Thread(target=it.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{it.server_address[1]}/v1"
        environ = {**os.environ, "OPENAI_BASE_URL": url, "PITCREW_MODEL": chosen.model}
        done = subprocess.run(chosen.command, env=environ)
        it.shutdown()
    return done.returncode


def recorder(upstream: str, model: str, when: str, into: Path) -> type[BaseHTTPRequestHandler]:
    """A handler that passes requests on and writes down those that hold `when`."""

    class Recorder(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(min(int(self.headers.get("Content-Length", 0)), BODY_BYTES_MAX))
            status, kind, answer = passed_on(f"{upstream.rstrip('/')}{self.path.removeprefix('/v1')}", body)
            if when in body.decode():
                write(into, model, when, body, status, answer)
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, format: str, *args: object) -> None:
            print(f"recorder: {format % args}", file=sys.stderr)

    return Recorder


def passed_on(url: str, body: bytes) -> tuple[int, str, bytes]:
    """Status, content type and body of the endpoint's answer."""
    request = urllib.request.Request(url, data=body, headers={"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=UPSTREAM_S) as answer:
            return answer.status, answer.headers.get("Content-Type", ""), answer.read(BODY_BYTES_MAX)
    except urllib.error.HTTPError as error:
        return error.code, error.headers.get("Content-Type", ""), error.read(BODY_BYTES_MAX)


def write(into: Path, model: str, when: str, body: bytes, status: int, answer: bytes) -> None:
    """One exchange as a file; the same request is written over."""
    digest = hashlib.sha256(body).hexdigest()
    asked = json.loads(body)
    into.mkdir(parents=True, exist_ok=True)
    recording = {
        "model": model,
        "date": f"{datetime.now(UTC):%Y-%m-%d}",
        "when": when,
        "way": asked.get("response_format", {}).get("type", "text"),
        "requestDigest": digest,
        "request": asked,
        "status": status,
        "response": answer.decode(),
    }
    text = json.dumps(recording, ensure_ascii=False, indent=1) + "\n"
    (into / f"{model}-{recording['way']}-{digest[:12]}.json").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
