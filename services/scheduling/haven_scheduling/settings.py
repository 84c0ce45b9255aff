"""The service's settings."""

from haven_kit.settings import Settings


class SchedulingSettings(Settings):
    """What every service needs to be told, and nothing more."""
