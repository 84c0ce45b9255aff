"""`haven audit`: check that the audit trail is whole."""

from __future__ import annotations

import typer

from haven_cli.databases import DatabaseUrl, Service, with_database
from haven_cli.output import fail, out
from haven_kit.audit import verify as verify_chain

app = typer.Typer(no_args_is_help=True, help="Check the audit trail.")


@app.callback()
def group() -> None:
    """Check the audit trail."""


@app.command()
def verify(service: Service, database_url: DatabaseUrl = "") -> None:
    """Check a service's hash chain from its first entry to its last. Ends with status 1 where it is broken."""
    verdict = with_database(service, database_url, lambda database: verify_chain(database, service))
    if verdict.broken_at is not None:
        fail(f"{service}: BROKEN at entry {verdict.broken_at}; {verdict.entries} entries before it are whole.")
    out.print(f"{service}: {verdict.entries} entries are whole, {verdict.unsealed} wait for their seal.")
    out.print(f"head {verdict.head}")
