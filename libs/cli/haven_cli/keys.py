"""`haven keys`: the keys that a service seals health information with. Back them up: nothing opens without them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from haven_cli.output import fail, told
from haven_kit import cipher

app = typer.Typer(no_args_is_help=True, help="Make and rotate a service's keys.")
Keyset = Annotated[Path, typer.Argument(help="The service's keyset file.")]
Kek = Annotated[Path, typer.Option("--kek", help="The key that the keyset is wrapped with.")]


@app.command()
def create(keyset: Keyset, kek: Kek) -> None:
    """Make a keyset, and the key it is wrapped with where that does not exist yet. Never replaces a keyset."""
    try:
        if not kek.exists():
            cipher.create_kek(kek)
            told(f"made {kek}: keep it apart from the keyset")
        cipher.create_keyset(keyset, kek)
    except FileExistsError:
        fail(f"{keyset} exists already. What it sealed opens with no other: rotate it instead.")
    except OSError as error:
        fail(f"{error.filename}: {error.strerror}")
    told(f"made {keyset}")


@app.command()
def rotate(keyset: Keyset, kek: Kek) -> None:
    """Add a key that seals from the next start of the service on. Older ones go on opening what they sealed."""
    try:
        cipher.rotate(keyset, kek)
    except cipher.KeysetRefused as error:
        fail(str(error))
    told(f"{keyset} has a new primary key. Restart the service's processes.")


@app.command()
def rewrap(
    keyset: Keyset, kek: Kek, new_kek: Annotated[Path, typer.Option("--new-kek", help="Made where it does not exist.")]
) -> None:
    """Wrap the keyset with another key. The keys in it stay the same."""
    try:
        if not new_kek.exists():
            cipher.create_kek(new_kek)
        cipher.rewrap(keyset, kek, new_kek)
    except cipher.KeysetRefused as error:
        fail(str(error))
    told(f"{keyset} is wrapped with {new_kek} now. Give the service both files, then destroy {kek}.")
