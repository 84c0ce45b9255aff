"""The responder's one page."""

from __future__ import annotations

from datetime import UTC, timedelta

from haven.crisis.v1 import alerts_pb2 as pb
from haven.crisis.v1 import people_pb2

from haven_crisis import facts, texts
from haven_crisis.domain.alerts import Alert
from haven_crisis.store import alerts, pages, people
from haven_kit import etags
from haven_kit.cipher import Cipher
from haven_kit.database import Tx

STALE_LOCATION = timedelta(hours=1)


async def of(tx: Tx, cipher: Cipher, alert: Alert) -> pb.ResponderView:
    """Everything about an alert that its responder needs."""
    who = alert.person_id
    view = pb.ResponderView(
        alert=alerts.message(alert),
        timeline=await alerts.timeline(tx, cipher, alert.alert_id, 0, None),
        present_facilitator_id=await people.facilitator_present(tx, who),
        pages=await pages.of_alert(tx, alert.alert_id),
    )
    card = await _card(tx, cipher, view, who)
    plan, version, written_at = await people.get(tx, cipher, who, people.SAFETY_PLAN, people_pb2.SafetyPlan)
    if plan is None or written_at is None:
        view.cautions.append(texts.NO_PLAN)
    else:
        view.safety_plan.CopyFrom(plan)
        view.safety_plan.etag = etags.of(version)
        view.safety_plan.updated_at.FromDatetime(written_at)
    contacts, _, _ = await people.get(tx, cipher, who, people.CONTACTS, people_pb2.CrisisContacts)
    _contacts(view, contacts)
    country = await _location(tx, cipher, view, who)
    view.emergency_lines.extend(facts.help_lines(country))
    if card is not None and card.danger_at_home:
        view.cautions.insert(0, texts.DANGER_AT_HOME)
    if alert.withdrawn:
        view.cautions.insert(0, texts.WITHDRAWN_CAUTION)
    return view


async def _card(tx: Tx, cipher: Cipher, view: pb.ResponderView, who: str) -> people_pb2.PutPersonCardRequest | None:
    card, version, sent_at = await people.get(tx, cipher, who, people.CARD, people_pb2.PutPersonCardRequest)
    if card is None or sent_at is None:
        view.cautions.append(texts.NO_CARD)
        return None
    view.person.CopyFrom(
        people_pb2.PersonCard(
            person_id=who,
            chosen_name=card.chosen_name,
            pronouns=card.pronouns,
            legal_name=card.legal_name,
            birth_date=card.birth_date,
            ways=card.ways,
            time_zone=card.time_zone,
            language=card.language,
            avoid=card.avoid,
            helps=card.helps,
            danger_at_home=card.danger_at_home,
            version=version,
        )
    )
    view.person.updated_at.FromDatetime(sent_at)
    return card


def _contacts(view: pb.ResponderView, held: people_pb2.CrisisContacts | None) -> None:
    """Those who may be told first; the others after them, without a way to reach them."""
    if held is None or not held.contacts:
        view.cautions.append(texts.NO_CONTACTS)
        return
    ordered = sorted(held.contacts, key=lambda each: (each.never_contact, not each.consented))
    view.contacts.contacts.extend(ordered)
    for each in view.contacts.contacts:
        if each.never_contact or not each.consented:
            each.ClearField("ways")
    if any(each.never_contact for each in ordered):
        view.cautions.append(texts.NEVER_CONTACT)


async def _location(tx: Tx, cipher: Cipher, view: pb.ResponderView, who: str) -> str:
    location, _, _ = await people.get(tx, cipher, who, people.LOCATION, people_pb2.Location)
    if location is None:
        view.cautions.append(texts.NO_LOCATION)
        return ""
    view.location.CopyFrom(location)
    age = tx.now - location.confirmed_at.ToDatetime(UTC)
    view.location_age_seconds = max(0, int(age.total_seconds()))
    if age > STALE_LOCATION:
        view.cautions.append(texts.OLD_LOCATION)
    return location.country
