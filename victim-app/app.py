"""A small web service to be looked after: healthy until somebody puts a flag file beside it.

Run it with ``python app.py`` (gunicorn inside: one worker process, four threads, graceful on SIGTERM).

- ``GET /health``: 200 ``OK``, or 500 ``SERVICE UNHEALTHY`` while ``broken.flag`` exists in the directory the
  service was started in. In the image that is ``/app``; as a local process it is the working directory.
- ``GET /``: does a little work on the next item of the catalogue and says how long it took. The catalogue is the
  folder ``catalogue`` in the directory the service was started in; its ``index.json`` lists the items' files, and an
  item that cannot be read is a 500. Without an index there is no catalogue, and the work is the same each time.

``VICTIM_BIND`` says where it listens (default ``127.0.0.1:8080``; port 0 takes a free one, named in the log).
Everything it has to say goes to stdout as JSON, one object a line.
"""

import hashlib
import itertools
import json
import logging
import os
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from flask import Flask, Response, jsonify
from gunicorn.app.base import BaseApplication
from gunicorn.glogging import Logger

FLAG = Path.cwd() / "broken.flag"
CATALOGUE = Path.cwd() / "catalogue"
INDEX = CATALOGUE / "index.json"
BIND_DEFAULT = "127.0.0.1:8080"
WORK_ROUNDS = 50_000
GRACE_S = 5  # below the ten seconds that `docker stop` waits, so that requests in flight can end

log = logging.getLogger("victim")
app = Flask("victim")
turns = itertools.count()


@app.get("/health")
def health() -> Response:
    """200 `OK`, or 500 `SERVICE UNHEALTHY` and an error line that names the flag file."""
    if os.path.lexists(FLAG):
        log.error("unhealthy: the flag file %s exists", FLAG, extra={"fields": {"flag": str(FLAG)}})
        return Response("SERVICE UNHEALTHY", status=500, mimetype="text/plain")
    return Response("OK", mimetype="text/plain")


@app.get("/")
def work() -> Response:
    """A chain of hashes over one item: some tens of milliseconds of honest work."""
    begun = time.perf_counter()
    digest = next_item()
    for _ in range(WORK_ROUNDS):
        digest = hashlib.sha256(digest).digest()
    return jsonify(service="victim", result=digest.hex(), took_ms=_ms(time.perf_counter() - begun))


def next_item() -> bytes:
    """The catalogue's items in turn, read anew each time; the service's name where there is no catalogue."""
    if not INDEX.exists():
        return b"victim"
    files: list[str] = json.loads(INDEX.read_bytes())
    return (CATALOGUE / files[next(turns) % len(files)]).read_bytes()


def bind() -> str:
    """Where to listen, out of `VICTIM_BIND`; ends the program where that names no address and port."""
    wanted = os.environ.get("VICTIM_BIND", BIND_DEFAULT)
    host, _, port = wanted.rpartition(":")
    if not host or not port.isdecimal() or int(port) > 65535:
        log.critical("configuration error: VICTIM_BIND is no address and port, such as %s", BIND_DEFAULT)
        sys.exit(1)
    return wanted


class JsonLine(logging.Formatter):
    """One log record as one line of JSON; `extra={"fields": {...}}` adds keys."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **getattr(record, "fields", {}),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line)


class StructuredLogger(Logger):  # type: ignore[misc]  # gunicorn carries no types
    """gunicorn's own access and error records, as JSON lines on stdout."""

    def setup(self, cfg: Any) -> None:
        super().setup(cfg)
        handler = logging.StreamHandler(sys.stdout)
        handler.setFormatter(JsonLine())
        for logger in (self.error_log, self.access_log, log, app.logger):
            logger.handlers = [handler]
            logger.propagate = False
        log.setLevel(logging.INFO)

    def access(self, resp: Any, req: Any, environ: dict[str, Any], request_time: Any) -> None:
        fields = {
            "method": environ.get("REQUEST_METHOD"),
            "path": environ.get("PATH_INFO"),
            "status": int(str(resp.status).split(None, 1)[0]),
            "bytes": resp.sent,
            "took_ms": _ms(request_time.total_seconds()),
            "peer": environ.get("REMOTE_ADDR"),
        }
        self.access_log.info("request", extra={"fields": fields})


class Server(BaseApplication):  # type: ignore[misc]  # gunicorn carries no types
    """gunicorn with its settings in code, so that one file is the whole service."""

    def __init__(self, address: str) -> None:
        self.address = address
        super().__init__()

    def load_config(self) -> None:
        settings = {
            "bind": self.address,
            "proc_name": "victim",
            "workers": 1,
            "threads": 4,
            "graceful_timeout": GRACE_S,
            "worker_tmp_dir": _heartbeat_dir(),
            "control_socket_disable": True,
            "accesslog": "-",
            "logger_class": StructuredLogger,
        }
        for name, value in settings.items():
            self.cfg.set(name, value)

    def load(self) -> Flask:
        return app


def _heartbeat_dir() -> str | None:
    """Memory for the worker's heartbeat file where there is some: a slow disk must not look like a dead worker."""
    return "/dev/shm" if os.access("/dev/shm", os.W_OK) else None


def _ms(seconds: float) -> float:
    return round(seconds * 1000, 3)


if __name__ == "__main__":
    logging.basicConfig(stream=sys.stdout, format="%(levelname)s %(name)s %(message)s")
    Server(bind()).run()
