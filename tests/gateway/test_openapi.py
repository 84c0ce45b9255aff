"""The OpenAPI document: valid, true to the contracts, and committed as it is."""

from __future__ import annotations

import json
import re
from pathlib import Path

import jsonschema
import pytest
from openapi_spec_validator import validate

from haven_edge import openapi
from haven_edge.problems import KINDS
from haven_edge.surface import Surface, SurfaceError
from haven_kit import contract

from .contracts import descriptor_set

COMMITTED = Path(__file__).parents[2] / "docs" / "openapi.json"


@pytest.fixture(scope="module")
def real():
    return Surface.of_haven()


@pytest.fixture(scope="module")
def probe():
    return openapi.document(Surface.of(descriptor_set()))


def test_the_committed_document_is_what_the_contracts_say(real):
    """When this fails: `make openapi`, and commit docs/openapi.json."""
    assert COMMITTED.read_bytes() == openapi.printed(real)


def test_it_is_valid_by_an_independent_validator(real, probe):
    validate(openapi.document(real))
    validate(probe)


def test_every_method_that_people_may_call_is_in_it_once(real):
    operations = [o for path in openapi.document(real)["paths"].values() for o in path.values()]
    ids = [each["operationId"] for each in operations]
    assert len(ids) == len(set(ids))
    public = {(m.service, m.name[0].lower() + m.name[1:]) for m in contract.all_methods() if m.access.roles}
    assert {tuple(each.split("_", 1)) for each in ids} == public


def test_every_operation_is_described_and_names_its_roles(real):
    for path, operations in openapi.document(real)["paths"].items():
        for operation in operations.values():
            assert operation["summary"], path
            assert operation["x-haven-roles"], path
            assert set(re.findall(r"{(\w+)}", path)) == {
                p["name"] for p in operation.get("parameters", ()) if p.get("in") == "path"
            }


def test_no_route_of_the_real_contracts_hides_another(real):
    from haven_edge.router import Router

    router = Router()
    for method in real.methods:
        router.add(method.verb, method.path, method)
    for method in real.methods:
        concrete = re.sub(r"{[^}]+}", "01890a5d-ac96-774b-bcce-b302099a8057", method.path)
        found, parameters = router.find(method.verb, concrete.encode())
        assert found is method
        assert len(parameters) == len(method.parameters)


def test_no_health_information_is_in_an_address(real):
    for method in real.methods:
        inside = (
            method.parameters
            if method.body == "*"
            else [f.name for f in method.request.fields if f.name != method.body]
        )
        phi = [name for name in inside if contract.phi_kind(method.request.fields_by_name[name])]
        assert not phi, method.full_name


def test_rules_and_comments_become_schema(probe):
    create = probe["paths"]["/v1/things"]["post"]
    body = create["requestBody"]["content"]["application/json"]["schema"]
    assert body["properties"]["name"] == {
        "type": "string", "minLength": 1, "maxLength": 100, "x-haven-phi": "health",
    }  # fmt: skip
    assert body["properties"]["color"]["enum"] == ["COLOR_BLUE", "COLOR_RED"]
    assert body["required"] == ["name", "color"]
    assert body["additionalProperties"] is False
    thing = probe["components"]["schemas"]["probe.Thing"]
    assert thing["description"] == "A thing."
    assert thing["properties"]["name"]["description"] == "What it is called."
    assert thing["properties"]["weight"]["type"] == "string"
    assert thing["properties"]["madeAt"]["format"] == "date-time"


def test_what_is_taken_has_rules_and_what_is_given_is_always_there(probe):
    schemas = probe["components"]["schemas"]
    assert schemas["probe.Thing"]["required"] == ["thingId", "name", "color", "etag", "weight"]
    assert "additionalProperties" not in schemas["probe.Thing"]
    assert "required" not in schemas["probe.ThingInput"]
    assert schemas["probe.ThingInput"]["additionalProperties"] is False


