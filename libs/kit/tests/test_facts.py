"""Facts in files: read whole, or refused by the file's name."""

from pathlib import Path

import pytest

from haven_kit import facts


def test_facts_are_read(tmp_path: Path) -> None:
    file = tmp_path / "levels.yaml"
    file.write_text("source: a guideline\nversion: '1'\nlevels: [a, b]\n")
    assert facts.parse(file)["levels"] == ["a", "b"]


@pytest.mark.parametrize(
    ("text", "missing"),
    [("version: '1'", "source"), ("source: a guideline", "version"), ("x: 1", "source and version")],
)
def test_facts_without_source_or_version_are_refused(tmp_path: Path, text: str, missing: str) -> None:
    file = tmp_path / "levels.yaml"
    file.write_text(text)
    with pytest.raises(ValueError, match=f"levels.yaml: {missing} missing"):
        facts.parse(file)
