"""The crisis service: `python -m haven_crisis` serves, `python -m haven_crisis migrate` migrates."""

from __future__ import annotations

from dataclasses import replace

from haven_crisis import facts
from haven_crisis.acceptance import Acceptance
from haven_crisis.api import apis
from haven_crisis.api.desk import Desk
from haven_crisis.away import Calendars
from haven_crisis.channels import Channels
from haven_crisis.deliveries import Deliveries
from haven_crisis.directory import Directory
from haven_crisis.escalator import Escalator
from haven_crisis.keeping.keeping import Keeping
from haven_crisis.pager import Pager
from haven_crisis.reactions import reactions
from haven_crisis.roads import Roads
from haven_crisis.settings import CrisisSettings
from haven_crisis.systems import Systems
from haven_crisis.watching import Watching
from haven_crisis.web import edge
from haven_crisis.workers import workers
from haven_kit.service import Parts, Service, Spec, main

READINESS = "calls_for_help"
"""The check that decides whether a replica is ready: it can take a call for help by one road or another. A replica that
was taken away because the database is would be the one that could still take calls."""


def build(parts: Parts[CrisisSettings]) -> Service:
    """Wire the service. It calls no other."""
    facts.load()
    directory = Directory(parts.cipher, parts.settings)
    channels = Channels(parts.settings, parts.clock)
    settings = parts.settings
    # Connections of their own: paging does not queue behind reads, calls for help do not behind paging, and nothing
    # does behind those who watch.
    paging = replace(parts, database=parts.database.beside(settings.crisis_paging_pool_size, "crisis-paging"))
    accepting = parts.database.beside(settings.crisis_accept_pool_size, "crisis-accepting")
    watches = parts.database.beside(settings.crisis_watch_pool_size, "crisis-watches")
    pager = Pager(paging, directory, channels)
    acceptance = Acceptance(parts, directory, pager)
    escalator = Escalator(paging, directory, pager, acceptance)
    keeping = Keeping(parts, directory, pager, paging.database)
    roads = Roads(parts, acceptance, keeping, accepting)
    desk = Desk(parts, directory, pager, acceptance, roads, Systems(parts), watches)
    deliveries = Deliveries(parts, directory, pager, channels)
    watching = Watching(parts, directory, pager, channels)
    return Service(
        apis=apis(desk, channels),
        reactions=reactions(acceptance, parts.cipher),
        workers=watching.over(
            workers(
                pager,
                escalator,
                deliveries,
                keeping,
                desk.systems,
                Calendars(parts, directory),
            )
        ),
        checks={READINESS: roads.open},
        ready_by=(READINESS,),
        on_start=(keeping.start,),
        on_stop=(pager.settle, keeping.stop, deliveries.finish, watching.close, channels.close),
        edge=edge(parts, desk, channels),
    )


SPEC = Spec(name="crisis", settings=CrisisSettings, build=build)

if __name__ == "__main__":
    main(SPEC)
