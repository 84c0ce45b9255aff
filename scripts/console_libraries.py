"""Bring the console's libraries in: fetch each from the npm registry as manifest.json names it, and record its hashes.

Browsers resolve no bare names without an import map, and an import map is inline script, which the console's policy
forbids: so a bare name in an import becomes the path of the file beside it. Nothing else is changed.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).resolve().parent.parent / "services/crisis/haven_crisis/console/vendor"


def main() -> int:
    """Write the libraries and their licences, and the hashes into the manifest."""
    manifest = json.loads((FOLDER / "manifest.json").read_text())
    for library in manifest["libraries"]:
        with tempfile.TemporaryDirectory() as folder:
            _bring(library, manifest["names"], Path(folder))
        print(f"{library['name']} {library['version']} ({library['licence']})")
    (FOLDER / "manifest.json").write_text(json.dumps(manifest, indent=2) + "\n")
    return 0


def _bring(library: dict[str, Any], names: dict[str, str], folder: Path) -> None:
    wanted = f"{library['name']}@{library['version']}"
    subprocess.run(["npm", "pack", "--silent", wanted], cwd=folder, check=True, stdout=subprocess.DEVNULL)
    (packed,) = folder.glob("*.tgz")
    with tarfile.open(packed) as archive:
        archive.extractall(folder, filter="data")
    for file in library["files"]:
        original = (folder / "package" / file["from"]).read_text()
        ours = renamed(original, names)
        (FOLDER / file["as"]).write_text(ours)
        file["sha256_published"], file["sha256"] = digest(original), digest(ours)
    licence = next(each for each in (folder / "package").iterdir() if each.stem.lower() in {"license", "licence"})
    (FOLDER / library["licence_file"]).write_text(licence.read_text())


def renamed(source: str, names: dict[str, str]) -> str:
    """The source with bare names of its imports as paths."""
    for bare, path in names.items():
        source = source.replace(f'from"{bare}"', f'from"{path}"')
    return source


def digest(text: str) -> str:
    """SHA-256, in hex."""
    return hashlib.sha256(text.encode()).hexdigest()


if __name__ == "__main__":
    sys.exit(main())
