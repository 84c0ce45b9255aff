"""`haven import fhir` against the platform: a hospital's export becomes referrals, once, whatever is wrong with a line.

Twice: with an export written here, and with a real hospital's kind of export where HAVEN_FHIR_SAMPLES names its folder.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import secrets
import shutil
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import asyncpg
import pytest
import pytest_asyncio
from haven.options.v1.options_pb2 import ROLE_PARTICIPANT, ROLE_PARTNER

from haven_dev.day.actor import Actor, CallFailed
from haven_dev.runner import Platform
from haven_kit import contract
from tests.e2e.program import Program

HAVEN = Path(sys.executable).with_name("haven")
SNOMED = "http://snomed.info/sct"
PARTNER_ABUSE, FATIGUE = "706893006", "84229001"
UNTOUCHED = ("person", "person_key", "referral", "document", "consent", "screening", "concern", "link", "admission")
"""What an import that finds nothing new leaves as it is, row by row."""


@dataclass(frozen=True)
class Run:
    """How the command ended."""

    status: int
    out: str
    err: str

    @property
    def counts(self) -> dict[str, int]:
        """The summary that it prints."""
        return {
            name: int(count) for name, count in re.findall(r"(created|updated|unchanged|refused)\D+(\d+)", self.out)
        }


@dataclass(frozen=True)
class Imported:
    """An export, how its first import ended, and the people it brought."""

    folder: Path
    run: Run
    people: set[str]

    @property
    def patients(self) -> list[dict[str, Any]]:
        """The Patient lines of the export."""
        return [json.loads(line) for file in self.folder.glob("Patient*.ndjson") for line in _lines(file)]


def _lines(file: Path) -> list[str]:
    return [line for line in file.read_text().splitlines() if line.strip()]


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def program(platform: Platform, http: aiohttp.ClientSession) -> Program:
    """A program with its staff."""
    return Program.begin(platform, http)


@pytest.fixture(scope="module", params=["written", "hospital"])
def export(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of an export."""
    if request.param == "written":
        return _written(tmp_path_factory.mktemp("export"))
    samples = os.environ.get("HAVEN_FHIR_SAMPLES")
    if not samples:
        pytest.skip("HAVEN_FHIR_SAMPLES is not set")
    return Path(samples)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def imported(platform: Platform, program: Program, export: Path) -> Imported:
    """The export, imported once."""
    before = await _people(platform)
    run = await _import(platform, program, export)
    return Imported(export, run, await _people(platform) - before)


def _condition(patient: str, code: str, text: str) -> dict[str, Any]:
    active = {"system": "http://terminology.hl7.org/CodeSystem/condition-clinical", "code": "active"}
    return {
        "resourceType": "Condition",
        "id": f"{patient}-{code}",
        "clinicalStatus": {"coding": [active]},
        "code": {"coding": [{"system": SNOMED, "code": code, "display": text}], "text": text},
        "subject": {"reference": f"Patient/{patient}"},
        "onsetDateTime": "2026-02-11T09:30:00-06:00",
    }


def _write(file: Path, resources: Iterable[dict[str, Any]]) -> None:
    file.write_text("".join(f"{json.dumps(each)}\n" for each in resources))


def _written(folder: Path) -> Path:
    """Four people who do not exist; to one of them a partner is a danger."""
    ids = [secrets.token_hex(8) for _ in range(4)]
    _write(
        folder / "Patient.ndjson",
        (
            {
                "resourceType": "Patient",
                "id": each,
                "identifier": [{"system": "https://hospital.example/mrn", "value": each}],
                "name": [{"family": each.capitalize(), "given": [each[::-1]]}],
                "gender": "female",
                "birthDate": f"19{70 + number}-05-06",
            }
            for number, each in enumerate(ids)
        ),
    )
    findings = [_condition(each, "73595000", "Stress (finding)") for each in ids]
    findings.append(_condition(ids[2], PARTNER_ABUSE, "Victim of intimate partner abuse (finding)"))
    _write(folder / "Condition.ndjson", findings)
    return folder


