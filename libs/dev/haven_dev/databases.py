"""Databases for services on any PostgreSQL server, made through its superuser."""

from __future__ import annotations

from contextlib import suppress
from urllib.parse import quote, urlsplit, urlunsplit

import asyncpg


async def create(admin_url: str, name: str, owner: str, password: str, *, template: str = "template1") -> str:
    """Make a database and the login that owns it, unless they are there. Returns its address for that login."""
    connection = await asyncpg.connect(admin_url)
    try:
        if not await connection.fetchval("SELECT 1 FROM pg_roles WHERE rolname = $1", owner):
            # Another process may make the same one at the same time.
            with suppress(asyncpg.DuplicateObjectError, asyncpg.UniqueViolationError):
                await connection.execute(f"CREATE ROLE {_quoted(owner)} LOGIN")
            alter = "SELECT format('ALTER ROLE %I PASSWORD %L', $1::text, $2::text)"
            await connection.execute(await connection.fetchval(alter, owner, password))
        if not await connection.fetchval("SELECT 1 FROM pg_database WHERE datname = $1", name):
            await connection.execute(
                f"CREATE DATABASE {_quoted(name)} OWNER {_quoted(owner)} TEMPLATE {_quoted(template)}"
            )
            await connection.execute(f"REVOKE CONNECT ON DATABASE {_quoted(name)} FROM PUBLIC")
    finally:
        await connection.close()
    return address(admin_url, name, owner, password)


async def drop(admin_url: str, name: str) -> None:
    """Remove a database, ending its sessions."""
    connection = await asyncpg.connect(admin_url)
    try:
        await connection.execute(f"DROP DATABASE IF EXISTS {_quoted(name)} WITH (FORCE)")
    finally:
        await connection.close()


def address(admin_url: str, name: str, user: str, password: str) -> str:
    """The address of a database for a login, on the server of `admin_url`."""
    parts = urlsplit(admin_url)
    host = f"{quote(user, safe='')}:{quote(password, safe='')}@{parts.hostname}:{parts.port}"
    return urlunsplit(("postgresql", host, f"/{name}", "", ""))


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
