"""What every test of Haven may use; a pytest plugin that is there wherever the kit is installed."""

from haven_kit.testing.wait import eventually

__all__ = ["eventually"]
