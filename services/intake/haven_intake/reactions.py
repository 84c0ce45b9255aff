"""What intake does when it, or another service, tells of an event."""

from __future__ import annotations

from datetime import UTC
from typing import Any

from haven.audit.v1 import events_pb2 as audit
from haven.crisis.v1 import events_pb2 as alerts
from haven.crisis.v1 import people_pb2 as crisis
from haven.crisis.v1.crisis_service_pb2_grpc import CrisisServiceStub
from haven.intake.v1 import events_pb2, people_pb2

from haven_intake import step_ups, symptom_trends
from haven_intake.settings import IntakeSettings
from haven_intake.store import accesses, documents, people, referrals
from haven_kit.database import Tx
from haven_kit.reactions import Reaction
from haven_kit.service import Parts

CARD_SECONDS = 5.0


def reactions(parts: Parts[IntakeSettings]) -> tuple[Reaction[Any], ...]:
    """The reactions of intake."""
    bring = CardBringer(parts)

    async def screening_scored(tx: Tx, event: events_pb2.ScreeningScored) -> None:
        """Symptoms that rose and stay up speak for more care."""
        await step_ups.after_screening(tx, parts.cipher, event.person_id, event.screening_id)

    async def symptoms_told(tx: Tx, event: events_pb2.ScreeningScored) -> None:
        """Symptoms that became worse call for somebody to look in."""
        await symptom_trends.after_screening(tx, parts.cipher, event.person_id, event.screening_id)

    async def alert_raised(tx: Tx, event: alerts.AlertRaised) -> None:
        """Calls for help that repeat speak for more care; a drill speaks for nothing."""
        if not event.drill:
            raised_at = event.raised_at.ToDatetime(UTC)
            await step_ups.after_alert(tx, parts.cipher, event.alert_id, event.person_id, raised_at)

    return (
        Reaction(audit.AccessesSealed, keep_accesses),
        Reaction(events_pb2.PersonCardChanged, bring.bring_card),
        Reaction(events_pb2.ScreeningScored, screening_scored),
        Reaction(events_pb2.ScreeningScored, symptoms_told, never_buried=True),
        Reaction(alerts.AlertRaised, alert_raised),
    )


async def keep_accesses(tx: Tx, event: audit.AccessesSealed) -> None:
    """Take over who has seen whose data, from any service."""
    await accesses.add(tx, event)


class CardBringer:
    """Brings crisis what responders must know of a person. While crisis is down the event waits, and comes again."""

    def __init__(self, parts: Parts[IntakeSettings]) -> None:
        self._cipher = parts.cipher
        self._crisis: CrisisServiceStub = parts.client("crisis", CrisisServiceStub)

    async def bring_card(self, tx: Tx, event: events_pb2.PersonCardChanged) -> None:
        """Bring the card as it is now; a later change brings a later version."""
        person = await people.get(tx, self._cipher, event.person_id)
        preferences, _ = await documents.read(tx, self._cipher, people_pb2.Preferences, event.person_id)
        referral = await referrals.latest_of(tx, self._cipher, event.person_id)
        in_danger = bool(referral and referral.message.summary.partner_flags)
        await self._crisis.PutPersonCard(card_of(person, preferences, in_danger), timeout=CARD_SECONDS)


def card_of(
    record: people.Record, preferences: people_pb2.Preferences, partner_danger: bool
) -> crisis.PutPersonCardRequest:
    """The card. Ways that the person named as safe come alone; the general ones are used only where there are none."""
    person = record.message
    card = crisis.PutPersonCardRequest(
        person_id=record.person_id,
        version=record.card_version,
        chosen_name=person.display_name,
        pronouns=person.pronouns,
        legal_name=f"{person.given_name} {person.family_name}".strip(),
        birth_date=person.birth_date,
        time_zone=person.time_zone,
        language=person.languages[0] if person.languages else "",
        avoid=[each.what for each in preferences.triggers],
        helps=preferences.grounding,
        danger_at_home=partner_danger or preferences.never_contact_partner,
    )
    for contact in preferences.safe_contacts:
        card.ways.add(
            kind=contact.channel,
            address=contact.value,
            safe_times=contact.when,
            safe_words=f"The code word is: {preferences.code_word}" if preferences.code_word else "",
            may_leave_message=contact.message_ok,
        )
    if not card.ways:
        for phone in person.phones:
            card.ways.add(kind="phone", address=phone.value)
    return card
