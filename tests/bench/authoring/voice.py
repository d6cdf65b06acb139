"""How programs speak: one log line, or the several lines of one message, in the style of a framework."""

import json
from collections.abc import Callable
from datetime import datetime
from random import Random

Style = Callable[[datetime, str, str], list[str]]

_WORDS = {"D": "DEBUG", "I": "INFO", "W": "WARN", "E": "ERROR", "F": "FATAL"}
_PINO = {"D": 20, "I": 30, "W": 40, "E": 50, "F": 60}
_SYSLOG = {"D": 15, "I": 14, "W": 12, "E": 11, "F": 8}


def _ms(at: datetime) -> str:
    return f"{at.microsecond // 1000:03d}"


def iso(at: datetime) -> str:
    """An instant as logs in ISO 8601 write it, with milliseconds."""
    return f"{at:%Y-%m-%dT%H:%M:%S}.{_ms(at)}Z"


def _json(**fields: object) -> str:
    return json.dumps(fields, ensure_ascii=False, separators=(",", ":"))


def _python_word(level: str) -> str:
    return {"W": "WARNING", "F": "CRITICAL"}.get(level, _WORDS[level])


def _plain(at: datetime, level: str, text: str) -> list[str]:
    return [text]


def _python(at: datetime, level: str, text: str) -> list[str]:
    return [f"{at:%Y-%m-%d %H:%M:%S},{_ms(at)} {_python_word(level)} shop.app: {text}"]


def _gunicorn(at: datetime, level: str, text: str) -> list[str]:
    return [f"[{at:%Y-%m-%d %H:%M:%S} +0000] [1] [{_python_word(level)}] {text}"]


def _django(at: datetime, level: str, text: str) -> list[str]:
    return [f"[{at:%d/%b/%Y %H:%M:%S}] {_python_word(level)} [django.request:241] {text}"]


def _log4j(at: datetime, level: str, text: str) -> list[str]:
    return [f"{at:%Y-%m-%d %H:%M:%S},{_ms(at)} {_WORDS[level]:<5} [http-nio-8080-exec-4] c.s.o.OrderService - {text}"]


def _spring(at: datetime, level: str, text: str) -> list[str]:
    word = "ERROR" if level == "F" else _WORDS[level]
    return [f"{iso(at)} {word:>5} 1 --- [           main] c.shop.ShopApplication                   : {text}"]


def _pino(at: datetime, level: str, text: str) -> list[str]:
    return [_json(level=_PINO[level], time=int(at.timestamp() * 1000), pid=1, hostname="7c1f0e9ab2d4", msg=text)]


def _zap(at: datetime, level: str, text: str) -> list[str]:
    stamp = round(at.timestamp(), 3)
    return [_json(level=_WORDS[level].lower(), ts=stamp, caller="server/serve.go:88", msg=text)]


def _ecs(at: datetime, level: str, text: str) -> list[str]:
    fields = {"@timestamp": iso(at), "log.level": _WORDS[level], "message": text, "ecs.version": "1.2.0"}
    return [json.dumps(fields, ensure_ascii=False, separators=(",", ":"))]


def _gcp(at: datetime, level: str, text: str) -> list[str]:
    word = {"W": "WARNING", "F": "CRITICAL"}.get(level, _WORDS[level])
    return [_json(severity=word, timestamp=iso(at), message=text)]


def _serilog(at: datetime, level: str, text: str) -> list[str]:
    word = {"D": "Debug", "I": "Information", "W": "Warning", "E": "Error", "F": "Fatal"}[level]
    fields = {"@t": iso(at), "@m": text} | ({} if level == "I" else {"@l": word})
    return [json.dumps(fields, ensure_ascii=False, separators=(",", ":"))]


def _logfmt(at: datetime, level: str, text: str) -> list[str]:
    return [f"time={iso(at)} level={_WORDS[level].lower()} msg={json.dumps(text, ensure_ascii=False)}"]


def _syslog(at: datetime, level: str, text: str) -> list[str]:
    return [f"<{_SYSLOG[level]}>{at:%b} {at.day:2d} {at:%H:%M:%S} app01 shopd[1]: {text}"]


def _klog(at: datetime, level: str, text: str) -> list[str]:
    letter = "I" if level == "D" else level
    return [f"{letter}{at:%m%d %H:%M:%S}.{at.microsecond:06d}       1 controller.go:114] {text}"]


def _tracing(at: datetime, level: str, text: str) -> list[str]:
    word = "ERROR" if level == "F" else _WORDS[level]
    return [f"{at:%Y-%m-%dT%H:%M:%S}.{at.microsecond:06d}Z {word:>5} shop_api::http: {text}"]


def _ruby(at: datetime, level: str, text: str) -> list[str]:
    word = _WORDS[level]
    return [f"{word[0]}, [{at:%Y-%m-%dT%H:%M:%S}.{at.microsecond:06d} #1] {word:>5} -- : {text}"]


def _phpfpm(at: datetime, level: str, text: str) -> list[str]:
    word = {"D": "DEBUG", "I": "NOTICE", "W": "WARNING", "E": "ERROR", "F": "ALERT"}[level]
    return [f"[{at:%d-%b-%Y %H:%M:%S}] {word}: {text}"]


def _nginx(at: datetime, level: str, text: str) -> list[str]:
    word = {"D": "debug", "I": "notice", "W": "warn", "E": "error", "F": "emerg"}[level]
    return [f"{at:%Y/%m/%d %H:%M:%S} [{word}] 29#29: {text}"]


