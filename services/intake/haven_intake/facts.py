"""The clinical facts kept in `data/`. Read once at start."""

from __future__ import annotations

from datetime import timedelta
from functools import cache
from typing import Any

from haven_intake.domain import consents, fhir, instruments, levels, readiness, step_up, trends
from haven_kit.facts import read, read_all

PACKAGE = "haven_intake"


def load() -> None:
    """Read all files: a bad one ends the start."""
    for each in (
        all_instruments,
        help_text,
        consent_documents,
        levels_of_care,
        offered_levels,
        licensed_states,
        connection_needs,
        admission_needs,
        plan_suggestions,
        safety_rules,
        time_zones,
        check_in_trend,
        symptom_trends,
        step_up_rules,
    ):
        each()


@cache
def all_instruments() -> dict[str, instruments.Instrument]:
    """The instruments by id."""
    found = [_instrument(raw) for raw in read_all(PACKAGE, "instruments")]
    return {each.id: each for each in found}


def _instrument(raw: dict[str, Any]) -> instruments.Instrument:
    return instruments.Instrument(
        id=raw["id"],
        name=raw["name"],
        version=raw["version"],
        loinc=raw["loinc"],
        about=raw["about"],
        sources=tuple(raw["sources"]),
        options=tuple(instruments.Option(each["value"], each["label"]) for each in raw["options"]),
        items=tuple(
            instruments.Item(
                each["id"], each["label"], each.get("loinc", ""), tuple(each.get("asked_when_positive", ()))
            )
            for each in raw["items"]
        ),
        scoring=raw["scoring"],
        bands=tuple(instruments.Band(each["from"], each["to"], each["severity"]) for each in raw.get("bands", ())),
        triage=tuple(instruments.Level(each["severity"], tuple(each["items"])) for each in raw.get("triage", ())),
        subscales=tuple(
            instruments.Subscale(each["name"], tuple(each["items"]), each["needs"], each["symptom_at"])
            for each in raw.get("subscales", ())
        ),
        findings=tuple(
            instruments.Finding(each["when"], each["text"], each.get("value", 0)) for each in raw.get("findings", ())
        ),
        concern={
            each["item"]: instruments.Concern(each["at_least"], instruments.Urgency[each["level"].upper()])
            for each in raw["concern"]
        },
    )


def help_text() -> dict[str, Any]:
    """Calm words and ways to reach someone now: `text`, and `lines` of `name`, `how`, `contact`."""
    return read(PACKAGE, "help.yaml")


@cache
def consent_documents() -> dict[str, consents.Document]:
    """The documents in force, by kind."""
    raw = read(PACKAGE, "consents.yaml")["documents"]
    return {each["kind"]: consents.Document(**each) for each in raw}


@cache
def levels_of_care() -> dict[str, levels.Level]:
    """The levels of care by id, the least intensive first."""
    return {
        each["id"]: levels.Level(
            id=each["id"],
            name=each["name"],
            order=each["order"],
            hours_from=each["hours_per_week"]["from"],
            hours_to=each["hours_per_week"]["to"],
            max_risk=each["max_risk"],
            min_need=each["min_need"],
            around_the_clock=each["around_the_clock"],
            source=each["source"],
        )
        for each in sorted(read(PACKAGE, "levels_of_care.yaml")["levels"], key=lambda each: int(each["order"]))
    }


@cache
def offered_levels() -> frozenset[str]:
    """Levels that the program itself gives."""
    return frozenset(read(PACKAGE, "levels_of_care.yaml")["offered"])


@cache
def licensed_states() -> frozenset[str]:
    """States in which the program may treat people, by USPS code."""
    return frozenset(read(PACKAGE, "licensure.yaml")["states"])


@cache
def connection_needs() -> readiness.Needs:
    """What a session needs of a connection."""
    raw = read(PACKAGE, "technology.yaml")
    return readiness.Needs(raw["min_download_kbps"], raw["min_upload_kbps"])


@cache
def admission_needs() -> levels.AdmissionNeeds:
    """What must be there before an admission."""
    raw = read(PACKAGE, "admission.yaml")
    return levels.AdmissionNeeds(
        consents=tuple(kind for kind, each in consent_documents().items() if each.needed_for_admission),
        screenings=tuple(raw["screenings"]),
        screening_valid=timedelta(days=raw["screening_valid_days"]),
        care_team_roles=tuple(raw["care_team_roles"]),
    )


@cache
def plan_suggestions() -> dict[str, str]:
    """What a plan could hold, by finding."""
    return dict(read(PACKAGE, "plan_suggestions.yaml")["suggestions"])


@cache
def safety_rules() -> fhir.SafetyRules:
    """Codes that matter for safety, and who may see them."""
    raw = read(PACKAGE, "fhir/safety_findings.yaml")
    return fhir.SafetyRules(
        findings={
            each["code"]: fhir.SafetyFinding(each["kind"], each["label"], fhir.Audience(each["audience"]))
            for each in raw["findings"]
        },
        substance_use_medications=tuple(raw["substance_use_medications"]),
    )


@cache
def time_zones() -> dict[str, str]:
    """The IANA zone in which most people of a state live, by USPS code."""
    return {state: zone for zone, states in read(PACKAGE, "time_zones.yaml")["states"].items() for state in states}


@cache
def check_in_trend() -> trends.TrendRule:
    """When check-ins call for somebody to look in."""
    raw = read(PACKAGE, "check_in_trend.yaml")
    return trends.TrendRule(
        rule_id=f"{raw['id']}/{raw['version']}",
        baseline_days=raw["baseline"]["days"],
        baseline_at_least=raw["baseline"]["at_least"],
        recent_days=raw["recent"]["days"],
        recent_within=raw["recent"]["within"],
        points=raw["fall"]["points"],
        deviations=raw["fall"]["deviations"],
    )


def check_in_trend_message() -> str:
    """What the person reads then."""
    return str(read(PACKAGE, "check_in_trend.yaml")["message"]).strip()


@cache
def symptom_trends() -> dict[str, trends.Worsening]:
    """When a screening calls for somebody to look in, by instrument."""
    raw = read(PACKAGE, "symptom_trend.yaml")
    return {
        each["instrument"]: trends.Worsening(
            rule_id=f"{raw['id']}/{raw['version']}",
            change=each["change"],
            at_least=each["at_least"],
            within=timedelta(days=raw["within_days"]),
            source=each["source"].strip(),
        )
        for each in raw["symptoms"]
    }


@cache
def step_up_rules() -> step_up.Rules:
    """When more care is proposed to the care team."""
    raw = read(PACKAGE, "step_up.yaml")
    rise, alerts, version = raw["rise"], raw["alerts"], raw["version"]
    rises = {
        each["instrument"]: step_up.Rise(
            rule_id=f"{each['instrument']}-rise/{version}",
            change=each["change"],
            at_least=each["at_least"],
            source=each["source"].strip(),
            lowest_of=timedelta(days=rise["lowest_of_days"]),
            apart=timedelta(days=rise["apart_days"]),
            within=timedelta(days=rise["within_days"]),
        )
        for each in raw["symptoms"]
    }
    repeated = step_up.Repeated(
        f"repeated-alerts/{version}", alerts["count"], timedelta(days=alerts["within_days"]), alerts["source"].strip()
    )
    return step_up.Rules(rises, repeated, timedelta(days=raw["again_after_days"]))
