"""The crisis service: `python -m haven_crisis` serves, `python -m haven_crisis migrate` migrates."""

from __future__ import annotations

from haven_crisis import facts
from haven_crisis.acceptance import Acceptance
from haven_crisis.api import apis
from haven_crisis.api.desk import Desk
from haven_crisis.auditor import Auditor
from haven_crisis.channels import Channels
from haven_crisis.deliveries import Deliveries
from haven_crisis.directory import Directory
from haven_crisis.escalator import Escalator
from haven_crisis.pager import Pager
from haven_crisis.reactions import reactions
from haven_crisis.settings import CrisisSettings
from haven_crisis.web import edge
from haven_crisis.workers import workers
from haven_kit.service import Parts, Service, Spec, main


def build(parts: Parts[CrisisSettings]) -> Service:
    """Wire the service. It calls no other."""
    facts.load()
    directory = Directory(parts.cipher, parts.settings)
    channels = Channels(parts.settings, parts.clock)
    pager = Pager(parts, directory, channels)
    acceptance = Acceptance(parts, directory, pager)
    escalator = Escalator(parts, directory, pager, acceptance)
    desk = Desk(parts, directory, pager, acceptance)
    deliveries = Deliveries(parts, directory, pager, channels)
    return Service(
        apis=apis(desk, channels),
        reactions=reactions(acceptance, parts.cipher),
        workers=workers(pager, escalator, Auditor(parts, directory, pager), deliveries),
        on_stop=(pager.settle, deliveries.finish, channels.close),
        edge=edge(parts, desk, channels),
    )


SPEC = Spec(name="crisis", settings=CrisisSettings, build=build)

if __name__ == "__main__":
    main(SPEC)
