"""ScreeningService.

An answer that calls for help is never held back: nothing that is wrong with the other answers refuses the request, so
the transaction that carries the concern always commits.
"""

from __future__ import annotations

from collections.abc import Sequence

from haven.intake.v1 import events_pb2
from haven.intake.v1 import screening_service_pb2 as pb

from haven_intake import facts
from haven_intake.concerns import raise_concern
from haven_intake.domain import instruments as rules
from haven_intake.settings import IntakeSettings
from haven_intake.store import people, screenings
from haven_kit import ids, relations
from haven_kit.call import Call
from haven_kit.errors import NotFound
from haven_kit.paging import Page
from haven_kit.service import Parts

FINISHED = "This screening is finished. You can open a new one."


class ScreeningApi:
    """Standard questions, scored by their published rules."""

    def __init__(self, parts: Parts[IntakeSettings]) -> None:
        self._cipher = parts.cipher

    async def list_instruments(self, _call: Call, _request: pb.ListInstrumentsRequest) -> pb.ListInstrumentsResponse:
        """The instruments in use."""
        return pb.ListInstrumentsResponse(instruments=[_catalogued(each) for each in facts.all_instruments().values()])

    async def get_instrument(self, _call: Call, request: pb.GetInstrumentRequest) -> pb.Instrument:
        """One instrument: items, answers, severity bands, and where they come from."""
        return _catalogued(_instrument(request.instrument_id))

    async def submit_screening(self, call: Call, request: pb.SubmitScreeningRequest) -> pb.Screening:
        """Opens a screening, with all answers, some, or none."""
        await relations.require(call, request.person_id)
        await people.get(call.tx, self._cipher, request.person_id)
        instrument = _instrument(request.instrument_id)
        screening = pb.Screening(
            screening_id=ids.new_id(),
            person_id=request.person_id,
            instrument_id=instrument.id,
            instrument_version=instrument.version,
            state=pb.SCREENING_STATE_DRAFT,
        )
        screening.started_at.FromDatetime(call.now)
        return await self._answer(call, screening, request.answers)

    async def save_answer(self, call: Call, request: pb.SaveAnswerRequest) -> pb.Screening:
        """Saves one answer of a draft."""
        await relations.require(call, request.person_id, "screening")
        screening = await screenings.get(call.tx, self._cipher, request.person_id, request.screening_id, lock=True)
        return await self._answer(call, screening, [request.answer])

    async def get_screening(self, call: Call, request: pb.GetScreeningRequest) -> pb.Screening:
        """One screening with answers and score."""
        await relations.require(call, request.person_id, "screening")
        return await screenings.get(call.tx, self._cipher, request.person_id, request.screening_id)

    async def list_screenings(self, call: Call, request: pb.ListScreeningsRequest) -> pb.ListScreeningsResponse:
        """A person's screenings, newest first."""
        await relations.require(call, request.person_id)
        page = Page.of(request)
        found = await screenings.page(call.tx, self._cipher, request.person_id, request.instrument_id, page)
        shown, token = page.cut(found, lambda each: [each.screening_id])
        return pb.ListScreeningsResponse(screenings=shown, next_page_token=token)

    async def _answer(self, call: Call, screening: pb.Screening, given: Sequence[pb.Answer]) -> pb.Screening:
        """Take answers into a screening. What calls for help goes out whatever else is missing or wrong."""
        instrument = facts.all_instruments()[screening.instrument_id]
        pairs = [(each.item_id, each.value) for each in given]
        before = {each.item_id: each.value for each in screening.answers}
        already = rules.concerns(instrument, list(before.items()))
        new_concerns = rules.concerns(instrument, pairs) - already
        if screening.state == pb.SCREENING_STATE_SCORED:
            # A finished screening keeps its answers; a call for help in a late one still goes out.
            problems = [pb.AnswerProblem(item_id=item, rule="finished", message=FINISHED) for item, _ in pairs]
        else:
            problems = self._take(call, screening, instrument, before, pairs)
        if new_concerns:
            urgency = rules.urgency(instrument, new_concerns)
            await raise_concern(call.tx, screening.person_id, screening.screening_id, urgency)
            screening.concern_raised = True
        if screening.concern_raised:
            screening.help.CopyFrom(_help())
        await screenings.put(call.tx, self._cipher, screening)
        screening.problems.extend(problems)
        return screening

    def _take(
        self,
        call: Call,
        screening: pb.Screening,
        instrument: rules.Instrument,
        before: dict[str, int],
        pairs: list[tuple[str, int]],
    ) -> list[pb.AnswerProblem]:
        accepted = rules.accept(instrument, pairs)
        answers = before | accepted.answers
        screening.ClearField("answers")
        screening.answers.extend(
            pb.Answer(item_id=item.id, value=answers[item.id]) for item in instrument.items if item.id in answers
        )
        screening.ClearField("missing_items")
        screening.missing_items.extend(rules.missing(instrument, answers))
        if not screening.missing_items:
            self._score(call, screening, instrument, answers)
        return [
            pb.AnswerProblem(item_id=each.item_id, rule=each.rule, message=each.message) for each in accepted.problems
        ]

    def _score(
        self, call: Call, screening: pb.Screening, instrument: rules.Instrument, answers: dict[str, int]
    ) -> None:
        result = rules.score(instrument, answers)
        screening.state = pb.SCREENING_STATE_SCORED
        screening.scored_at.FromDatetime(call.now)
        screening.score.CopyFrom(pb.Score(total=result.total, severity=result.severity, findings=result.findings))
        for name, value in result.subscales:
            screening.score.subscales.add(name=name, score=value)
        scored = events_pb2.ScreeningScored(person_id=screening.person_id, screening_id=screening.screening_id)
        call.tx.emit(scored, key=screening.person_id)


def _instrument(instrument_id: str) -> rules.Instrument:
    found = facts.all_instruments().get(instrument_id)
    if found is None:
        raise NotFound("instrument")
    return found


def _help() -> pb.Help:
    raw = facts.help_text()
    return pb.Help(text=raw["text"], lines=[pb.HelpLine(**each) for each in raw["lines"]])


def _catalogued(each: rules.Instrument) -> pb.Instrument:
    options = [pb.AnswerOption(value=option.value, label=option.label) for option in each.options]
    shown = pb.Instrument(
        instrument_id=each.id,
        name=each.name,
        version=each.version,
        loinc=each.loinc,
        about=each.about,
        sources=each.sources,
    )
    for item in each.items:
        shown.items.add(
            item_id=item.id,
            label=item.label,
            loinc=item.loinc,
            options=options,
            asked_when_positive=item.asked_when_positive,
        )
    for band in each.bands:
        # `from` is a keyword of Python, so the message takes it as a mapping.
        shown.bands.add(**{"from": band.low, "to": band.high, "severity": band.severity})
    return shown
