"""Write what of the Helm chart is said elsewhere: values.schema.json, README.md, caller matrix, permissions on NATS.

The schema comes from values.yaml (names, types, descriptions) and from the services' settings classes (what `settings`
may hold). `--check` writes nothing and fails where the committed files are not what they say.
"""

from __future__ import annotations

import argparse
import importlib
import json
import re
import sys
from pathlib import Path
from typing import Any

import yaml

from haven_dev import project
from haven_dev.embedded.nats import permissions
from haven_kit.settings import Settings

ROOT = Path(__file__).resolve().parent.parent
CHART = ROOT / "deploy" / "helm" / "haven"
PARTS = (project.GATEWAY, *project.SERVICES)

FREE = {"type": "object"}
QUANTITY = {"type": ["string", "integer", "number"], "pattern": r"^[0-9]+(\.[0-9]+)?(m|k|Ki|Mi|Gi|Ti)?$"}
DURATION = {"type": "string", "pattern": r"^([0-9]+(h|m|s))+$"}
COUNT = {"type": "integer", "minimum": 1}
PORT = {"type": "integer", "minimum": 1, "maximum": 65535}
ADDRESSES = {"type": "string", "pattern": r"^[0-9a-fA-F:.]+(/[0-9]{1,3})?$"}
SECONDS = {"type": "integer", "minimum": 0}
DIGEST = {"type": "string", "pattern": "^$|^sha256:[0-9a-f]{64}$"}
SPREAD = {"type": "string", "enum": ["ScheduleAnyway", "DoNotSchedule"]}
RESOURCES = {
    "type": "object",
    "additionalProperties": False,
    "properties": {
        each: {"type": "object", "additionalProperties": {"anyOf": [QUANTITY, {"type": "null"}]}}
        for each in ("requests", "limits")
    },
}
PROBE = {
    "type": "object",
    "additionalProperties": False,
    "properties": dict.fromkeys(("periodSeconds", "timeoutSeconds", "failureThreshold"), COUNT),
}
# Where the example in values.yaml does not say everything; by path.
SAID: dict[str, dict[str, Any]] = {
    "global": FREE,
    "commonLabels": {"type": "object", "additionalProperties": {"type": "string"}},
    "commonAnnotations": {"type": "object", "additionalProperties": {"type": "string"}},
    "podSecurity": {
        "type": "object",
        "additionalProperties": False,
        "properties": {
            each: {"type": ["integer", "null"], "minimum": 1} for each in ("runAsUser", "runAsGroup", "fsGroup")
        },
    },
    "image.pullPolicy": {"type": "string", "enum": ["Always", "IfNotPresent", "Never"]},
    "auth.issuerUrl": {"type": "string", "pattern": "^$|^https?://"},
    "auth.jwksUrl": {"type": "string", "pattern": "^$|^https?://"},
    "telemetry.otlpEndpoint": {"type": "string", "pattern": "^$|^https?://"},
    "telemetry.sampleRatio": {"type": "number", "minimum": 0, "maximum": 1},
    "tls.mode": {"type": "string", "enum": ["certManager", "existing"]},
    "tls.issuerRef.kind": {"type": "string", "enum": ["Issuer", "ClusterIssuer"]},
    "tls.duration": DURATION,
    "tls.renewBefore": DURATION,
    "nats.copies": {"type": "integer", "enum": [1, 3, 5]},
    "postgresql.port": PORT,
    "postgresql.resources": RESOURCES,
    "natsServer.resources": RESOURCES,
    "networkPolicy.egress.dnsPorts": {"type": "array", "items": PORT, "minItems": 1},
    "networkPolicy.egress.pagePorts": {"type": "array", "items": PORT},
    "networkPolicy.peerNamespaces": {"type": "array", "items": {"type": "string"}},
    "migrations.mode": {"type": "string", "enum": ["hook", "init"]},
    "migrations.deadlineSeconds": COUNT,
    "migrations.resources": RESOURCES,
    "monitoring.podMonitor.interval": DURATION,
    "monitoring.podMonitor.labels": FREE,
    "monitoring.rules.labels": FREE,
    "monitoring.dashboards.labels": FREE,
    "tests.image.digest": DIGEST,
    "serviceDefaults.replicas": COUNT,
    "serviceDefaults.image.digest": DIGEST,
    "serviceDefaults.externalAddress": {"type": "string", "pattern": "^$|^(dns|ipv4|ipv6):"},
    "serviceDefaults.secrets.external.refreshInterval": DURATION,
    "serviceDefaults.resources": RESOURCES,
    "serviceDefaults.autoscaling.minReplicas": COUNT,
    "serviceDefaults.autoscaling.maxReplicas": COUNT,
    "serviceDefaults.autoscaling.targetCPU": {"type": "integer", "minimum": 10, "maximum": 100},
    "serviceDefaults.pdb.maxUnavailable": {"type": ["integer", "string"], "pattern": "^[0-9]+%?$"},
    "serviceDefaults.spread.zone": SPREAD,
    "serviceDefaults.spread.host": SPREAD,
    "serviceDefaults.drain.preStopSeconds": COUNT,
    "serviceDefaults.drain.seconds": SECONDS,
    "serviceDefaults.drain.graceSeconds": COUNT,
    "serviceDefaults.probes.startup": PROBE,
    "serviceDefaults.probes.readiness": PROBE,
    "serviceDefaults.probes.liveness": PROBE,
    "serviceDefaults.priorityClass.value": {"type": "integer", "maximum": 1_000_000_000},
    "serviceDefaults.persistence.size": QUANTITY,
    "serviceDefaults.ingress.annotations": FREE,
    "serviceDefaults.ingress.trustedProxies": {"type": "array", "items": ADDRESSES},
    "serviceDefaults.serviceAccount.annotations": FREE,
    "serviceDefaults.podAnnotations": FREE,
    "serviceDefaults.podLabels": FREE,
    "serviceDefaults.nodeSelector": FREE,
    "serviceDefaults.affinity": FREE,
}
_TYPES = {bool: "boolean", int: "integer", float: "number", str: "string"}
_README = """# haven

Helm chart of Haven: a platform for trauma-sensitive virtual intensive outpatient programs, with a crisis service that
stands on its own feet. Made from values.yaml by `make chart`; do not edit by hand.

How to install it: [docs/operate/install.md](../../../docs/operate/install.md). Presets for an evaluation, for
production, and for crisis as a release of its own are in [presets](presets).

| value | unless set | |
|---|---|---|
"""


