"""Clinical and billing facts: YAML files in a package's `data/`, each with its source and version."""

from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Any

import yaml


@cache
def read(package: str, name: str) -> dict[str, Any]:
    """The facts of one file, named as below `data/`: read once, not to be changed.

    Raises ValueError naming a file that lacks source or version.
    """
    return parse(files(package) / "data" / name)


def read_all(package: str, folder: str) -> list[dict[str, Any]]:
    """The facts of every file in a folder below `data/`, by file name."""
    found = sorted((files(package) / "data" / folder).iterdir(), key=lambda each: each.name)
    return [parse(each) for each in found if each.name.endswith(".yaml")]


def parse(file: Traversable) -> dict[str, Any]:
    """The facts of a file anywhere; `sources` is a list of them. Raises ValueError as `read` does."""
    content: dict[str, Any] = yaml.safe_load(file.read_text(encoding="utf-8"))
    missing = [name for name in ("source", "version") if not (content.get(name) or content.get(f"{name}s"))]
    if missing:
        raise ValueError(f"{file.name}: {' and '.join(missing)} missing")
    return content
