"""Settings of scheduling."""

from haven_kit.settings import Settings


class SchedulingSettings(Settings):
    """Scheduling is told nothing beside what every service is."""
