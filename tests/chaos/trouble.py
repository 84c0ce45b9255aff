"""Trouble at chosen moments of the day, and the day played through it."""

from __future__ import annotations

import asyncio
import os
import random
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import effects

from haven_dev.day.day import Day, Who
from haven_dev.day.play import STEPS, prepare
from haven_dev.project import PARTS
from haven_dev.runner import Platform
from haven_kit.testing import eventually

SETTLE_S = 60.0
SEED = int(os.environ.get("CHAOS_SEED", "0")) or random.SystemRandom().randrange(1, 1_000_000)
IN_FLIGHT_S = 0.03
"""How long after a command was sent trouble comes at most: it may be under way, or its events may be."""
PLAYED = STEPS[:-1]
"""All steps but the last: the spans that a killed process had not yet sent are gone, so its trace may have gaps."""


@dataclass
class Trouble:
    """Something that befalls a part: `strike` at once, `mend` brings it back. `moments` are numbers of commands."""

    name: str
    strike: Callable[[], Awaitable[None] | None]
    mend: Callable[[], Awaitable[None]]
    moments: dict[int, float] = field(default_factory=dict)
    """Number of the command, from 0, and how many seconds after it is sent the trouble comes."""
    pointed: str = ""
    """It also comes right before the first command whose path ends so."""
    struck: list[str] = field(default_factory=list)
    """What happened, for people."""
    _due: list[float] = field(default_factory=list)
    _running: asyncio.Task[None] | None = None
    _commands: int = 0

    def command(self, method: str, path: str, body: Any) -> Any:
        """A command is about to be sent."""
        number, self._commands = self._commands, self._commands + 1
        if number in self.moments:
            self._due.append(self.moments[number])
        if self.pointed and path.endswith(self.pointed):
            self.pointed = ""
            self._due.insert(0, 0.0)
        if self._due and (self._running is None or self._running.done()):
            if self._running is not None:
                self._running.result()
            delay = self._due.pop(0)
            self.struck.append(f"{delay * 1000:.0f} ms after command {number}, {method} {path}")
            self._running = asyncio.create_task(self._happen(delay))
        return body

    async def _happen(self, delay: float) -> None:
        await asyncio.sleep(delay)
        struck = self.strike()
        if struck is not None:
            await struck
        began = time.monotonic()
        await self.mend()
        self.struck.append(f"    back after {time.monotonic() - began:.1f} s")

    async def over(self) -> None:
        """Wait until it is mended. Raises what mending raised."""
        if self._running is not None:
            await self._running

    @property
    def times(self) -> int:
        """How often it came."""
        return sum(not each.startswith(" ") for each in self.struck)


@dataclass
class Clean:
    """What an undisturbed day does."""

    made: effects.Effects
    consumers: effects.Consumers
    commands: int