def test_parameters_headers_and_bodies_are_those_of_the_route(probe):
    listing = {
        p.get("name") or p["$ref"].rpartition("/")[2]: p for p in probe["paths"]["/v1/things"]["get"]["parameters"]
    }
    assert set(listing) == {"pageSize", "pageToken", "colors", "since", "filter.startsWith", "filter.sizes", "archived"}
    assert listing["pageSize"]["schema"]["maximum"] == 200
    assert listing["pageSize"]["description"] == "How many at most."
    assert listing["colors"]["schema"]["maxItems"] == 5
    rename = probe["paths"]["/v1/things/{thingId}:rename"]["post"]
    assert set(rename["requestBody"]["content"]["application/json"]["schema"]["properties"]) == {"name"}
    get = probe["paths"]["/v1/things/{thingId}"]["get"]
    assert get["parameters"][0]["schema"]["format"] == "uuid"
    assert {"$ref": "#/components/parameters/IfNoneMatch"} in get["parameters"]
    assert set(get["responses"]) == {"200", "304", "4XX", "5XX"}
    assert get["summary"] == "Reads one thing"
    assert get["description"] == "Reads one thing.\n\nThe name can be anything."
    assert get["x-haven-roles"] == ["participant", "biller"]
    assert get["x-haven-seen-as"] == "read your thing"
    delete = probe["paths"]["/v1/things/{thingId}"]["delete"]
    assert {"$ref": "#/components/parameters/IfMatch"} in delete["parameters"]
    assert {"$ref": "#/components/parameters/IdempotencyKey"} in delete["parameters"]


def test_a_stream_is_told_as_server_sent_events(probe):
    watch = probe["paths"]["/v1/things:watch"]["get"]
    content = watch["responses"]["200"]["content"]["text/event-stream"]
    data = content["schema"]["properties"]["data"]
    assert data["contentSchema"] == {"$ref": "#/components/schemas/probe.ThingEvent"}
    assert {"$ref": "#/components/parameters/LastEventId"} in watch["parameters"]


def test_the_guide_for_frontends_speaks_of_what_there_is(real):
    document = openapi.document(real)
    guide = (COMMITTED.parent / "guides" / "frontend.md").read_text(encoding="utf-8")
    routes = re.findall(r"`(?:(POST|GET) )?(/v1/[\w{}/:-]+)`", guide)
    assert len(routes) > 5
    for verb, path in routes:
        assert path in document["paths"], path
        assert not verb or verb.lower() in document["paths"][path]
    for name in re.findall(r"SIGNAL_SOURCE_\w+", guide):
        assert f'"{name}"' in json.dumps(document)
    for kind in re.findall(r"/problems/([a-z-]+)", guide):
        assert kind.replace("-", "_") in KINDS


async def test_answers_are_as_the_document_says(site, probe):
    from .contracts import message

    site.probe.answers["GetThing"] = message("Thing")(name="kite", weight=5)
    site.probe.answers["GetThing"].made_at.GetCurrentTime()
    _, _, body = await site.call("GET", "/v1/things/01890a5d-ac96-774b-bcce-b302099a8057")
    _validate(body, "probe.Thing", probe)
    _, _, body = await site.call("POST", "/v1/signals", headers={})
    _validate(body, "Problem", probe)
    with pytest.raises(jsonschema.ValidationError):
        _validate({"title": 1}, "Problem", probe)


def _validate(value, name, document):
    jsonschema.validate(value, {"$ref": f"#/components/schemas/{name}", "components": document["components"]})


@pytest.mark.parametrize(
    ("change", "finding"),
    [
        (lambda m: m.__setitem__("get", "/v1/things"), "is already"),
        (lambda m: m.__setitem__("get", "/v1/things/{nope}"), "is not a field"),
        (lambda m: m.__setitem__("get", "/v1/things/{thing_id=a/*}"), "is not a plain field"),
        (lambda m: m.__setitem__("get", "/things"), "is not a path under /v1"),
        (lambda m: m.__setitem__("body", "*"), "a GET has no body"),
    ],
)
def test_contracts_that_cannot_be_served_are_refused(change, finding):
    from google.api import annotations_pb2
    from google.protobuf import descriptor_pb2

    files = descriptor_pb2.FileDescriptorSet()
    files.CopyFrom(descriptor_set())
    service = next(f for f in files.file if f.service and "probe" in f.package).service[0]
    rule = service.method[0].options.Extensions[annotations_pb2.http]
    changed = {}
    change(changed)
    for key, value in changed.items():
        setattr(rule, key, value)
    with pytest.raises(SurfaceError, match=finding):
        Surface.of(files)


def test_the_document_prints_the_same_each_time(real):
    first = openapi.printed(real)
    assert first == openapi.printed(Surface.of_haven())
    assert json.loads(first)["openapi"] == "3.1.0"
