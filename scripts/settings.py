"""Write docs/settings.md, every setting of every process, from the settings classes.

`--check` writes nothing and fails when the committed page is not what they say.
"""

from __future__ import annotations

import argparse
import importlib
import json
import sys
from pathlib import Path
from typing import Any

from pydantic import SecretStr
from pydantic.fields import FieldInfo

from haven_dev import project
from haven_edge.settings import EdgeSettings
from haven_kit.settings import PREFIX, Settings

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "settings.md"
_HEAD = """# Settings

Every setting of every process. Made from the code by `make settings`; do not edit by hand. How to use them:
[platform guide](guides/platform.md).

All are environment variables. Any can be given as `HAVEN_…_FILE`, the path of a file that holds the value. Lists and
mappings are JSON; `HAVEN_TARGET_<SERVICE>` sets one of the targets. A process refuses to start on a setting that is
unknown, missing or wrong (status 78).
"""


def main() -> int:
    """Write the page, or compare."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; fail on drift")
    check = parser.parse_args().check
    wanted = page()
    written = PAGE.read_text(encoding="utf-8") if PAGE.exists() else ""
    if check and wanted != written:
        print("docs/settings.md is not what the code says; run `make settings` and commit it", file=sys.stderr)
        return 1
    if not check:
        PAGE.write_text(wanted, encoding="utf-8")
    return 0


def page() -> str:
    """The whole page."""
    everywhere = frozenset(Settings.model_fields)
    parts = [
        _HEAD,
        "\n## Every process\n\n",
        _table(Settings, frozenset({"service"})),
        "\n## Every process that answers clients over HTTP: the gateway and crisis\n\n",
        _table(EdgeSettings, everywhere),
    ]
    for name in (project.GATEWAY, *project.SERVICES):
        settings = _settings_of(name)
        # What a process has no use for it gives a value of its own.
        common = EdgeSettings if issubclass(settings, EdgeSettings) else Settings
        changed = {each for each, field in settings.model_fields.items() if each in common.model_fields
                   and field.default != common.model_fields[each].default}  # fmt: skip
        known = frozenset(common.model_fields) - changed
        if rows := _table(settings, known | {"service"}):
            parts.append(f"\n## {name.capitalize()}\n\n{rows}")
    return "".join(parts)


def _settings_of(part: str) -> type[Settings]:
    module = importlib.import_module(f"haven_{part}.settings")
    return next(
        each
        for each in vars(module).values()
        if isinstance(each, type) and issubclass(each, Settings) and each.__module__ == module.__name__
    )


def _table(settings: type[Settings], without: frozenset[str]) -> str:
    rows = [
        f"| `{PREFIX}{name.upper()}` | {_default(field)} | {_cell(field.description or 'Not needed.')} |\n"
        for name, field in settings.model_fields.items()
        if name not in without
    ]
    return "".join(["| setting | unless set | |\n|---|---|---|\n", *rows]) if rows else ""


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "**required**"
    value: Any = field.get_default(call_default_factory=True)
    if isinstance(value, SecretStr):
        value = value.get_secret_value()
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if value in (None, "", [], {}, Path()):
        return ""
    return f"`{_cell(json.dumps(value) if isinstance(value, list | dict) else str(value))}`"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


if __name__ == "__main__":
    sys.exit(main())
