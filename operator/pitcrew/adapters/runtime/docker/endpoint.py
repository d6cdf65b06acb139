"""Where the engine is: DOCKER_HOST, else the current Docker context, else the default socket.

The docker SDK does not know contexts, so that users of Desktop, Colima or rootless engines find "no engine"; the files
are read here as the docker CLI reads them. Source: docker/cli `cli/context/store`.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pitcrew.core.errors import InvalidInput

DEFAULT_URL = "unix:///var/run/docker.sock"
_CONFIG_BYTES_MAX = 1 << 20


@dataclass(frozen=True, kw_only=True, slots=True)
class Endpoint:
    """Address of an engine and who named it; `tls_dir` holds ca.pem, cert.pem and key.pem when TLS is asked for."""

    url: str
    origin: str
    tls_dir: Path | None = None
    tls_verify: bool = True

    @property
    def socket_path(self) -> str | None:
        """Path of a unix socket, or None for an engine over TCP."""
        return "/" + self.url.removeprefix("unix://").lstrip("/") if self.url.startswith("unix://") else None


def resolve_endpoint(environ: Mapping[str, str], home: Path) -> Endpoint:
    """The engine that the docker CLI would talk to.

    Raises:
        InvalidInput: a context is named that cannot be read, or the scheme is not unix, tcp, http or https.
    """
    config = Path(environ.get("DOCKER_CONFIG") or home / ".docker")
    if host := environ.get("DOCKER_HOST"):
        wanted = environ.get("DOCKER_TLS_VERIFY", "") != ""
        certificates = Path(environ.get("DOCKER_CERT_PATH") or config)
        return _checked(Endpoint(url=host, origin="DOCKER_HOST", tls_dir=certificates if wanted else None))
    if name := environ.get("DOCKER_CONTEXT") or _current_context(config):
        return _checked(_of_context(config, name)) if name != "default" else _default()
    return _default()


def _default() -> Endpoint:
    return Endpoint(url=DEFAULT_URL, origin="the default socket")


def _checked(endpoint: Endpoint) -> Endpoint:
    if endpoint.url.split("://")[0] not in ("unix", "tcp", "http", "https"):
        raise InvalidInput(
            f"{endpoint.origin}: {endpoint.url[:200]!r} is not supported: use unix:// or tcp://; "
            "for ssh, forward the socket: ssh -L /tmp/docker.sock:/var/run/docker.sock HOST"
        )
    return endpoint


def _current_context(config: Path) -> str:
    name = _document(config / "config.json", missing_ok=True).get("currentContext")
    return name if isinstance(name, str) else ""


def _of_context(config: Path, name: str) -> Endpoint:
    place = hashlib.sha256(name.encode()).hexdigest()
    meta = config / "contexts" / "meta" / place / "meta.json"
    endpoints = _document(meta).get("Endpoints")
    docker = endpoints.get("docker") if isinstance(endpoints, dict) else None
    host = docker.get("Host") if isinstance(docker, dict) else None
    if not isinstance(host, str) or not host:
        raise InvalidInput(f"{meta}: no Endpoints.docker.Host; recreate the context {name[:64]!r} or set DOCKER_HOST")
    tls = config / "contexts" / "tls" / place / "docker"
    skip = isinstance(docker, dict) and docker.get("SkipTLSVerify") is True
    return Endpoint(url=host, origin=f"context {name[:64]}", tls_dir=tls if tls.is_dir() else None, tls_verify=not skip)


def _document(path: Path, *, missing_ok: bool = False) -> dict[str, object]:
    try:
        with path.open("rb") as file:
            document = json.loads(file.read(_CONFIG_BYTES_MAX))
    except FileNotFoundError as error:
        if missing_ok:
            return {}
        raise InvalidInput(f"{path}: no such Docker context; `docker context ls` names the ones there") from error
    except (OSError, ValueError) as error:
        reason = type(error).__name__
        raise InvalidInput(f"{path}: cannot be read as JSON ({reason}); mend it or set DOCKER_HOST") from error
    return document if isinstance(document, dict) else {}
