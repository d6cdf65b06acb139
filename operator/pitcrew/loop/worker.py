"""One worker per service: look, move the open incident on as far as it goes, write the status back, rest, again.

A worker never ends by itself; what goes wrong with one service is shown in its status and tried again, and delays no
other (L3).
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta

from pitcrew.core.approval import ApprovalRequest, progress
from pitcrew.core.deviation import deviating_since, next_probe_in_s, severity
from pitcrew.core.errors import JournalError, PitCrewError
from pitcrew.core.event import (
    Abandoned,
    Opened,
)
from pitcrew.core.incident import (
    TRANSITIONS,
    Attempt,
    Impossible,
)
from pitcrew.core.observation import RuntimeFacts
from pitcrew.core.step import Close, Consult, HearDecision, JudgeAgain, Step, Wait, next_step
from pitcrew.core.untrusted import clean
from pitcrew.loop.consulting import hear
from pitcrew.loop.desk import Desk
from pitcrew.loop.perform import perform
from pitcrew.loop.proposing import hear_proposal
from pitcrew.loop.situation import situation_at

RETRY_S = 1.0
"""Seconds until a step that could not be taken is tried again."""

_log = logging.getLogger("pitcrew.loop")


class Worker:
    """Keeps one service. `claim` says whether the target is this service's alone, or why not (S3); `weather` looks at
    all services together."""

    def __init__(
        self,
        desk: Desk,
        *,
        claim: Callable[[str], str],
        name_incident: Callable[[], str],
        weather: Callable[[], Awaitable[None]],
    ) -> None:
        self.desk = desk
        self._claim = claim
        self._name_incident = name_incident
        self._weather = weather
        self._wake = desk.nudge
        self._due: dict[str, datetime] = {}

    def wake(self) -> None:
        """Look again at once, with every probe."""
        self._due.clear()
        self._wake.set()

    async def run(self) -> None:
        """Work until PitCrew ends."""
        try:
            while not self.desk.ending.is_set():
                await self._turn()
                await self._rest()
        finally:
            await self.desk.consultation.cancel()

    async def withdraw(self) -> None:
        """End the open incident, since its service is no longer declared; its record stays."""
        incident = self.desk.incident
        if incident is None or (incident.phase, "Abandoned") not in TRANSITIONS:
            return
        try:
            await self.desk.record(Abandoned(reason="the service is no longer declared"))
        except JournalError as error:
            _log.error("effects halted", extra={"service": self.desk.service.key, "text": str(error)})

    async def _turn(self) -> None:
        desk = self.desk
        waits_for = ""
        try:
            await desk.look(self._now_due())
            conflict = self._conflict()
            desk.halted = conflict
            await self._weather()
            if not conflict:
                await self._open_if_needed()
                waits_for = await self._drive()
            desk.writing_since, desk.unwritten = None, ""
        except JournalError as error:
            desk.halted = f"no effect without a journal: {clean(str(error), 300)}"
            _log.error("effects halted", extra={"service": desk.service.key, "text": desk.halted})
        except (Impossible, PitCrewError) as error:
            desk.halted = clean(str(error), 300)
            _log.error("turn failed", extra={"service": desk.service.key, "text": desk.halted})
        await desk.show(waits_for)

    def _conflict(self) -> str:
        sight = self.desk.watch.sight
        return self._claim(sight.target_id) if isinstance(sight, RuntimeFacts) else ""

    async def _open_if_needed(self) -> None:
        desk = self.desk
        found = desk.found()
        if desk.incident is not None or not found or desk.deviates() is not True or desk.crew.sky.storm:
            return
        event = Opened(
            id=self._name_incident(),
            service=desk.service.key,
            target=desk.service.spec.target.label,
            severity=severity(desk.service, found),
            deviations=found,
            detected_from=deviating_since(desk.watch, desk.now()),
        )
        await desk.record(event, event.id)

    async def _drive(self) -> str:
        """Take steps until the incident waits or ends; what it waits for."""
        desk = self.desk
        while not desk.ending.is_set():
            if await hear(desk) or await hear_proposal(desk):
                continue
            if desk.incident is None:
                return ""
            step = next_step(desk.incident, situation_at(desk), desk.now())
            if isinstance(step, Wait):
                return step.reason
            if isinstance(step, Close):
                return ""
            await desk.show(type(step).__name__)
            event = await perform(step, desk)
            if event is not None:
                await desk.record(event)
            elif not isinstance(step, Consult):
                return _waits_for(step)
        return ""

    def _now_due(self) -> set[str]:
        now = self.desk.now()
        return {name for name, _ in self.desk.service.probes if self._due.get(name, now) <= now}

    def _schedule(self) -> float:
        """Note when each probe is due again; seconds until the next turn."""
        now, desk = self.desk.now(), self.desk
        for name, probe in desk.service.probes:
            track = desk.watch.tracks.get(name)
            last = track.last if track else None
            if last is not None and track is not None:
                self._due[name] = last.at + timedelta(seconds=next_probe_in_s(track, probe))
        next_probe = min((self._due[name] for name in self._due), default=now)
        until_probe = (next_probe - now).total_seconds() if self._due else desk.crew.settings.look_interval_s
        busy = desk.incident is not None
        return max(0.05, min(until_probe, desk.crew.settings.look_interval_s, RETRY_S if busy else until_probe))

    async def _rest(self) -> None:
        seconds = self._schedule()
        waiting = [asyncio.ensure_future(self._wake.wait()), asyncio.ensure_future(self.desk.ending.wait())]
        try:
            await asyncio.wait(waiting, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in waiting:
                task.cancel()
        self._wake.clear()


def _waits_for(step: Step) -> str:
    """What an incident waits for whose step gave nothing yet."""
    if isinstance(step, JudgeAgain) and step.attempt.verdict is not None:
        return f"held: {step.attempt.verdict.reason}"
    if isinstance(step, HearDecision) and step.attempt.request is not None:
        return _asked(step.attempt, step.attempt.request)
    return f"{type(step).__name__}: cannot be told now; tried again"


def _asked(attempt: Attempt, request: ApprovalRequest) -> str:
    until, came = f"{request.expires_at:%Y-%m-%d %H:%M:%S} UTC", progress(request, attempt.given)
    so_far = f" ({came})" if came else ""
    return f"approval by {request.of_whom}{so_far}, until {until}: `pitcrew approve {request.incident} --reason ...`"
