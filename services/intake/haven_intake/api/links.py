"""LinkService."""

from __future__ import annotations

from haven.intake.v1 import events_pb2, people_pb2
from haven.intake.v1 import link_service_pb2 as pb
from haven.options.v1.options_pb2 import ROLE_COUPLES_THERAPIST

from haven_intake.api.teams import check_team, members
from haven_intake.settings import IntakeSettings
from haven_intake.store import consents, documents, links, people
from haven_kit import etags, relations, words
from haven_kit.call import Call
from haven_kit.errors import Conflict, Invalid, NotFound, Refused
from haven_kit.paging import Page
from haven_kit.service import Parts


class LinkApi:
    """Couples and families who take part together."""

    def __init__(self, parts: Parts[IntakeSettings]) -> None:
        self._cipher = parts.cipher

    async def link_people(self, call: Call, request: pb.LinkPeopleRequest) -> pb.Link:
        """Links two people."""
        one, other = request.person_id, request.linked_person_id
        if one == other:
            raise Invalid("linked_person_id", "another", "Two different people are needed.")
        await relations.require(call, one)
        for each in sorted((one, other)):
            await people.lock(call.tx, each)
        if not (await self._agrees(call, one, other) and await self._agrees(call, other, one)):
            raise Refused("relationship_consent", "Both give the relationship consent first, each naming the other.")
        if request.kind == pb.LINK_KIND_COUPLE:
            mine, _ = await documents.read(call.tx, self._cipher, people_pb2.CareTeam, one)
            theirs, _ = await documents.read(call.tx, self._cipher, people_pb2.CareTeam, other)
            check_team(members(mine), members(theirs))
        link = await links.add(call.tx, one, other, request.kind)
        if link is None:
            raise Conflict("linked_already", "These two people are linked already.")
        call.about(one, other)
        await self._tell(call, link)
        return link.message

    async def _agrees(self, call: Call, giver: str, named: str) -> bool:
        given = await consents.in_force(call.tx, self._cipher, giver, "relationship")
        return any(each.grantee_id == named for each in given)

    async def get_link(self, call: Call, request: pb.GetLinkRequest) -> pb.Link:
        """One link."""
        link = await self._mine(call, request.link_id)
        return link.message

    async def list_links(self, call: Call, request: pb.ListLinksRequest) -> pb.ListLinksResponse:
        """The links of a person."""
        await relations.require(call, request.person_id)
        call.about(request.person_id)
        page = Page.of(request)
        found = await links.page(call.tx, request.person_id, page)
        cut, token = page.cut(found, lambda each: [each.message.link_id])
        shown = [each.message for each in cut]
        return pb.ListLinksResponse(links=shown, next_page_token=token)

    async def end_link(self, call: Call, request: pb.EndLinkRequest) -> pb.Link:
        """Ends a link at once."""
        link = await self._mine(call, request.link_id, lock=True)
        etags.check(request.etag, link.version)
        if link.message.HasField("ended_at"):
            return link.message
        ended = await links.end(call.tx, request.link_id)
        await self._tell(call, ended)
        return ended.message

    async def get_couple_story(self, call: Call, request: pb.GetCoupleStoryRequest) -> pb.CoupleStory:
        """The couple's own account: what they share, and the caller's private part."""
        link = await self._mine(call, request.link_id, story=True)
        story, version = await documents.read(call.tx, self._cipher, pb.CoupleStory, request.link_id)
        story.etag = etags.of(version) if version else ""
        return _seen_by(call, link, story)

    async def put_couple_story(self, call: Call, request: pb.PutCoupleStoryRequest) -> pb.CoupleStory:
        """Writes the shared account and the caller's private part."""
        link = await self._mine(call, request.link_id, lock=True, story=True)
        if link.message.HasField("ended_at"):
            raise Refused("link_ended", "This link has ended; its story can be read, not changed.")
        old, _ = await documents.read(call.tx, self._cipher, pb.CoupleStory, request.link_id, lock=True)
        new, etag = request.story, request.etag or request.story.etag
        me = call.principal.person_id or ""
        if any(each.person_id not in ("", me) for each in new.private_parts):
            raise Invalid("story.private_parts", "own", "Only your own private part can be written.")
        mine = [each.text for each in new.private_parts] or [p.text for p in old.private_parts if p.person_id == me]
        theirs = [each for each in old.private_parts if each.person_id != me]
        new.ClearField("private_parts")
        new.ClearField("etag")
        new.private_parts.extend(theirs)
        for text in mine[:1]:
            new.private_parts.add(person_id=me, text=text)
        new.link_id = request.link_id
        new.updated_at.FromDatetime(call.now)
        version = await documents.write(call.tx, self._cipher, request.link_id, new, etag)
        new.etag = etags.of(version)
        return _seen_by(call, link, new)

    async def _mine(self, call: Call, link_id: str, *, lock: bool = False, story: bool = False) -> links.Record:
        """The link, for who stands to one of the two as the method asks."""
        link = await links.get(call.tx, link_id, lock=lock)
        resource = "story" if story else "link"
        if story and link.message.kind != pb.LINK_KIND_COUPLE:
            raise NotFound(resource)
        for person_id in link.people:
            if await relations.held(call, person_id):
                call.about(*link.people)
                return link
        raise NotFound(resource)

    async def _tell(self, call: Call, link: links.Record) -> None:
        message = link.message
        changed = events_pb2.PeopleLinked(
            link_id=message.link_id,
            person_id=message.person_id,
            linked_person_id=message.linked_person_id,
            kind=words.word(pb.LinkKind, message.kind),
            ended=message.HasField("ended_at"),
            version=link.version,
        )
        await relations.write_link(call.tx, changed)
        call.tx.emit(changed, key=message.link_id)


def _seen_by(call: Call, link: links.Record, story: pb.CoupleStory) -> pb.CoupleStory:
    """The story as the caller may see it: a partner finds their own private part, the couples therapist both."""
    me = call.principal.person_id
    is_partner = me in link.people
    if is_partner or not call.principal.has(ROLE_COUPLES_THERAPIST):
        own = [each for each in story.private_parts if each.person_id == me]
        story.ClearField("private_parts")
        story.private_parts.extend(own)
    story.link_id = link.message.link_id
    return story