def main() -> int:
    """Write the files, or compare."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; fail on drift")
    check = parser.parse_args().check
    wrong = 0
    for path, wanted in files().items():
        if not check:
            path.write_text(wanted, encoding="utf-8")
        elif not path.exists() or path.read_text(encoding="utf-8") != wanted:
            print(f"{path.relative_to(ROOT)} is not what it is made from; run `make chart`", file=sys.stderr)
            wrong = 1
    return wrong


def files() -> dict[Path, str]:
    """Every file that is made, with its content."""
    text = (CHART / "values.yaml").read_text(encoding="utf-8")
    values = yaml.safe_load(text)
    said = descriptions(text)
    callers = (ROOT / "libs" / "stubs" / "haven" / "callers.json").read_text(encoding="utf-8")
    return {
        CHART / "values.schema.json": json.dumps(schema(values, said), indent=2) + "\n",
        CHART / "README.md": _README + "".join(_rows(values, said)),
        CHART / "files" / "callers.json": callers,
        CHART / "files" / "nats-permissions.json": json.dumps(
            {part: permissions(part) for part in project.SERVICES}, indent=2
        )
        + "\n",
    }


def descriptions(text: str) -> dict[str, str]:
    """The `# --` comment above each key, by the key's path."""
    found: dict[str, str] = {}
    lines = text.splitlines()

    def visit(node: yaml.Node | None, path: str) -> None:
        if not isinstance(node, yaml.MappingNode):
            return
        for key, value in node.value:
            where = f"{path}{key.value}"
            above = _above(lines, key.start_mark.line)
            if above:
                found[where] = above
            visit(value, f"{where}.")

    visit(yaml.compose(text), "")
    return found


