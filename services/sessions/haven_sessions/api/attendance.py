"""AttendanceService: who attended what, and for how long."""

from __future__ import annotations

from haven.sessions.v1 import attendance_service_pb2 as rpc

from haven_kit import etags, relations, times
from haven_kit.call import Call
from haven_kit.ids import new_id
from haven_kit.paging import Page
from haven_sessions import live, policy
from haven_sessions.store import attendance, sessions
from haven_sessions.store.attendance import Attendance


class AttendanceApi:
    """Answers AttendanceService."""

    async def list_attendance(self, call: Call, request: rpc.ListAttendanceRequest) -> rpc.ListAttendanceResponse:
        session = await sessions.get(call.tx, request.session_id)
        policy.require_may_list_attendance(call.principal, session, office=relations.is_office(call))
        page = Page.of(request)
        found = await attendance.of_session(call.tx, request.session_id, page)
        shown, token = page.cut(found, lambda each: [each.attendance_id])
        call.about(*(each.person_id for each in shown))
        return rpc.ListAttendanceResponse(attendance=[_message(each) for each in shown], next_page_token=token)

    async def correct_attendance(self, call: Call, request: rpc.CorrectAttendanceRequest) -> rpc.Attendance:
        record = await attendance.lock(call.tx, request.attendance_id)
        minutes = request.attended_minutes
        policy.require_may_correct(
            call.principal, record, minutes=minutes, office=relations.is_office(call), now=call.now
        )
        call.about(record.person_id)
        etags.check(request.etag, record.version)
        reason = rpc.CorrectionReason.Name(request.reason)
        corrected = await attendance.correct(call.tx, new_id(), record, minutes, reason)
        live.tell_attendance(call.tx, corrected)
        return _message(corrected)

    async def list_person_attendance(
        self, call: Call, request: rpc.ListPersonAttendanceRequest
    ) -> rpc.ListPersonAttendanceResponse:
        await relations.require(call, request.person_id)
        call.about(request.person_id)
        page = Page.of(request)
        found = await attendance.of_person(call.tx, request.person_id, page)
        shown, token = page.cut(found, lambda each: [each.starts_at.isoformat(), each.attendance_id])
        return rpc.ListPersonAttendanceResponse(attendance=[_message(each) for each in shown], next_page_token=token)


def _message(record: Attendance) -> rpc.Attendance:
    return rpc.Attendance(
        attendance_id=record.attendance_id,
        session_id=record.session_id,
        person_id=record.person_id,
        kind=record.kind,
        starts_at=times.stamp(record.starts_at),
        service_date=record.service_date.isoformat(),
        attended_minutes=record.minutes,
        intervals=[
            rpc.Interval(**{"from": times.stamp(each.start)}, until=times.stamp(each.end)) for each in record.intervals
        ],
        corrections=[
            rpc.Correction(
                minutes_before=each.minutes_before,
                minutes_after=each.minutes_after,
                reason=rpc.CorrectionReason.Value(each.reason),
                corrected_by=each.corrected_by,
                corrected_at=times.stamp(each.corrected_at),
            )
            for each in record.corrections
        ],
        etag=etags.of(record.version),
    )
