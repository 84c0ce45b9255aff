"""The pytest plugin of every Haven test."""

import pytest


def pytest_configure(config: pytest.Config) -> None:
    """Register the marks."""
    config.addinivalue_line("markers", "capability(id): the test proves this capability of the programs")