def _postgres(at: datetime, level: str, text: str) -> list[str]:
    word = {"D": "DEBUG", "I": "LOG", "W": "WARNING", "E": "ERROR", "F": "FATAL"}[level]
    return [f"{at:%Y-%m-%d %H:%M:%S}.{_ms(at)} UTC [1] {word}:  {text}"]


def _redis(at: datetime, level: str, text: str) -> list[str]:
    mark = {"D": ".", "I": "*"}.get(level, "#")
    return [f"1:M {at:%d %b %Y %H:%M:%S}.{_ms(at)} {mark} {text}"]


def _rabbit(at: datetime, level: str, text: str) -> list[str]:
    word = {"W": "warning", "F": "critical"}.get(level, _WORDS[level].lower())
    return [f"{at:%Y-%m-%d %H:%M:%S}.{at.microsecond:06d}+00:00 [{word}] <0.245.0> {text}"]


def _celery(at: datetime, level: str, text: str) -> list[str]:
    return [f"[{at:%Y-%m-%d %H:%M:%S},{_ms(at)}: {_python_word(level)}/MainProcess] {text}"]


def _dotnet(at: datetime, level: str, text: str) -> list[str]:
    word = {"D": "dbug", "I": "info", "W": "warn", "E": "fail", "F": "crit"}[level]
    return [f"{word}: Shop.Api.Program[0]", f"      {text}"]


def _golog(at: datetime, level: str, text: str) -> list[str]:
    return [f"{at:%Y/%m/%d %H:%M:%S} {text}"]


STYLES: dict[str, Style] = {
    "plain": _plain,
    "python": _python,
    "gunicorn": _gunicorn,
    "django": _django,
    "log4j": _log4j,
    "spring": _spring,
    "json-pino": _pino,
    "json-zap": _zap,
    "json-ecs": _ecs,
    "json-gcp": _gcp,
    "json-serilog": _serilog,
    "logfmt": _logfmt,
    "syslog": _syslog,
    "klog": _klog,
    "tracing": _tracing,
    "ruby": _ruby,
    "phpfpm": _phpfpm,
    "nginx": _nginx,
    "postgres": _postgres,
    "redis": _redis,
    "rabbit": _rabbit,
    "celery": _celery,
    "dotnet": _dotnet,
    "golog": _golog,
}

_REQUESTS = (
    "GET /",
    "GET /api/orders",
    "POST /api/orders",
    "POST /api/cart/118",
    "GET /products?page=3",
    "GET /static/app.css",
    "GET /api/v2/users/me",
    "POST /login",
)
_AGENTS = ("Mozilla/5.0 (X11; Linux x86_64)", "okhttp/4.12.0", "python-requests/2.31.0", "curl/8.5.0")
_PYTHON = frozenset({"python", "gunicorn", "django", "celery"})
_DEPRECATIONS = (
    "option 'legacy_timeout' is deprecated, use 'timeout_ms' instead; it fails hard from version 5.0 on",
    "cipher suite TLS_RSA_WITH_AES_128_CBC_SHA is deprecated",
    "the use of X-Frame-Options is deprecated in favour of CSP frame-ancestors",
)
_UTCNOW = "DeprecationWarning: datetime.utcnow() is deprecated and scheduled for removal in a future version"


def _access(at: datetime, dice: Random) -> str:
    peer, request = f"172.18.0.{dice.randint(2, 40)}", dice.choice(_REQUESTS)
    status = dice.choice((200, 200, 200, 200, 304, 404) if request.startswith("GET") else (200, 201, 302, 422))
    size, agent = dice.randint(80, 9000), dice.choice(_AGENTS)
    return f'{peer} - - [{at:%d/%b/%Y:%H:%M:%S} +0000] "{request} HTTP/1.1" {status} {size} "-" "{agent}"'


def _heartbeat(at: datetime) -> str:
    return f"heartbeat ok seq={int(at.timestamp()) // 15 % 100_000} errors=0"


def _metrics(dice: Random) -> str:
    return (
        f"metrics: rss={dice.randint(90, 210)}MiB heap={dice.randint(40, 80)}MiB cpu={dice.randint(1, 40)}% "
        f"rps={dice.randint(5, 80)} p99={dice.randint(20, 90)}ms errors=0"
    )


def _deprecation(style: str, dice: Random) -> str:
    return dice.choice((_UTCNOW, *_DEPRECATIONS) if style in _PYTHON else _DEPRECATIONS)


def _peer(dice: Random) -> str:
    return dice.choice(
        (
            "circuit breaker 'recommendations' CLOSED -> OPEN -> HALF_OPEN -> CLOSED",
            "retry 1/5 to inventory succeeded after 112 ms",
            "handled: cart 118 not found, answering 404",
            "mail to customer bounced: 550 mailbox full",
            "feature flag service answered 503 once, using cached flags",
        )
    )


def chatter(kind: str, at: datetime, style: str, dice: Random) -> list[str]:
    """One message of everyday noise: access, heartbeat, metrics, deprecation or peer."""
    if kind == "access":
        return [_access(at, dice)]
    speak = STYLES[style]
    if kind == "heartbeat":
        return speak(at, "I", _heartbeat(at))
    if kind == "metrics":
        return speak(at, "I", _metrics(dice))
    if kind == "deprecation":
        return speak(at, "W", _deprecation(style, dice))
    return speak(at, "W", _peer(dice))
