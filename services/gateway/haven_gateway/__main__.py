"""`python -m haven_gateway` serves; `python -m haven_gateway openapi` prints the OpenAPI document."""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys

import uvloop

from haven_edge import openapi
from haven_edge.surface import Surface, SurfaceError
from haven_gateway.process import Gateway
from haven_gateway.settings import GatewaySettings
from haven_kit import garbage, logs, telemetry

BAD_CONFIGURATION = 78  # EX_CONFIG of sysexits.h


async def _serve(settings: GatewaySettings) -> None:
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for each in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(each, stopping.set)
    tracing = telemetry.setup(settings)
    gateway = Gateway(settings)
    await gateway.start()
    garbage.settle()
    await stopping.wait()
    await gateway.stop()
    await asyncio.to_thread(tracing.close)


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(prog="python -m haven_gateway")
    parser.add_argument("command", nargs="?", choices=("serve", "openapi"), default="serve")
    try:
        if parser.parse_args().command == "openapi":
            sys.stdout.buffer.write(openapi.printed(Surface.of_haven()))
            return
        settings = GatewaySettings.load(service="gateway")
        logs.setup("gateway", settings.log_level, strict=settings.environment != "production")
        uvloop.run(_serve(settings))
    except SurfaceError as error:
        sys.stderr.write(f"{error}\n")
        raise SystemExit(BAD_CONFIGURATION) from None


if __name__ == "__main__":
    main()