class Story:
    """One platform on which the day is played again and again."""

    def __init__(self, platform: Platform, http: aiohttp.ClientSession) -> None:
        self.platform = platform
        self._http = http
        self._clean: Clean | None = None
        self._languages = iter(("en", "es", "fr", "pl", "de", "it", "pt", "ko", "vi", "ar", "ru", "uk"))

    async def clean(self) -> Clean:
        """An undisturbed day, played once."""
        if self._clean is None:
            commands = 0

            def count(_method: str, _path: str, body: Any) -> Any:
                nonlocal commands
                commands += 1
                return body

            before = await effects.effects(self.platform)
            await self._play(count, frozenset(range(500, 600)))
            await eventually(self._quiet, timeout=SETTLE_S)
            made = effects.difference(await effects.effects(self.platform), before)
            consumers = (await effects.road(self.platform)).consumers()
            assert sum(len(each) for each in consumers.values()) > 15, consumers
            self._clean = Clean(made, consumers, commands)
        return self._clean

    async def survives(
        self, trouble: Trouble, rng: random.Random, times: int, *, faults: frozenset[int] = frozenset({500})
    ) -> Day:
        """Play the day through the trouble, and compare it with the undisturbed one.

        It comes `times` times by chance, once in each part of the day. `faults` are HTTP statuses that nobody may see.
        """
        clean = await self.clean()
        share = clean.commands / max(times, 1)
        for part in range(times):
            trouble.moments[rng.randrange(int(part * share), int((part + 1) * share))] = rng.random() * IN_FLIGHT_S
        before = await effects.effects(self.platform)
        began = time.monotonic()
        try:
            day = await self._play(trouble.command, faults)
            await trouble.over()
            played = time.monotonic() - began
            await self._same(day, before, clean, trouble.times)
        finally:
            print(f"\n  {trouble.name}, CHAOS_SEED={SEED}:", *trouble.struck, sep="\n    ")  # noqa: T201
            await asyncio.gather(trouble.over(), return_exceptions=True)
        print(f"    day {played:.1f} s, all settled after {time.monotonic() - began:.1f} s")  # noqa: T201
        assert trouble.times >= max(times, 1), "the trouble did not come as often as it should"
        return day

    async def _play(self, command: Callable[[str, str, Any], Any], faults: frozenset[int]) -> Day:
        day = Day.begin(self.platform, self._http, lambda _: None, Who.anyone())
        day.web.change_body = _in_language(next(self._languages), command)

        def no_fault(status: int, text: str, _headers: Any) -> None:
            assert status not in faults, text

        day.web.after_answer = no_fault
        day.undisturbed = False
        steps: Sequence[tuple[str, Any]] = (("what stands before", prepare), *PLAYED)
        for title, step in steps:
            try:
                await step(day)
            except Exception as error:
                raise AssertionError(f"{title}: did not hold: {error}\n{self._errors()}") from error
        return day

    def _errors(self) -> str:
        """What the services logged as errors, at the end of each log."""
        lines = [(part, line) for part in PARTS for line in self.platform.log(part).read_text().splitlines()]
        return "\n".join(f"{part}: {line[:3000]}" for part, line in lines if '"level":"error"' in line)[-9000:]

    async def _quiet(self) -> bool:
        """Nothing is on the road any more, as far as can be told without knowing who reacts to what."""
        found = await effects.road(self.platform)
        assert found.dead == []
        assert found.unpublished == []
        assert found.waiting == []
        found.consumers()
        return True

    async def _arrived(self, consumers: effects.Consumers) -> bool:
        """Every event that was told is published and was reacted to, once by each that it concerns."""
        found = await effects.road(self.platform)
        assert found.unpublished == []
        assert found.waiting == []
        unknown = {subject for subject in found.told.values() if subject not in consumers}
        assert not unknown, f"events that no undisturbed day tells: {unknown}"
        for event_id, subject in found.told.items():
            by = found.reacted.get(event_id, set())
            assert by == consumers[subject], f"{subject} {event_id}: reacted {by}, expected {consumers[subject]}"
        assert found.reacted.keys() <= found.told.keys(), "reactions to events that nobody told"
        return True

    async def _same(self, day: Day, before: effects.Effects, clean: Clean, crashes: int) -> None:
        await eventually(lambda: self._arrived(clean.consumers), timeout=SETTLE_S)
        assert (await effects.road(self.platform)).dead == []
        made = effects.difference(await effects.effects(self.platform), before)
        keys = sorted(made.keys() | clean.made.keys())
        other = [f"{' '.join(key)}: {made[key]}, not {clean.made[key]}" for key in keys if made[key] != clean.made[key]]
        assert not other, "not as on an undisturbed day:\n" + "\n".join(other)
        await effects.chains_hold(self.platform)
        await effects.ledger_balances(self.platform)
        alerts = [day.made["first_alert"], day.made["alert"]]
        await effects.pages_arrived(self.platform, alerts, crashes)


def _in_language(language: str, command: Callable[[str, str, Any], Any]) -> Callable[[str, str, Any], Any]:
    """Each day has a group in a language of its own, so that it is the one proposed."""

    def change(method: str, path: str, body: Any) -> Any:
        body = command(method, path, body)
        if path == "/v1/groups":
            return {"details": body["details"] | {"language": language}}
        return body | {"language": language} if path.endswith(":proposeGroups") else body

    return change
