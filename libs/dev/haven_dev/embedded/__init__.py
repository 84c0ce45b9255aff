"""PostgreSQL and NATS as child processes, from wheels, on loopback."""

from haven_dev.embedded.nats import Nats
from haven_dev.embedded.postgres import Postgres

__all__ = ["Nats", "Postgres"]
