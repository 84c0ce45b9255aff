"""Build the images of every process with Docker or Podman: `make images`.

`IMAGES_BASE` is the base image, `IMAGES_ARGS` more arguments for each build, `IMAGES_TAG` the tag.
"""

from __future__ import annotations

import argparse
import os
import shlex
import shutil
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import yaml

from haven_dev import project

ROOT = Path(__file__).resolve().parent.parent
STAND_INS = ROOT / "deploy" / "tests" / "kube" / "stand-ins"
CLI = "cli"
IMAGES = (*project.PARTS, CLI)
REPOSITORY = "ghcr.io/haven"
VERSION = "0.1.0"
BASE = "docker.io/library/python:3.13-slim"
"""As in deploy/images/Containerfile."""


def engine() -> str:
    """The container engine of this machine. Ends the program where there is none."""
    for name in ("podman", "docker"):
        if shutil.which(name):
            return name
    sys.exit("images: neither podman nor docker is on PATH")


def build(name: str) -> str:
    """Build one image. Returns its name."""
    image = f"{REPOSITORY}/{name}:{os.environ.get('IMAGES_TAG', VERSION)}"
    arguments = {
        "SERVICE": name,
        "VERSION": VERSION,
        "REVISION": _git("rev-parse", "HEAD"),
        # The commit's own time, so that the same commit gives the same label.
        "CREATED": _git("show", "-s", "--format=%cI", "HEAD") or datetime.now(UTC).isoformat(),
    }
    if base := os.environ.get("IMAGES_BASE"):
        arguments["BASE_IMAGE"] = base
    command = [engine(), "build", "--file", "deploy/images/Containerfile", "--tag", image]
    for key, value in arguments.items():
        command += ["--build-arg", f"{key}={value}"]
    command += shlex.split(os.environ.get("IMAGES_ARGS", ""))
    done = subprocess.run([*command, "."], cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        sys.exit(f"images: {name} was not built\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}")
    return image


def servers() -> None:
    """Have the images of PostgreSQL and NATS, under the names that the chart uses.

    They are pulled. Where no image registry is reached they are built from the wheels that development runs.
    """
    values = yaml.safe_load((ROOT / "deploy" / "helm" / "haven" / "values.yaml").read_text())
    for name, image in (("postgres", values["postgresql"]["image"]), ("nats", values["natsServer"]["image"])):
        if _works("image", "inspect", image):
            continue
        if _works("pull", "--quiet", image):
            print(f"pulled {image}")
            continue
        command = [engine(), "build", "--file", str(STAND_INS / f"{name}.Containerfile"), "--tag", image]
        command += ["--build-arg", f"BASE_IMAGE={os.environ.get('IMAGES_BASE', BASE)}"]
        command += [*shlex.split(os.environ.get("IMAGES_ARGS", "")), str(STAND_INS)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            sys.exit(f"images: {image} could neither be pulled nor built\n{done.stderr[-3000:]}")
        print(f"built a stand-in for {image}")


def _works(*arguments: str) -> bool:
    return subprocess.run([engine(), *arguments], capture_output=True, check=False).returncode == 0


def _git(*arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=False)
    return done.stdout.strip()


def main() -> None:
    """Build what is named, or everything."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", choices=[*IMAGES, []], help="all of them when none is named")
    parser.add_argument("--servers", action="store_true", help="PostgreSQL and NATS: pull them, or build stand-ins")
    given = parser.parse_args()
    if given.servers:
        servers()
        return
    for name in given.names or IMAGES:
        print(build(name), flush=True)


if __name__ == "__main__":
    main()
