"""docs/operate/install.md and its neighbours, as what they have their reader do."""

from __future__ import annotations

import re
from pathlib import Path

from rendering import ROOT

OPERATE = ROOT / "docs" / "operate"
PAGE = OPERATE / "install.md"


def blocks(kind: str, page: Path = PAGE) -> list[str]:
    """The fenced blocks of a kind."""
    found = re.findall(r"^```(\w*)\n(.*?)^```$", page.read_text(), re.DOTALL | re.MULTILINE)
    return [text for name, text in found if name == kind]


def commands(page: Path = PAGE) -> list[str]:
    """Every command of the page, in order."""
    lines = [line.split("#")[0].strip() for block in blocks("", page) for line in block.splitlines()]
    return [line for line in lines if re.match(r"(helm|kubectl|haven|make) ", line)]


def write(folder: Path) -> None:
    """Put the files that the page has its reader write into a folder, beside the chart."""
    (folder / "deploy").symlink_to(ROOT / "deploy")
    for block in blocks("yaml"):
        (folder / block.splitlines()[0].removeprefix("# ")).write_text(block)
