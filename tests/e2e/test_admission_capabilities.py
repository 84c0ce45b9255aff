"""What must hold before someone is admitted, through the gateway: what they signed, and where they take part from."""

from __future__ import annotations

from typing import Any

import aiohttp
import pytest
import pytest_asyncio

from haven_dev.day.actor import Actor
from haven_dev.runner import Platform
from tests.e2e.program import Program, refused

READY = {
    "downloadKbps": 20000,
    "uploadKbps": 5000,
    "cameraWorks": True,
    "microphoneWorks": True,
    "privatePlace": True,
    "state": "IL",
}


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def program(platform: Platform, http: aiohttp.ClientSession) -> Program:
    """A program with its staff."""
    return Program.begin(platform, http)


async def _prepared(program: Program, name: str) -> Actor:
    someone = await program.referred(name)
    await program.prepared(someone)
    return someone


def _record(someone: Actor, part: str) -> str:
    return f"/v1/people/{someone.person_id}/{part}"


@pytest.mark.parametrize(
    ("kind", "says"),
    [
        pytest.param("TREATMENT", ("confidential", "exceptions"), marks=pytest.mark.capability("INT-07")),
        pytest.param("GROUP_AGREEMENT", ("without interrupting", "stays here"), marks=pytest.mark.capability("INT-08")),
        pytest.param(
            "PRIVACY_NOTICE", ("encrypted", "can read it", "complain"), marks=pytest.mark.capability("INT-09")
        ),
        pytest.param(
            "BOUNDARIES", ("begin and end on time", "working days", "988"), marks=pytest.mark.capability("INT-10")
        ),
    ],
)
async def test_admission_waits_until_it_is_signed(program: Program, kind: str, says: tuple[str, ...]) -> None:
    someone = await _prepared(program, "Noa")
    consents = _record(someone, "consents")
    held = {each["kind"]: each["consentId"] for each in (await someone.get(consents))["consents"]}
    await someone.post(f"{consents}/{held[f'CONSENT_KIND_{kind}']}:revoke")
    documents = (await someone.get("/v1/consent-documents"))["documents"]
    text = next(each["text"] for each in documents if each["kind"] == f"CONSENT_KIND_{kind}")
    assert all(words in text for words in says)
    with refused(409, "not_prepared") as waiting:
        await program.admit(someone)
    assert f"needed: consent {kind.lower()}." in waiting.problem["detail"], "every other consent is given"
    with refused(400, "in_force"):
        await program.consent(someone, kind, documentVersion="2019-01")
    with refused(400, "typed_name"):
        await program.consent(someone, kind, signature="  ")
    (given,) = await program.consent(someone, kind)
    assert given["inForce"]
    assert given["signature"] == someone.name
    assert (await program.admit(someone))["admissionId"]


@pytest.mark.capability("INT-12")
async def test_connection_camera_and_microphone_are_checked_before_admission(program: Program) -> None:
    someone = await _prepared(program, "Kit")

    async def check(**changed: Any) -> Any:
        return await someone.put(_record(someone, "readiness"), {"readiness": READY | changed})

    for lacking, advice in (
        ({"downloadKbps": 500}, "steadier connection"),
        ({"uploadKbps": 100}, "steadier connection"),
        ({"microphoneWorks": False}, "microphone did not answer"),
    ):
        found = await check(**lacking)
        assert not found["technologyReady"]
        assert advice in " ".join(found["suggestions"])
        with refused(409, "not_prepared") as waiting:
            await program.admit(someone)
        assert "needed: technology check." in waiting.problem["detail"]
    unseen = await check(cameraWorks=False)
    assert unseen["technologyReady"], "a camera is a choice"
    assert "without it" in " ".join(unseen["suggestions"])
    assert (await check())["suggestions"] == []
    assert (await program.admit(someone))["admissionId"]


@pytest.mark.capability("INT-13")
async def test_people_are_admitted_only_where_the_program_is_licensed(program: Program) -> None:
    someone = await _prepared(program, "Wyn")
    path = _record(someone, "readiness")
    away = await someone.put(path, {"readiness": READY | {"state": "WY"}})
    assert away["technologyReady"]
    assert not away["locationEligible"]
    assert "find a program there" in " ".join(away["suggestions"])
    with refused(409, "not_prepared") as waiting:
        await program.admit(someone)
    assert "needed: licensed location." in waiting.problem["detail"]
    assert (await someone.put(path, {"readiness": READY | {"state": "CO"}}))["locationEligible"]
    assert (await program.admit(someone))["admissionId"]
