"""Settings of intake."""

from haven_kit.settings import Settings


class IntakeSettings(Settings):
    """Intake is told nothing beside what every service is."""
