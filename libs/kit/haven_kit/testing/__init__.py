"""What every test of Haven may use; a pytest plugin that is there wherever the kit is installed.

Fixtures: `serve` (run a service in the test), `database`, `nats_server`, `clock`, `haven` (a module's surroundings).
"""

from haven_kit.testing.wait import eventually

__all__ = ["eventually"]