async def _import(platform: Platform, program: Program, folder: Path) -> Run:
    """Run the command, as a care coordinator would."""
    at = program.now().timestamp()
    token = platform.issuer.token("care_coordinator", sub=program.coordinator.sub, at=at)
    process = await asyncio.create_subprocess_exec(
        str(HAVEN), "import", "fhir", str(folder), "--gateway", platform.gateway_url, "--token", token,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    out, err = await process.communicate()
    assert process.returncode is not None
    return Run(process.returncode, out.decode(), err.decode())


async def _fetch(platform: Platform, sql: str) -> list[Any]:
    connection = await asyncpg.connect(platform.database_url("intake"))
    try:
        return [tuple(row) for row in await connection.fetch(sql)]
    finally:
        await connection.close()


async def _people(platform: Platform) -> set[str]:
    return {row[0] for row in await _fetch(platform, "SELECT person_id::text FROM person")}


async def _state(platform: Platform) -> list[Any]:
    """Every row of what an import may write, and how many events were told that are not about looks."""
    rows = [await _fetch(platform, f'SELECT t::text FROM "{table}" t ORDER BY 1') for table in UNTOUCHED]
    events = "SELECT count(*) FROM outbox WHERE subject NOT LIKE '%.audit.%'"
    return [*rows, await _fetch(platform, events)]


async def _referrals(program: Program, imported: Imported) -> dict[str, Any]:
    """The referrals of an import by person, as the coordinator reads them."""
    found: dict[str, Any] = {}
    token = ""
    while True:
        page = await program.coordinator.get("/v1/referrals", page_size=50, page_token=token)
        found |= {each["personId"]: each for each in page["referrals"] if each["personId"] in imported.people}
        token = page["nextPageToken"]
        if not token:
            return found


async def test_as_many_people_come_in_as_there_are_patients(program: Program, imported: Imported) -> None:
    patients = len(imported.patients)
    assert patients >= 4
    assert imported.run.status == 0, imported.run.err
    assert imported.run.counts == {"created": patients, "updated": 0, "unchanged": 0, "refused": 0}
    assert len(imported.people) == patients
    referrals = await _referrals(program, imported)
    assert len(referrals) == patients
    names = set()
    for person in referrals:
        read = await program.coordinator.get(f"/v1/people/{person}")
        names.add((read["familyName"], read["birthDate"]))
    assert names == {(each["name"][0]["family"], each["birthDate"]) for each in imported.patients}


async def test_a_second_import_changes_nothing(platform: Platform, program: Program, imported: Imported) -> None:
    before = await _state(platform)
    again = await _import(platform, program, imported.folder)
    assert again.status == 0, again.err
    assert again.counts == {"created": 0, "updated": 0, "unchanged": len(imported.patients), "refused": 0}
    assert await _state(platform) == before


async def test_a_corrupted_line_is_named_and_the_rest_comes_in(
    platform: Platform, program: Program, imported: Imported, tmp_path: Path
) -> None:
    copy = tmp_path / "copy"
    copy.mkdir()
    for each in imported.folder.iterdir():
        # The content alone: the samples may be read-only.
        shutil.copyfile(each, copy / each.name)
    # News about everyone, so that what comes in can be told from what was there.
    with (copy / "Condition.ndjson").open("a") as conditions:
        for each in imported.patients:
            conditions.write(f"{json.dumps(_condition(each['id'], FATIGUE, 'Fatigue (finding)'))}\n")
    patients = next(copy.glob("Patient*.ndjson"))
    lines = _lines(patients)
    lost = json.loads(lines[1])
    lines[1] = lines[1][: len(lines[1]) // 2]
    patients.write_text("\n".join(lines) + "\n")
    run = await _import(platform, program, copy)
    assert run.status == 1
    assert f"refused: {patients}, line 2: not JSON" in run.err
    assert run.counts == {"created": 0, "updated": len(lines) - 1, "unchanged": 0, "refused": 1}
    for text in (lost["name"][0]["family"], lost["birthDate"]):
        assert text not in run.out + run.err, "what is wrong is told without the content"
    referrals = await _referrals(program, imported)
    told = [
        person
        for person, each in referrals.items()
        if FATIGUE in [condition["code"] for condition in each["summary"]["conditions"]]
    ]
    assert len(told) == len(lines) - 1
    assert len(imported.people - set(told)) == 1


async def test_a_partner_never_learns_that_they_are_named_a_danger(program: Program, imported: Imported) -> None:
    referrals = await _referrals(program, imported)
    endangered = next(person for person, each in referrals.items() if each["summary"]["partnerFlags"])
    other = next(person for person, each in referrals.items() if not each["summary"]["partnerFlags"])
    flags, referral = referrals[endangered]["summary"]["partnerFlags"], referrals[endangered]["referralId"]
    one, partner = (_account(program, each) for each in (endangered, other))
    await program.care_team(one, {program.therapist: "INDIVIDUAL_THERAPIST"})
    for clinician in (program.coordinator, program.therapist):
        seen = (await clinician.get(f"/v1/referrals/{referral}"))["summary"]["partnerFlags"]
        assert [each["kind"] for each in seen] == ["intimate_partner_abuse"] * len(flags)
    link = await program.link(one, partner, scopes=["NAME", "SCHEDULE", "PROGRESS"])
    ids = {"person_id": endangered, "link_id": link["linkId"], "referral_id": referral}
    hidden = {str(each[name]).lower() for each in flags for name in ("kind", "label", "code")} | {"abuse"}
    for role in ("partner", "participant"):
        answers, refusals = await _every_read(_account(program, other, role), ids)
        assert {"GetPerson", "GetCarePlan", "GetLink", "GetCoupleStory"} <= answers.keys()
        assert not {"GetReferral", "GetPreferences", "GetAssessment", "ListAccesses"} & answers.keys()
        for name, answer in (answers | refusals).items():
            assert not [each for each in hidden if each in answer.lower()], name


def _account(program: Program, person: str, role: str = "participant") -> Actor:
    return Actor(program.day.web, person, role, person_id=person)


async def _every_read(actor: Actor, ids: dict[str, str]) -> tuple[dict[str, str], dict[str, str]]:
    """What every route about these ids says, of any service, that reads and is open to partners or participants.

    Answers and refusals, by method.
    """
    answers, refusals = {}, {}
    for method in contract.all_methods():
        places = set(re.findall(r"\{(\w+)\}", method.http_path))
        open_to = set(method.access.roles) & {ROLE_PARTNER, ROLE_PARTICIPANT}
        if method.http_verb == "GET" and open_to and places and places <= ids.keys() and not method.server_streaming:
            try:
                answers[method.name] = json.dumps(await actor.get(method.http_path.format(**ids)))
            except CallFailed as refusal:
                refusals[method.name] = str(refusal.problem)
    return answers, refusals
