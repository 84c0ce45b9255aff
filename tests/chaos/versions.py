"""A platform whose parts run the release before this one, or this one, replica by replica."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from functools import cached_property
from pathlib import Path
from typing import Any

from haven_dev.places import Replica
from haven_dev.project import PARTS, SERVICES
from haven_dev.runner import Platform, inherited
from haven_kit import migrations

ROOT = Path(__file__).resolve().parents[2]
PREVIOUS = Path(__file__).with_name("previous-release")
"""Holds the commit of the release before this one."""
_FIELDS = """
import importlib, json
from haven_kit.settings import Settings
found = {}
for part in %r:
    module = importlib.import_module(f"haven_{part}.settings")
    kinds = [k for k in vars(module).values() if isinstance(k, type) and issubclass(k, Settings)]
    found[part] = sorted({name for kind in kinds for name in kind.model_fields})
print(json.dumps(found))
"""


def unpack(folder: Path) -> Path:
    """The sources of the previous release, from this repository's history."""
    commit = PREVIOUS.read_text().strip()
    done = subprocess.run(["git", "archive", commit, "libs", "services"], cwd=ROOT, capture_output=True, check=False)
    assert done.returncode == 0, f"{commit} is not in this clone; fetch the whole history: {done.stderr.decode()}"
    folder.mkdir(parents=True)
    subprocess.run(["tar", "-x", "-C", str(folder)], input=done.stdout, check=True)
    return folder


class Versions(Platform):
    """Starts with the previous release everywhere, on its schema; `new` are the replicas that run this one."""

    def __init__(self, state: Path, source: Path, **options: Any) -> None:
        super().__init__(state, **options)
        self._source = source
        self.new: set[Replica] = set()
        self.schema_is_new = False

    async def upgrade_schema(self) -> None:
        """Run this release's migrations, as the hook does before the first pod is replaced."""
        self.schema_is_new = True
        for service in SERVICES:
            await migrations.migrate(self.database_url(service), f"haven_{service}")

    async def replace(self, part: str, *, replica: int = 0, new: bool) -> None:
        """End a replica and start it again as this release, or as the previous one."""
        await self.stop(part, replica=replica)
        (self.new.add if new else self.new.discard)((part, replica))
        await self.start(part, replica=replica)

    def environment(self, part: str, *, replica: int = 0) -> dict[str, str]:
        """The settings of a replica: those that its release knows."""
        values = super().environment(part, replica=replica)
        if (part, replica) in self.new:
            return values
        known = set(self._known[part]) | {f"target_{each}" for each in SERVICES}
        kept = {name: value for name, value in values.items() if name.removeprefix("HAVEN_").lower() in known}
        return kept | self._path

    async def _migrate(self, service: str) -> None:
        environment = inherited() | self.environment_before_start(service)
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", f"haven_{service}", "migrate", env=environment, stderr=asyncio.subprocess.PIPE
        )
        _, errors = await process.communicate()
        assert process.returncode == 0, errors.decode()

    def environment_before_start(self, service: str) -> dict[str, str]:
        """Enough for `migrate`, which reads the database's address alone."""
        nowhere = {"HAVEN_NATS_URL": "tls://127.0.0.1:1", "HAVEN_ISSUER_URL": self.issuer.url}
        files = {"HAVEN_TLS_DIR": str(self.pki.issue(service)), "HAVEN_KEYSET_FILE": str(self._keys(service))}
        return {
            "HAVEN_ENVIRONMENT": "development",
            "HAVEN_DATABASE_URL": self.database_url(service),
            **nowhere,
            **files,
            **self._path,
        }

    @property
    def _path(self) -> dict[str, str]:
        folders = [self._source / "libs" / each for each in ("kit", "stubs", "dev")]
        folders += [self._source / "services" / part for part in PARTS]
        return {"PYTHONPATH": ":".join(str(each) for each in folders)}

    @cached_property
    def _known(self) -> dict[str, list[str]]:
        done = subprocess.run(
            [sys.executable, "-c", _FIELDS % (PARTS,)], env=inherited() | self._path, capture_output=True, check=True
        )
        found: dict[str, list[str]] = json.loads(done.stdout)
        return found
