"""How services write their logs: the same words in the voice of each framework."""

import json
from collections.abc import Callable
from datetime import datetime

Voice = Callable[[datetime, str, str], str]
"""An instant, a level (INFO, WARN, ERROR, FATAL) and words, as one line."""


def log4j(at: datetime, level: str, words: str) -> str:
    return f"{at:%Y-%m-%d %H:%M:%S},{at.microsecond // 1000:03} {level:<5} [main] c.s.shop.Application - {words}"


def pino(at: datetime, level: str, words: str) -> str:
    number = {"INFO": 30, "WARN": 40, "ERROR": 50, "FATAL": 60}[level]
    return json.dumps({"level": number, "time": int(at.timestamp() * 1000), "pid": 1, "hostname": "web", "msg": words})


def logfmt(at: datetime, level: str, words: str) -> str:
    return f"time={at:%Y-%m-%dT%H:%M:%S}Z level={level.lower()} msg={json.dumps(words)}"


def zap(at: datetime, level: str, words: str) -> str:
    return json.dumps({"level": level.lower(), "ts": at.timestamp(), "caller": "server/main.go:88", "msg": words})


def python(at: datetime, level: str, words: str) -> str:
    long = {"WARN": "WARNING", "FATAL": "CRITICAL"}.get(level, level)
    return f"{at:%Y-%m-%d %H:%M:%S},{at.microsecond // 1000:03} {long} app: {words}"


def gunicorn(at: datetime, level: str, words: str) -> str:
    return f"[{at:%Y-%m-%d %H:%M:%S} +0000] [7] [{level}] {words}"


def nginx(at: datetime, level: str, words: str) -> str:
    named = {"INFO": "notice", "WARN": "warn", "ERROR": "error", "FATAL": "emerg"}[level]
    return f"{at:%Y/%m/%d %H:%M:%S} [{named}] 29#29: {words}"


def postgres(at: datetime, level: str, words: str) -> str:
    named = {"INFO": "LOG", "WARN": "WARNING"}.get(level, level)
    return f"{at:%Y-%m-%d %H:%M:%S}.{at.microsecond // 1000:03} UTC [1] {named}:  {words}"


def redis(at: datetime, level: str, words: str) -> str:
    sign = {"INFO": "*", "WARN": "#"}.get(level, "#")
    return f"1:M {at:%d %b %Y %H:%M:%S}.{at.microsecond // 1000:03} {sign} {words}"


def rails(at: datetime, level: str, words: str) -> str:
    return f"{level[0]}, [{at:%Y-%m-%dT%H:%M:%S}.{at.microsecond:06} #1] {level:>5} -- : {words}"


def dotnet(at: datetime, level: str, words: str) -> str:
    named = {"INFO": "info", "WARN": "warn", "ERROR": "fail", "FATAL": "crit"}[level]
    return f"{named}: Shop.Basket.Host[0] {words}"


def klog(at: datetime, level: str, words: str) -> str:
    return f"{level[0]}{at:%m%d %H:%M:%S}.{at.microsecond:06}       1 server.go:141] {words}"


def plain(at: datetime, level: str, words: str) -> str:
    return words if level == "INFO" else f"{level.lower()}: {words}"


def monolog(at: datetime, level: str, words: str) -> str:
    long = {"WARN": "WARNING", "FATAL": "CRITICAL"}.get(level, level)
    return f"[{at:%Y-%m-%dT%H:%M:%S}+00:00] app.{long}: {words} [] []"


def tracing(at: datetime, level: str, words: str) -> str:
    return f"{at:%Y-%m-%dT%H:%M:%S}.{at.microsecond:06}Z {level:>5} catalog::server: {words}"


def mysql(at: datetime, level: str, words: str) -> str:
    named = {"INFO": "System", "WARN": "Warning"}.get(level, "ERROR")
    return f"{at:%Y-%m-%dT%H:%M:%S.%f}Z 0 [{named}] [MY-010116] [Server] {words}"


def elastic(at: datetime, level: str, words: str) -> str:
    named = {"log.level": level, "ecs.version": "1.2.0", "service.name": "ES_ECS", "log.logger": "o.e.n.Node"}
    return json.dumps({"@timestamp": f"{at:%Y-%m-%dT%H:%M:%S}.000Z", **named, "message": words})


def mongo(at: datetime, level: str, words: str) -> str:
    when = {"$date": f"{at:%Y-%m-%dT%H:%M:%S}.000+00:00"}
    return json.dumps({"t": when, "s": level[0], "c": "CONTROL", "id": 21951, "ctx": "main", "msg": words})


def kafka(at: datetime, level: str, words: str) -> str:
    return f"[{at:%Y-%m-%d %H:%M:%S},{at.microsecond // 1000:03}] {level} {words} (kafka.server.KafkaServer)"


def syslog(at: datetime, level: str, words: str) -> str:
    number = {"INFO": 30, "WARN": 28, "ERROR": 27, "FATAL": 26}[level]
    return f"<{number}>{at:%b %d %H:%M:%S} node7 filed[1]: {words}"


def serilog(at: datetime, level: str, words: str) -> str:
    named = {"INFO": {}, "WARN": {"@l": "Warning"}, "ERROR": {"@l": "Error"}, "FATAL": {"@l": "Fatal"}}[level]
    return json.dumps({"@t": f"{at:%Y-%m-%dT%H:%M:%S.%f}0Z", "@m": words, **named, "SourceContext": "Billing.Api"})


def rabbit(at: datetime, level: str, words: str) -> str:
    named = {"INFO": "info", "WARN": "warning", "ERROR": "error", "FATAL": "critical"}[level]
    return f"{at:%Y-%m-%d %H:%M:%S.%f}+00:00 [{named}] <0.222.0> {words}"
