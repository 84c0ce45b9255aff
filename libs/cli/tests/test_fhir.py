"""`haven import fhir`: reading files, and sending to a gateway that answers over HTTP."""

import asyncio
import json
import threading

import pytest
from aiohttp import web
from typer.testing import CliRunner

from haven_cli.fhir_read import MAX_BUNDLE_BYTES, Export, Ready, Refusal, files_in, last_part, read_into, ready
from haven_cli.main import app

NPI = "http://hl7.org/fhir/sid/us-npi"


def patient(number, **more):
    return {
        "resourceType": "Patient",
        "id": f"p{number}",
        "identifier": [{"system": "urn:mrn", "value": f"mrn-{number}"}],
        "name": [{"family": "Canary", "given": [f"Person{number}"]}],
        "birthDate": "1990-01-02",
        "photo": [{"data": "not needed"}],
    } | more


def condition(number, subject, code="44054006", status="active"):
    return {
        "resourceType": "Condition",
        "id": f"c{number}",
        "subject": {"reference": subject},
        "code": {"coding": [{"code": code}]},
        "clinicalStatus": {"coding": [{"code": status}]},
        "onsetDateTime": f"20{number:02}-01-01",
        "note": [{"text": "not needed"}],
    }


def encounter(number, subject, doctor, day):
    return {
        "resourceType": "Encounter",
        "id": f"e{number}",
        "subject": {"reference": subject},
        "period": {"start": day},
        "participant": [{"individual": {"reference": doctor}}],
        "serviceProvider": {"reference": "Organization?identifier=urn:org|o-1"},
    }


DOCTORS = [
    {"resourceType": "Practitioner", "id": f"d{number}", "identifier": [{"system": NPI, "value": f"123456789{number}"}]}
    for number in (1, 2)
]
ROLE = {
    "resourceType": "PractitionerRole",
    "id": "r1",
    "practitioner": {"identifier": {"system": NPI, "value": "1234567892"}},
    "specialty": [{"text": "Psychiatry Physician"}],
}
HOSPITAL = {
    "resourceType": "Organization",
    "id": "o1",
    "identifier": [{"system": "urn:org", "value": "o-1"}],
    "name": "Plains",
}


def write_lines(path, *resources):
    path.write_text("".join((each if isinstance(each, str) else json.dumps(each)) + "\n" for each in resources))
    return path


def read(*paths):
    export = Export()
    for file in files_in(paths):
        for _ in read_into(export, file):
            continue
    return export


def bundles(export):
    return [json.loads(each.bundle) for each in ready(export) if isinstance(each, Ready)]


def kinds(bundle):
    return [each["resource"]["resourceType"] for each in bundle["entry"]]


def test_joins_by_reference_and_by_identifier_over_several_files(tmp_path):
    latest = f"Practitioner?identifier={NPI}|1234567892"
    write_lines(tmp_path / "Condition.ndjson", condition(1, "Patient/p1"), condition(2, "Patient/p2"))
    write_lines(
        tmp_path / "Encounter.ndjson",
        encounter(1, "Patient/p1", f"Practitioner?identifier={NPI}|1234567891", "2020-01-01"),
        encounter(2, "Patient/p1", latest, "2024-01-01"),
    )
    write_lines(tmp_path / "Patient.ndjson", patient(1), "", patient(2))
    write_lines(tmp_path / "Others.ndjson", *DOCTORS, ROLE, HOSPITAL, {"resourceType": "Observation", "id": "x"})
    first, second = bundles(read(tmp_path))
    assert kinds(first) == [
        "Patient", "Condition", "Encounter", "Encounter", "Practitioner", "PractitionerRole", "Organization",
    ]  # fmt: skip
    assert first["entry"][4]["resource"]["id"] == "d2"
    assert kinds(second) == ["Patient", "Condition"]
    assert "not needed" not in json.dumps([first, second])


def test_reads_bundles_with_urn_references(tmp_path):
    entries = [patient("u"), condition(1, "urn:uuid:pu")]
    bundle = {"resourceType": "Bundle", "type": "transaction", "entry": [{"resource": each} for each in entries]}
    (tmp_path / "one.json").write_text(json.dumps(bundle, indent=1))
    (found,) = bundles(read(tmp_path / "one.json"))
    assert kinds(found) == ["Patient", "Condition"]
    assert found["entry"][1]["resource"]["subject"] == {"reference": "Patient/pu"}


@pytest.mark.parametrize("reference", ["Patient/p1", "urn:uuid:p1", "https://host/fhir/Patient/p1"])
def test_the_id_of_any_reference(reference):
    assert last_part(reference) == "p1"


def test_what_says_the_same_is_sent_once_and_the_order_read_makes_no_difference(tmp_path):
    several = [condition(n, "Patient/p1") for n in (1, 3, 2)] + [condition(4, "Patient/p1", status="resolved")]
    (one,) = bundles(read(write_lines(tmp_path / "a.ndjson", patient(1), *several)))
    (other,) = bundles(read(write_lines(tmp_path / "b.ndjson", *reversed(several), patient(1))))
    assert one == other
    assert [each["resource"]["id"] for each in one["entry"]] == ["p1", "c3", "c4"]


