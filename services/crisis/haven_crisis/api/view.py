"""The responder's one page."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

from haven.crisis.v1 import alerts_pb2 as pb
from haven.crisis.v1 import people_pb2

from haven_crisis import facts, texts
from haven_crisis.directory import Directory
from haven_crisis.domain.alerts import Alert, Kind
from haven_crisis.store import alerts, pages, people
from haven_kit import etags
from haven_kit.cipher import Cipher
from haven_kit.database import Tx

BY_FAMILY = "partner_or_family"
"""The source of a signal, as the timeline names it."""
STALE_LOCATION = timedelta(hours=1)
TRIED = frozenset({int(Kind.CONTACT_TRIED), int(Kind.CONTACTED), int(Kind.STABILISED)})


async def of(tx: Tx, cipher: Cipher, alert: Alert, directory: Directory) -> pb.ResponderView:
    """Everything about an alert that its responder needs. Of a drill nobody's records are read, whoever it names: any
    responder may open it, to learn."""
    view = pb.ResponderView(
        alert=alerts.message(alert),
        timeline=await alerts.timeline(tx, cipher, alert.alert_id, 0, None),
        pages=await pages.of_alert(tx, alert.alert_id),
    )
    view.tried.extend(each for each in view.timeline if each.kind in TRIED)
    _names(view, directory)
    if alert.drill:
        view.emergency_lines.extend(facts.help_lines("", ""))
        view.cautions.append(texts.DRILL_CAUTION)
    else:
        await _about(tx, cipher, view, alert.person_id)
    if any(each.facts.get("source") == BY_FAMILY for each in view.timeline):
        view.cautions.insert(0, texts.REPORTED_BY_FAMILY)
    if alert.withdrawn:
        view.cautions.insert(0, texts.WITHDRAWN_CAUTION)
    return view


async def _about(tx: Tx, cipher: Cipher, view: pb.ResponderView, who: str) -> None:
    """What is known of the person."""
    card = await _card(tx, cipher, view, who)
    await _plan(tx, cipher, view, who)
    contacts, _, written_at = await people.get(tx, cipher, who, people.CONTACTS, people_pb2.CrisisContacts)
    _contacts(view, contacts)
    _copy(tx, view, people.CONTACTS, written_at)
    country, region = await _location(tx, cipher, view, who)
    view.emergency_lines.extend(facts.help_lines(country, region))
    presence = await people.presence(tx, who)
    if presence is not None:
        view.present_facilitator_id = presence["facilitator_id"]
        _copy(tx, view, "presence", presence["changed_at"])
    if card is not None and card.danger_at_home:
        view.cautions.insert(0, texts.DANGER_AT_HOME)


def _names(view: pb.ResponderView, directory: Directory) -> None:
    """The names of all who appear on the page and can be paged; a facilitator may be one of them or not."""
    shown: Iterable[str] = (
        view.alert.responder_id,
        view.alert.offered_to,
        view.alert.facilitator_id,
        *view.alert.observers,
        *(each.responder_id for each in view.pages),
        *(each.actor_id for each in view.timeline),
    )
    for each in shown:
        if name := directory.name(each):
            view.names[each] = name


def _copy(tx: Tx, view: pb.ResponderView, name: str, as_of: datetime | None) -> None:
    if as_of is None:
        return
    shown = view.copies.add(name=name, age_seconds=max(0, int((tx.now - as_of).total_seconds())))
    shown.as_of.FromDatetime(as_of)


async def _plan(tx: Tx, cipher: Cipher, view: pb.ResponderView, who: str) -> None:
    plan, version, written_at = await people.get(tx, cipher, who, people.SAFETY_PLAN, people_pb2.SafetyPlan)
    if plan is None or written_at is None:
        view.cautions.append(texts.NO_PLAN)
        return
    view.safety_plan.CopyFrom(plan)
    view.safety_plan.etag = etags.of(version)
    view.safety_plan.updated_at.FromDatetime(written_at)
    view.plan_parts.extend(pb.PlanPart(label=label, lines=getattr(plan, part)) for part, label in texts.PLAN_PARTS)
    missing = [part.label.lower() for part in view.plan_parts if not part.lines]
    if missing:
        view.cautions.append(texts.PLAN_GAPS.format(parts=", ".join(missing)))
    _copy(tx, view, people.SAFETY_PLAN, written_at)


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
    _copy(tx, view, people.CARD, sent_at)
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


async def _location(tx: Tx, cipher: Cipher, view: pb.ResponderView, who: str) -> tuple[str, str]:
    location, _, _ = await people.get(tx, cipher, who, people.LOCATION, people_pb2.Location)
    if location is None:
        view.cautions.append(texts.NO_LOCATION)
        return "", ""
    view.location.CopyFrom(location)
    confirmed_at = location.confirmed_at.ToDatetime(UTC)
    _copy(tx, view, people.LOCATION, confirmed_at)
    view.location_age_seconds = max(0, int((tx.now - confirmed_at).total_seconds()))
    if tx.now - confirmed_at > STALE_LOCATION:
        view.cautions.append(texts.OLD_LOCATION)
    return location.country, location.region
