"""Settings of intake."""

from haven_kit.settings import Settings


class IntakeSettings(Settings):
    """Intake needs nothing beyond what every service is told."""