def test_a_bad_line_is_named_and_the_rest_goes_on(tmp_path):
    file = write_lines(
        tmp_path / "mixed.ndjson", patient(1), '{"resourceType": "Patient", "name": "Secr', "[1]", patient(2),
        {"resourceType": "Patient"}, {"resourceType": "Condition"},
    )  # fmt: skip
    export = read(file)
    assert len(export.patients) == 2
    assert [(each.place.line, each.reason) for each in export.refusals] == [
        (2, "not JSON (column 42)"),
        (3, "not a FHIR resource: resourceType is missing"),
        (5, "Patient.id is missing"),
        (6, "Condition.subject names no patient"),
    ]


def test_what_is_about_nobody_here_is_counted(tmp_path):
    export = read(write_lines(tmp_path / "a.ndjson", patient(1), condition(1, "Patient/elsewhere")))
    assert export.orphans == 1


def test_a_patient_with_too_much_is_refused(tmp_path):
    huge = patient(1, name=[{"family": "x" * MAX_BUNDLE_BYTES}])
    (found,) = ready(read(write_lines(tmp_path / "a.ndjson", huge)))
    assert isinstance(found, Refusal)


class Gateway:
    """Answers imports as the gateway does: by identifier and content."""

    def __init__(self):
        self.known = {}
        self.busy = 1
        self.status = 200
        self.keys = []
        self.url = ""

    async def answer(self, request):
        self.keys.append(request.headers["Idempotency-Key"])
        if request.headers["Authorization"] != "Bearer good":
            return web.json_response({"title": "Not permitted"}, status=403)
        if self.busy:
            self.busy -= 1
            return web.json_response({}, status=503, headers={"Retry-After": "0"})
        bundle = (await request.json())["bundleJson"]
        who = json.loads(bundle)["entry"][0]["resource"]
        if not who.get("birthDate"):
            violation = {"field": "bundle_json.Patient.birthDate", "rule": "full_date", "message": "A date is needed."}
            return web.json_response({"title": "Invalid request", "violations": [violation]}, status=400)
        before = self.known.get(who["id"])
        self.known[who["id"]] = bundle
        outcome = "CREATED" if before is None else "UNCHANGED" if before == bundle else "UPDATED"
        return web.json_response({"outcome": f"IMPORT_OUTCOME_{outcome}"})

    async def serve(self, ready_event, stop):
        application = web.Application()
        application.router.add_post("/v1/referrals:import", self.answer)
        runner = web.AppRunner(application)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        self.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        self.loop = asyncio.get_running_loop()
        ready_event.set()
        await stop.wait()
        await runner.cleanup()


@pytest.fixture
def gateway():
    there, started = Gateway(), threading.Event()
    stop = asyncio.Event()
    thread = threading.Thread(target=lambda: asyncio.run(there.serve(started, stop)))
    thread.start()
    assert started.wait(10)
    yield there
    there.loop.call_soon_threadsafe(stop.set)
    thread.join(10)


def run(gateway, *paths, token="good"):
    return CliRunner().invoke(
        app, ["import", "fhir", *map(str, paths), "--gateway", gateway.url, "--token", token], catch_exceptions=False
    )


def counts(result):
    words = {"created", "updated", "unchanged", "refused"}
    rows = [line.strip("│┃ ").split("│") for line in result.stdout.splitlines()]
    return {row[0].strip(): int(row[1]) for row in rows if row[0].strip() in words and len(row) == 2}


def test_a_second_run_changes_nothing_and_a_changed_patient_is_updated(tmp_path, gateway):
    file = write_lines(tmp_path / "a.ndjson", patient(1), patient(2), condition(1, "Patient/p1"))
    first = run(gateway, tmp_path)
    assert (first.exit_code, counts(first)) == (0, {"created": 2, "updated": 0, "unchanged": 0, "refused": 0})
    assert len(gateway.keys) == 3  # one was busy and sent again, with the same key
    assert len(set(gateway.keys)) == 2
    assert counts(run(gateway, file))["unchanged"] == 2
    write_lines(file, patient(1), patient(2))
    assert counts(run(gateway, file)) == {"created": 0, "updated": 1, "unchanged": 1, "refused": 0}


def test_what_was_refused_is_reported_without_its_content(tmp_path, gateway):
    write_lines(tmp_path / "a.ndjson", patient(1), '{"name": "Canary', patient(2, birthDate=""), patient(3))
    result = run(gateway, tmp_path)
    assert (result.exit_code, counts(result)) == (1, {"created": 2, "updated": 0, "unchanged": 0, "refused": 2})
    assert "a.ndjson, line 2: not JSON" in result.stderr
    assert "a.ndjson, line 3: Patient.birthDate: A date is needed." in result.stderr
    assert "Canary" not in result.output


def test_a_sign_in_that_may_not_import_ends_at_once(tmp_path, gateway):
    write_lines(tmp_path / "a.ndjson", *(patient(n) for n in range(50)))
    result = run(gateway, tmp_path, token="bad")
    assert result.exit_code == 1
    assert "care coordinator" in result.stderr
    assert len(gateway.keys) < 10


def test_a_folder_without_files_is_named(tmp_path, gateway):
    result = run(gateway, tmp_path)
    assert result.exit_code == 1
    assert "no NDJSON or JSON file" in result.stderr
