from importlib.resources import files
from pathlib import Path
from zoneinfo import available_timezones

import pytest
import yaml
from haven.intake.v1 import consent_service_pb2

from haven_intake import facts

FILES = sorted(str(each) for each in files("haven_intake").joinpath("data").rglob("*.yaml"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.rsplit("/data/")[-1])
def test_every_fact_names_its_source_and_version(path):
    content = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    assert content.get("source") or content.get("sources")
    assert content["version"]


def test_there_is_a_document_for_every_kind_of_consent():
    kinds = {
        each.removeprefix("CONSENT_KIND_").lower() for each in consent_service_pb2.ConsentKind.DESCRIPTOR.values_by_name
    }
    assert set(facts.consent_documents()) == kinds - {"unspecified"}


def test_what_admission_asks_for_exists():
    assert set(facts.admission_needs().screenings) <= set(facts.all_instruments())
    assert facts.offered_levels() <= set(facts.levels_of_care())


def test_time_zones_are_real_and_cover_the_licensed_states():
    assert set(facts.time_zones().values()) <= available_timezones()
    assert facts.licensed_states() <= set(facts.time_zones())


def test_help_names_988_and_911():
    assert [line["contact"] for line in facts.help_text()["lines"]] == ["988", "911"]


def test_partner_abuse_is_partner_private_and_drugs_are_part_2():
    audiences = {each.kind: each.audience.value for each in facts.safety_rules().findings.values()}
    assert audiences["intimate_partner_abuse"] == "partner_private"
    assert {audiences[kind] for kind in ("alcohol", "drug_misuse", "drug_overdose")} == {"substance_use"}
