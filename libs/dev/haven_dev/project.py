"""Where things of one checkout are kept, and the names of its parts."""

from __future__ import annotations

import hashlib
import os
import stat
from pathlib import Path

SERVICES = ("intake", "scheduling", "sessions", "crisis", "billing")
"""The services, in the order they start."""
GATEWAY = "gateway"
EDGES = (GATEWAY, "crisis")
"""What answers clients over HTTP. Crisis does so by itself too: a dead gateway stops no call for help."""
PARTS = (*SERVICES, GATEWAY)
"""Everything that runs as `python -m haven_<part>`."""

_SHARED = Path("/var/tmp")


def root() -> Path:
    """The checkout: the nearest folder above this file that holds uv.lock, else the working folder."""
    for folder in Path(__file__).resolve().parents:
        if (folder / "uv.lock").exists():
            return folder
    return Path.cwd()


def home() -> Path:
    """Where development state is kept: `.haven` of the checkout."""
    return root() / ".haven"


def readable_by_all() -> Path:
    """A folder that every user may enter, for servers that refuse to run as root. Made on demand; owned by root.

    Raises PermissionError where somebody else made it first.
    """
    folder = _readable_by_all()
    folder.mkdir(mode=0o755, exist_ok=True)
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o022:
        raise PermissionError(f"{folder} exists and is not ours alone; remove it")
    folder.chmod(0o755)  # whatever the umask says
    return folder


def _readable_by_all() -> Path:
    return _SHARED / f"haven-{hashlib.sha256(str(root()).encode()).hexdigest()[:12]}"


def folders_outside() -> list[Path]:
    """The folders that this checkout has made outside itself."""
    folder = _readable_by_all()
    return [folder] if folder.exists() and folder.lstat().st_uid == os.getuid() else []
