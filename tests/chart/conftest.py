"""The chart's tests need helm, which `make chart-test` fetches."""

from __future__ import annotations

import subprocess

from rendering import HELM, ROOT


def pytest_configure() -> None:
    """Fetch helm where it is not there yet."""
    if not HELM.exists():
        subprocess.run([ROOT / "scripts" / "helm"], check=True)
