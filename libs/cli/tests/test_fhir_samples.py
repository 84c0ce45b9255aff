"""A hospital's export, where one is at hand: HAVEN_FHIR_SAMPLES is a folder of NDJSON files."""

import os
from pathlib import Path

import pytest

from haven_cli.fhir_read import Export, Ready, files_in, read_into, ready

SAMPLES = os.environ.get("HAVEN_FHIR_SAMPLES", "")
pytestmark = pytest.mark.skipif(not SAMPLES, reason="HAVEN_FHIR_SAMPLES is not set")


def read(paths):
    export = Export()
    for file in files_in(paths):
        for _ in read_into(export, file):
            continue
    return export


def patient_lines():
    return sum(1 for file in Path(SAMPLES).glob("Patient*.ndjson") for line in file.read_text().splitlines() if line)


def test_every_patient_line_becomes_a_referral():
    export = read([Path(SAMPLES)])
    assert (export.refusals, export.orphans) == ([], 0)
    assert sum(isinstance(each, Ready) for each in ready(export)) == patient_lines() > 0


def test_a_corrupted_line_is_named_and_the_others_are_read(tmp_path):
    for file in files_in([Path(SAMPLES)]):
        (tmp_path / file.name).write_bytes(file.read_bytes())
    patients = next(tmp_path.glob("Patient*.ndjson"))
    lines = patients.read_text().splitlines()
    lines[2] = lines[2][: len(lines[2]) // 2]
    patients.write_text("\n".join(lines))
    export = read([tmp_path])
    assert [(each.place.file, each.place.line) for each in export.refusals] == [(patients, 3)]
    assert sum(isinstance(each, Ready) for each in ready(export)) == patient_lines() - 1