def _above(lines: list[str], line: int) -> str:
    words: list[str] = []
    for each in reversed(lines[:line]):
        if (comment := re.fullmatch(r"\s*# ?(.*)", each)) is None:
            return ""
        words.insert(0, comment[1].removeprefix("-- "))
        if comment[1].startswith("-- "):
            return " ".join(words)
    return ""


def schema(values: dict[str, Any], said: dict[str, str]) -> dict[str, Any]:
    """The JSON schema of the chart's values. Whatever has no name in it is refused, but for `global`."""
    made = _object({key: each for key, each in values.items() if key not in {"services", "serviceDefaults"}}, "", said)
    service = _object(values["serviceDefaults"], "serviceDefaults.", said)
    service["properties"]["settings"] = FREE
    service["properties"]["secrets"]["properties"]["files"] = {
        "type": "object",
        "additionalProperties": False,
        "properties": {name: {"type": "string"} for name in sorted(_all_settings())},
    }
    made["properties"]["serviceDefaults"] = {"$ref": "#/$defs/service"}
    made["properties"]["services"] = {
        "type": "object",
        "additionalProperties": False,
        "properties": {
            name: {"allOf": [{"$ref": "#/$defs/service"}, {"properties": {"settings": _settings(name)}}]}
            for name in PARTS
        },
    }
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "Values of the haven chart",
        **made,
        "$defs": {"service": service},
    }


def _object(example: dict[str, Any], path: str, said: dict[str, str]) -> dict[str, Any]:
    return {
        "type": "object",
        "additionalProperties": False,
        "properties": {key: _property(value, f"{path}{key}", said) for key, value in example.items()},
    }


def _property(example: Any, path: str, said: dict[str, str]) -> dict[str, Any]:
    made: dict[str, Any]
    if path in SAID:
        made = dict(SAID[path])
    elif isinstance(example, dict):
        made = _object(example, f"{path}.", said)
    elif isinstance(example, list):
        made = {"type": "array"}
    else:
        made = {"type": _TYPES[type(example)]}
    return {**made, "description": said[path]} if path in said else made


def settings_of(part: str) -> type[Settings]:
    """The settings class of a process."""
    module = importlib.import_module(f"haven_{part}.settings")
    found = [each for each in vars(module).values() if isinstance(each, type) and issubclass(each, Settings)]
    return max((each for each in found if each.__module__ == module.__name__), key=lambda each: len(each.__mro__))


def _all_settings() -> set[str]:
    return {name for part in PARTS for name in settings_of(part).model_fields}


def _settings(part: str) -> dict[str, Any]:
    """What `services.<part>.settings` may hold: every setting of the process that is no secret."""
    kind = settings_of(part)
    described = kind.model_json_schema()
    secret = {name for name, field in kind.model_fields.items() if "SecretStr" in repr(field.annotation)}
    found = {name: each for name, each in described["properties"].items() if name not in secret | {"service"}}
    for each in found.values():
        for word in ("title", "default", "format", "writeOnly"):
            each.pop(word, None)
    return {"type": "object", "additionalProperties": False, "properties": found}


def _rows(values: dict[str, Any], said: dict[str, str], path: str = "") -> list[str]:
    rows: list[str] = []
    for key, value in values.items():
        where = f"{path}{key}"
        if isinstance(value, dict) and value and where not in SAID and where != "services":
            if where in said:
                rows.append(f"| `{where}` | | {said[where]} |\n")
            rows += _rows(value, said, f"{where}.")
        elif where == "services":
            rows.append(f"| `services.<name>` | | As `serviceDefaults`, for each of {', '.join(PARTS)}. |\n")
        else:
            rows.append(f"| `{where}` | `{json.dumps(value)}` | {said.get(where, '')} |\n")
    return rows


if __name__ == "__main__":
    sys.exit(main())
