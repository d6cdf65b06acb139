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
