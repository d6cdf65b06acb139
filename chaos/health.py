"""What the service's health endpoint answers, in one printable line."""

import http.client

TIMEOUT_S = 2.0
BODY_BYTES_MAX = 200


def ask(host: str, port: int, path: str) -> str:
    """`200 'OK'`, or why there was no answer. Never raises for what the service does."""
    connection = http.client.HTTPConnection(host, port, timeout=TIMEOUT_S)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        body = answer.read(BODY_BYTES_MAX)
    except (OSError, http.client.HTTPException) as problem:
        return f"no answer from {host}:{port} ({type(problem).__name__})"
    finally:
        connection.close()
    return f"{answer.status} {body.decode(errors='replace')!a}"
