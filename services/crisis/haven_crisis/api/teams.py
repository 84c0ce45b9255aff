"""TeamService: responders who work together."""

from __future__ import annotations

import asyncpg
from haven.crisis.v1 import team_service_pb2 as pb

from haven_crisis.api.desk import Desk
from haven_crisis.api.planning import Planning
from haven_crisis.store import on_call
from haven_kit import etags
from haven_kit.call import Call
from haven_kit.paging import Page


class TeamApi:
    """Answers TeamService."""

    def __init__(self, desk: Desk) -> None:
        self._planning = Planning(desk)

    async def put_team(self, call: Call, request: pb.PutTeamRequest) -> pb.Team:
        team, etag = request.team, request.team.etag
        team.team_id = request.team_id
        team.etag = etags.of(await self._planning.team(call.tx, team, etag, "saved"))
        return team

    async def get_team(self, call: Call, request: pb.GetTeamRequest) -> pb.Team:
        return _team(await on_call.get(call.tx, "team", request.team_id))

    async def list_teams(self, call: Call, request: pb.ListTeamsRequest) -> pb.ListTeamsResponse:
        page = Page.of(request)
        rows = await on_call.listed(call.tx, "team", page.after[0] if page.after else "", page.size + 1)
        cut, token = page.cut(rows, lambda row: [row["key"]])
        return pb.ListTeamsResponse(teams=[_team(row) for row in cut], next_page_token=token)


def _team(row: asyncpg.Record) -> pb.Team:
    shown = pb.Team.FromString(row["body"])
    shown.etag = etags.of(row["version"])
    return shown
