"""Events that more than one RPC tells."""

from __future__ import annotations

from haven.intake.v1 import events_pb2

from haven_intake.store.people import Record
from haven_kit.database import Tx


def card_changed(tx: Tx, record: Record) -> None:
    """What responders know of a person has changed."""
    event = events_pb2.PersonCardChanged(person_id=record.person_id, version=record.card_version)
    tx.emit(event, key=record.person_id)
