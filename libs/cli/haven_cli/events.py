"""`haven events`: publish kept events again, and look after those that could not be reacted to."""

from __future__ import annotations

from typing import Annotated

import asyncpg
import typer

from haven_cli.databases import DatabaseUrl, Service, with_database
from haven_cli.output import say, told
from haven_kit.database import Database
from haven_kit.identity import system
from haven_kit.reactions import redrive as redrive_letters
from haven_kit.relay import replay as replay_events

app = typer.Typer(no_args_is_help=True, help="Replay events, and drive dead letters again.")
dead_letters = typer.Typer(no_args_is_help=True, help="Events that could not be reacted to.")
app.add_typer(dead_letters, name="dead-letters")


@app.command()
def replay(
    service: Service,
    database_url: DatabaseUrl = "",
    subject: Annotated[str, typer.Option(help="Only events of this subject.")] = "",
    since: Annotated[int, typer.Option(min=0, help="Only from this number of the outbox on.")] = 0,
) -> None:
    """Publish a service's kept events again. Consumers that have reacted already do nothing."""
    count = with_database(
        service, database_url, lambda database: replay_events(database, service, subject=subject, since_seq=since)
    )
    say(f"{count} events of {service} will be published again by its relay.")


@dead_letters.command("list")
def list_letters(
    service: Service,
    database_url: DatabaseUrl = "",
    limit: Annotated[int, typer.Option(min=1, max=1000)] = 100,
) -> None:
    """Show a service's dead letters, the newest first."""

    async def read(database: Database) -> list[asyncpg.Record]:
        async with database.transaction(system("cli/dead-letters")) as tx:
            return await tx.fetch(
                """SELECT event_id::text AS event_id, reaction, subject, attempts, error, died_at, redrive
                FROM dead_letter ORDER BY died_at DESC LIMIT $1""",
                limit,
            )

    letters = with_database(service, database_url, read)
    for letter in letters:
        # One line each and nothing cut off: the id is what `redrive --event` takes.
        again = ", being driven again" if letter["redrive"] else ""
        told(
            f"{letter['event_id']} {letter['reaction']} {letter['subject']}: {letter['error']} after "
            f"{letter['attempts']} attempts, {letter['died_at']:%Y-%m-%d %H:%M} UTC{again}"
        )
    if not letters:
        told(f"{service} has no dead letters.")


@dead_letters.command()
def redrive(
    service: Service,
    database_url: DatabaseUrl = "",
    event_id: Annotated[str, typer.Option("--event", help="One event's id; all by default.")] = "",
) -> None:
    """React to dead letters again."""
    count = with_database(service, database_url, lambda database: redrive_letters(database, service, event_id))
    say(f"{count} dead letters of {service} will be reacted to again.")
