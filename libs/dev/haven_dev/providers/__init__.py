"""Local doubles of the services that pages go by. They speak the real HTTP APIs, remember what they got, and fail."""

from __future__ import annotations

from haven_dev.providers.alertmanager import Alertmanager
from haven_dev.providers.doubles import Doubles
from haven_dev.providers.pager_duty import PagerDuty
from haven_dev.providers.push import PushService, Subscription
from haven_dev.providers.server import Trouble
from haven_dev.providers.twilio import Twilio

__all__ = ["Alertmanager", "Doubles", "PagerDuty", "PushService", "Subscription", "Trouble", "Twilio"]
