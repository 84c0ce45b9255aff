"""Settings of sessions."""

from __future__ import annotations

from pydantic import Field

from haven_kit.settings import Settings


class SessionsSettings(Settings):
    """What sessions is told beside what every service is."""

    heartbeat_seconds: int = Field(default=15, ge=1, le=300, description="How often a client says it is still there.")
    lapse_seconds: int = Field(
        default=45, ge=2, le=900, description="Without a heartbeat for so long, one counts as gone."
    )
    close_grace_minutes: int = Field(
        default=30, ge=1, le=1440, description="A room without staff is closed so long after its planned end."
    )
    close_limit_minutes: int = Field(
        default=180, ge=1, le=1440, description="Any room is closed so long after its planned end."
    )
    scheduling_timeout_seconds: float = Field(default=2.0, gt=0, le=10, description="For the agenda, as a room opens.")
    max_watchers: int = Field(
        default=1000, ge=1, le=1500, description="Watched rooms at once, so that other calls always have room."
    )
    help_pool_size: int = Field(default=2, ge=1, le=20, description="Database connections for calls for help alone.")
    crisis_timeout_seconds: float = Field(default=5.0, gt=0, le=10, description="For a call for help.")
    location_timeout_seconds: float = Field(default=1.5, gt=0, le=10, description="For a location, as people join.")
