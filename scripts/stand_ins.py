"""Make sure that the images of PostgreSQL and NATS are here, under the names that the chart uses.

They are pulled. Where no image registry is reached they are built from the wheels that development runs.
"""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path

import images
import yaml

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "deploy" / "tests" / "kube" / "stand-ins"


def names() -> dict[str, str]:
    """The image of each server, as the chart names it."""
    values = yaml.safe_load((ROOT / "deploy" / "helm" / "haven" / "values.yaml").read_text())
    return {"postgres": values["postgresql"]["image"], "nats": values["natsServer"]["image"]}


def main() -> None:
    """Have both."""
    engine = images.engine()
    for name, image in names().items():
        if _works(engine, "image", "inspect", image):
            continue
        if _works(engine, "pull", "--quiet", image):
            print(f"pulled {image}")
            continue
        base = os.environ.get("HAVEN_IMAGES_BASE", images.BASE)
        command = [engine, "build", "--file", str(FOLDER / f"{name}.Containerfile"), "--tag", image]
        command += ["--build-arg", f"BASE_IMAGE={base}", *shlex.split(os.environ.get("HAVEN_IMAGES_ARGS", ""))]
        done = subprocess.run([*command, str(FOLDER)], capture_output=True, text=True, check=False)
        if done.returncode != 0:
            sys.exit(f"stand-ins: {image} could neither be pulled nor built\n{done.stderr[-3000:]}")
        print(f"built a stand-in for {image}")


def _works(*command: str) -> bool:
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


if __name__ == "__main__":
    main()
