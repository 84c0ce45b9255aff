"""`haven import fhir`: referrals from FHIR R4 files."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from haven_cli.fhir_read import Export, Ready, Refusal, files_in, read_into, ready
from haven_cli.fhir_send import Done, NotAccepted, send_all
from haven_cli.output import err, fail, out, say

app = typer.Typer(no_args_is_help=True, help="Bring in data from other systems.")
OUTCOMES = ("created", "updated", "unchanged")
MAX_SHOWN = 50


@app.callback()
def _group() -> None:
    """Bring in data from other systems."""


@app.command("fhir")
def import_fhir(
    paths: Annotated[list[Path], typer.Argument(exists=True, help="NDJSON and bundle files, or folders of them.")],
    gateway: Annotated[str, typer.Option(envvar="HAVEN_GATEWAY", help="The gateway's address: https://host.")],
    token: Annotated[str, typer.Option(envvar="HAVEN_TOKEN", help="A care coordinator's sign-in token.")],
) -> None:
    """Import FHIR R4 resources as referrals, one for each patient.

    Can be repeated: what was imported before is recognized, and changes nothing when its content is the same.
    A bad line is reported and the rest goes on. Ends with status 1 when anything was refused.
    """
    files = files_in(paths)
    if not files:
        fail("There is no NDJSON or JSON file here.")
    export = _read(files)
    counts, refusals = _send(export, gateway, token)
    _report(export, counts, [*export.refusals, *refusals])
    if export.refusals or refusals:
        raise typer.Exit(1)


def _progress(unit: str) -> Progress:
    count = TextColumn("{task.percentage:>3.0f} %") if unit == "bytes" else MofNCompleteColumn()
    return Progress(
        TextColumn("{task.description}"), BarColumn(), count, TimeElapsedColumn(), console=err, transient=False
    )


def _read(files: list[Path]) -> Export:
    export = Export()
    with _progress("bytes") as progress:
        task = progress.add_task("Reading", total=sum(file.stat().st_size for file in files) or 1)
        for file in files:
            for count in read_into(export, file):
                progress.advance(task, count)
    return export


def _send(export: Export, gateway: str, token: str) -> tuple[Counter[str], list[Refusal]]:
    counts: Counter[str] = Counter()
    refusals: list[Refusal] = []

    def to_send() -> Iterator[Ready]:
        for each in ready(export):
            if isinstance(each, Refusal):
                refusals.append(each)
            else:
                yield each

    async def run() -> None:
        with _progress("patients") as progress:
            task = progress.add_task("Importing", total=len(export.patients))
            async for result in send_all(gateway, token, to_send()):
                if isinstance(result, Done):
                    counts[result.outcome] += 1
                else:
                    refusals.append(result)
                progress.update(task, completed=sum(counts.values()) + len(refusals))

    try:
        asyncio.run(run())
    except NotAccepted as error:
        done = sum(counts.values())
        fail(f"{error}" + (f" {done} referrals were imported before; they stay." if done else ""))
    return counts, refusals


def _report(export: Export, counts: Counter[str], refusals: list[Refusal]) -> None:
    for each in refusals[:MAX_SHOWN]:
        line = f", line {each.place.line}" if each.place.line else ""
        say(f"refused: {each.place.file}{line}: {each.reason}")
    if len(refusals) > MAX_SHOWN:
        say(f"… and {len(refusals) - MAX_SHOWN} more")
    if export.orphans:
        say(f"{export.orphans} resources are about patients who are not in these files; they were left out.")
    table = Table("Referrals", "Count")
    table.columns[1].justify = "right"
    for outcome in OUTCOMES:
        table.add_row(outcome, str(counts[outcome]))
    table.add_row("refused", str(len(refusals)))
    out.print(table)
