"""`haven keys`: the keys that a service seals health information with. Back them up: nothing opens without them."""

from __future__ import annotations

from collections.abc import Callable
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
def add(keyset: Keyset, kek: Kek) -> None:
    """Add a key that opens and does not seal yet. Give every process the file, then promote the key."""
    _change(cipher.add_key, keyset, kek)
    told(f"{keyset} has one key more. Give it to every process of the service, then: haven keys promote")


@app.command()
def promote(keyset: Keyset, kek: Kek) -> None:
    """Make the key that was added last seal from the next start on. Older ones go on opening what they sealed."""
    _change(cipher.promote_key, keyset, kek)
    told(f"{keyset} seals with the key that was added last. Give it to every process of the service.")


@app.command()
def rewrap(
    keyset: Keyset, kek: Kek, new_kek: Annotated[Path, typer.Option("--new-kek", help="Made where it does not exist.")]
) -> None:
    """Wrap the keyset with another key. The keys in it stay the same."""
    if not new_kek.exists():
        cipher.create_kek(new_kek)
    _change(cipher.rewrap, keyset, kek, new_kek)
    told(f"{keyset} is wrapped with {new_kek} now. Give the service both files, then destroy {kek}.")


def _change(change: Callable[..., None], *files: Path) -> None:
    try:
        change(*files)
    except cipher.KeysetRefused as error:
        fail(str(error))
    except OSError as error:
        fail(f"{error.filename}: {error.strerror}")
