"""Agendas."""

from __future__ import annotations

from haven.scheduling.v1 import calendar_pb2 as pb

from haven_kit import etags
from haven_kit.call import Call
from haven_kit.errors import Invalid, NotFound, Refused
from haven_scheduling import facts, policy
from haven_scheduling.api.base import Base
from haven_scheduling.store import calendar


class AgendasApi(Base):
    """Agendas."""

    async def put_agenda(self, call: Call, request: pb.PutAgendaRequest) -> pb.Agenda:
        """Say what a session brings."""
        row = await calendar.lock_session(call.tx, request.session_id)
        await policy.require_manage(call, row)
        call.about(*row.person_ids)
        if row.state == calendar.CANCELLED:
            raise Refused("session_cancelled", "The session has been cancelled.")
        if sum(each.minutes for each in request.items) > row.when.minutes:
            raise Invalid("items", "agenda_fits", "The parts together are longer than the session.")
        kept = await calendar.agenda(call.tx, row.session_id)
        etags.check(request.etag, kept[1] if kept else 0)
        agenda = pb.Agenda(title=request.title, objectives=request.objectives, items=request.items)
        sealed = self._cipher.seal(agenda, context=f"agenda/{row.session_id}")
        return _shown(agenda, row.session_id, await calendar.write_agenda(call.tx, row.session_id, sealed))

    async def get_agenda(self, call: Call, request: pb.GetAgendaRequest) -> pb.Agenda:
        """What a session brings."""
        row = await calendar.session(call.tx, request.session_id)
        call.about(*await policy.require_session(call, row))
        kept = await calendar.agenda(call.tx, row.session_id)
        if kept is None:
            raise NotFound("agenda")
        agenda = self._cipher.open(pb.Agenda, kept[0], context=f"agenda/{row.session_id}")
        return _shown(agenda, row.session_id, kept[1])

    async def list_agenda_templates(
        self, _call: Call, _request: pb.ListAgendaTemplatesRequest
    ) -> pb.ListAgendaTemplatesResponse:
        """Outlines to start an agenda from."""
        return facts.agenda_templates()


def _shown(agenda: pb.Agenda, session_id: str, version: int) -> pb.Agenda:
    agenda.session_id = session_id
    agenda.total_minutes = sum(each.minutes for each in agenda.items)
    agenda.etag = etags.of(version)
    return agenda
