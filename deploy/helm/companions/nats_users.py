#!/usr/bin/env python3
"""Makes what the Secret `nats-users` holds: `python3 deploy/helm/companions/nats_users.py FOLDER`.

FOLDER gets `users.conf`, with a user for each service and `admin`, and a file with the password of each. A password
that is there stays: delete it and run again to have another.
"""

from __future__ import annotations

import json
import secrets
import sys
from pathlib import Path

PERMISSIONS = Path(__file__).parents[1] / "haven" / "files" / "nats-permissions.json"
ADMIN = "admin"
"""May do everything: for people who look after NATS, never for a service."""


def main(arguments: list[str]) -> int:
    """Write the files. Returns the exit status."""
    if len(arguments) != 1:
        sys.stderr.write(__doc__ or "")
        return 2
    folder = Path(arguments[0])
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    permissions = json.loads(PERMISSIONS.read_text())
    users = [{"user": ADMIN, "password": _password(folder / ADMIN)}]
    users += [
        {"user": name, "password": _password(folder / name), "permissions": may} for name, may in permissions.items()
    ]
    _write(folder / "users.conf", json.dumps({"users": users}, indent=2))
    return 0


def _password(path: Path) -> str:
    if not path.exists():
        _write(path, secrets.token_urlsafe(32))
    return path.read_text()


def _write(path: Path, text: str) -> None:
    path.touch(mode=0o600)
    path.write_text(text)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
