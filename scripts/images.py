"""Build the images of every process with Docker or Podman: `make images`.

`HAVEN_IMAGES_BASE` is the base image, `HAVEN_IMAGES_ARGS` more arguments for each build, `HAVEN_IMAGES_TAG` the tag.
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

from haven_dev import project

ROOT = Path(__file__).resolve().parent.parent
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
    image = f"{REPOSITORY}/{name}:{os.environ.get('HAVEN_IMAGES_TAG', VERSION)}"
    arguments = {
        "SERVICE": name,
        "VERSION": VERSION,
        "REVISION": _git("rev-parse", "HEAD"),
        # The commit's own time, so that the same commit gives the same label.
        "CREATED": _git("show", "-s", "--format=%cI", "HEAD") or datetime.now(UTC).isoformat(),
    }
    if base := os.environ.get("HAVEN_IMAGES_BASE"):
        arguments["BASE_IMAGE"] = base
    command = [engine(), "build", "--file", "deploy/images/Containerfile", "--tag", image]
    for key, value in arguments.items():
        command += ["--build-arg", f"{key}={value}"]
    command += shlex.split(os.environ.get("HAVEN_IMAGES_ARGS", ""))
    done = subprocess.run([*command, "."], cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        sys.exit(f"images: {name} was not built\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}")
    return image


def _git(*arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=False)
    return done.stdout.strip()


def main() -> None:
    """Build what is named, or everything."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", choices=[*IMAGES, []], help="all of them when none is named")
    for name in parser.parse_args().names or IMAGES:
        print(build(name), flush=True)


if __name__ == "__main__":
    main()
