"""End what earlier runs of this checkout left running, and remove what they left outside it."""

from __future__ import annotations

import shutil
from contextlib import suppress

from haven_dev import project
from haven_dev.process import end_leftover


def main() -> None:
    """Clean up."""
    home = project.home()
    for pid_file in home.rglob("*.pid") if home.exists() else ():
        with suppress(KeyError, TypeError):  # PostgreSQL's own pid file is not one of ours
            if end_leftover(pid_file):
                print(f"clean: ended {pid_file.stem}, which an earlier run had left")
    for folder in project.folders_outside():
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
