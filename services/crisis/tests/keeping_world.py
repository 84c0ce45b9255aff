"""A crisis service whose database and NATS can be taken away."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from haven.crisis.v1 import signals_pb2 as pb

from haven_crisis.__main__ import READINESS, SPEC
from haven_crisis.store.pages import PageState
from haven_kit.testing import eventually
from haven_kit.testing.proxy import Proxy
from haven_kit.testing.running import Running
from haven_kit.testing.servers import Road

from .world import World


@dataclass
class Trouble:
    """A world whose database and NATS can be taken away."""

    world: World
    database: Proxy
    nats: Road
    serve: Callable[..., Awaitable[Running]]
    settings: dict[str, Any]
    journal: Path

    @property
    def keeping(self) -> Any:
        """What the service keeps."""
        return self.keeping_of(self.world.crisis)

    def keeping_of(self, replica: Running) -> Any:
        """What a replica keeps."""
        return self.roads_of(replica).keeping

    @asynccontextmanager
    async def away(self, *, database: bool = True, nats: bool = False) -> AsyncIterator[None]:
        """What is named is away in the block, and back after it."""
        if nats:
            await self.nats.stop()
        if database:
            await self.database.refuse()
        try:
            yield
        finally:
            if database:
                await self.database.start()
            if nats:
                await self.nats.start()
                await eventually(lambda: self.world.crisis.process.messaging.connected)

    async def complete(self) -> None:
        """Wait until all that was kept is in the record."""
        await eventually(lambda: self.keeping.cases == 0, timeout=20)

    def noted(self, alert_id: str) -> bool:
        """Whether it is known how every page of a kept alert went."""
        return not list(self.keeping._keeper.cases[alert_id].case.open_pages())

    def failed(self, alert_id: str) -> int:
        """How many pages of a kept alert failed so far."""
        held = self.keeping._keeper.cases[alert_id]
        return sum(each.state is PageState.FAILED for each in held.case.pages)

    async def fetch(self, sql: str, *args: Any) -> list[Any]:
        """Rows of the record."""
        async with self.world.transaction() as tx:
            rows: list[Any] = await tx.fetch(sql, *args)
        return rows

    async def whole(self, person_id: str, signals: int = 1) -> Any:
        """The person's alert, once its record is whole: it replays, and every page that came is in it once."""
        await self.complete()

        async def there() -> list[Any]:
            return await self.fetch(
                """SELECT * FROM alert WHERE person_id = $1 AND state <> 6 AND signals >= $2 AND NOT EXISTS
                (SELECT 1 FROM page WHERE page.alert_id = alert.alert_id AND page.state = 2)""",
                person_id,
                signals,
            )

        (alert,) = await eventually(there, timeout=20)
        await self.world.replays(str(alert["alert_id"]))
        rows = await self.fetch("SELECT page_id::text FROM page WHERE alert_id = $1 AND state = 3", alert["alert_id"])
        told = {each.headers["webhook-id"] for each in self.received(person_id)}
        assert told == {row["page_id"] for row in rows}
        assert alert["signals"] == signals
        assert len(await self.fetch("SELECT 1 FROM signal WHERE person_id = $1", person_id)) == signals
        return alert

    def received(self, person_id: str) -> list[Any]:
        """Every page for the alert that this person's signal was told to belong to."""
        alerts = self._alerts.get(person_id, set())
        return [
            each for hook in self.world.hooks.values() for each in hook.received
            if json.loads(each.body)["alert_id"] in alerts
        ]  # fmt: skip

    async def signal(self, person_id: str, **given: Any) -> pb.RaiseSignalResponse:
        """The person calls for help."""
        answer = await self.world.signal(person_id, **given)
        self._alerts.setdefault(person_id, set()).add(answer.alert_id or self.kept_alert(person_id))
        return answer

    def kept_alert(self, person_id: str) -> str:
        """The alert that is kept for a person."""
        cases = self.keeping._keeper.cases.items()
        return next(alert_id for alert_id, held in cases if held.case.person_id == person_id)

    async def on_call_is_known(self, replica: Running | None = None) -> None:
        """Who is on call is in the memory of the service, or of another replica."""
        await self.world.step("on-call", replica)

    async def replica(self, **settings: Any) -> Running:
        """One more, without a journal, that knows who is on call. `settings` override."""
        other = await self.serve(SPEC, **self.settings | {"crisis_journal_dir": None} | settings)
        await self.on_call_is_known(other)
        return other

    @property
    def roads(self) -> Any:
        """The roads that a call can take."""
        return self.roads_of(self.world.crisis)

    def roads_of(self, replica: Running) -> Any:
        """The roads that a call can take at a replica."""
        check: Any = replica.process.service.checks[READINESS]
        return check.__self__

    def __post_init__(self) -> None:
        self._alerts: dict[str, set[str]] = {}
