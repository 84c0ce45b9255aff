"""Fail when the contracts break callers of the contracts before them (`buf breaking` on descriptor sets).

What came before is the point where this branch left origin/main, or on main itself the commit before. Nothing is
compared when there is no such commit, or when it holds no descriptor set.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
DESCRIPTORS = "libs/stubs/haven/descriptors.binpb"


def main() -> int:
    """Compare with the commit before; 0 when nothing breaks or there is nothing to compare with."""
    before = _before()
    content = _git("show", f"{before}:{DESCRIPTORS}") if before else None
    if content is None:
        print("buf breaking: no earlier contracts to compare with")
        return 0
    with tempfile.TemporaryDirectory() as scratch:
        earlier = Path(scratch) / "earlier.binpb"
        earlier.write_bytes(content)
        buf = str(Path(sys.executable).parent / "buf")
        command = [buf, "breaking", DESCRIPTORS, "--against", str(earlier), "--config", "buf.yaml"]
        return subprocess.run(command, cwd=ROOT, check=False).returncode


def _before() -> str | None:
    head = _commit("HEAD")
    for name in ("origin/main", "main"):
        fork = _git("merge-base", "HEAD", name)
        if fork is not None and fork.decode().strip() != head:
            return fork.decode().strip()
    return _commit("HEAD~1")


def _commit(name: str) -> str | None:
    found = _git("rev-parse", "--verify", "--quiet", name)
    return found.decode().strip() if found else None


def _git(*arguments: str) -> bytes | None:
    done = subprocess.run(["git", *arguments], cwd=ROOT, check=False, capture_output=True)
    return done.stdout if done.returncode == 0 else None


if __name__ == "__main__":
    sys.exit(main())
