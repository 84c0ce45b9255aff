"""The `haven` command: each group of commands is a module of this package with an `app` or a function of its own."""

from __future__ import annotations

import typer

from haven_cli import audit, drill, events, fhir, keys, platform

app = typer.Typer(
    no_args_is_help=True, add_completion=False, help="Run and look after Haven.", pretty_exceptions_enable=False
)
app.command("run")(platform.run)
app.command("token")(platform.token)
app.command("drill")(drill.drill)
app.add_typer(events.app, name="events")
app.add_typer(audit.app, name="audit")
app.add_typer(keys.app, name="keys")
app.add_typer(fhir.app, name="import")

if __name__ == "__main__":
    app()
