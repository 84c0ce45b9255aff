"""Run every check that needs no running platform, show what each says, and fail when one fails."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BIN = Path(sys.executable).parent
DESCRIPTORS = "libs/stubs/haven/descriptors.binpb"
SLOWEST_S = 600


def main() -> int:
    """Run the checks, or those named on the command line."""
    checks = {
        "contracts generated": [sys.executable, "scripts/protos.py", "--check"],
        "events catalogue": [sys.executable, "scripts/events.py", "--check"],
        "settings reference": [sys.executable, "scripts/settings.py", "--check"],
        "contracts (buf lint)": [_tool("buf"), "lint", DESCRIPTORS, "--config", "buf.yaml"],
        "contracts (buf breaking)": [sys.executable, "scripts/breaking.py"],
        "style (ruff)": [_tool("ruff"), "check", "--quiet", "--output-format", "concise", "."],
        "format (ruff)": [_tool("ruff"), "format", "--check", "--output-format", "concise", "."],
        "imports (import-linter)": [_tool("lint-imports"), "--no-logo", "--cache-dir", ".import_linter_cache"],
        "types (mypy)": [_tool("mypy"), "--no-error-summary"],
    }
    failed = [name for name, command in checks.items() if not _passes(name, command)]
    print(
        f"lint: {len(checks) - len(failed)} of {len(checks)} checks passed" + "".join(f"; failed: {x}" for x in failed)
    )
    return 1 if failed else 0


def _tool(name: str) -> str:
    return str(BIN / name)


def _passes(name: str, command: list[str]) -> bool:
    began = time.monotonic()
    print(f"lint: {name} …", flush=True)
    done = subprocess.run(command, cwd=ROOT, check=False, capture_output=True, text=True, timeout=SLOWEST_S)
    passed = done.returncode == 0
    if not passed:
        print(done.stdout + done.stderr)
    print(f"lint: {name}: {'passed' if passed else 'FAILED'} in {time.monotonic() - began:.1f} s", flush=True)
    return passed


if __name__ == "__main__":
    sys.exit(main())
