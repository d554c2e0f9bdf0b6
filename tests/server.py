"""A PostgreSQL server of the tests' own: a new one on a free port of this machine, with a password, gone at the end."""

from __future__ import annotations

import os
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from urllib.parse import quote

USER = "tester"


def programs() -> Path | None:
    """The folder with PostgreSQL's programs, the newest where there are several; None where there is none."""
    found = shutil.which("initdb")
    folders = [Path(found).parent] if found else []
    folders += sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda each: int(each.parent.name))
    return next((each for each in reversed(folders) if (each / "initdb").exists()), None)


def missing() -> str:
    """What is not there to run a server and to reach it, and what installs it; "" where all is."""
    try:
        import psycopg  # noqa: F401
    except ImportError:
        return 'psycopg is not installed; pip install "kws[postgresql]" brings it'
    return "" if programs() else "PostgreSQL is not installed; apt-get install postgresql brings it"


def _user() -> dict[str, int]:
    """Whom to run it as: PostgreSQL refuses root."""
    if os.geteuid() != 0:
        return {}
    for name in ("postgres", "nobody"):
        try:
            found = pwd.getpwnam(name)
        except KeyError:
            continue
        return {"user": found.pw_uid, "group": found.pw_gid}
    raise RuntimeError("there is neither a user postgres nor a user nobody to run PostgreSQL as")


class Server:
    """A cluster that runs; a schema of it is a registry of its own. A `durable` one waits for the disk, as is usual."""

    def __init__(self, *, durable: bool = False, connections: int = 100) -> None:
        self._durable, self._connections = durable, connections
        self.password = f"p@ss/{secrets.token_hex(8)}"
        self._bin = programs()
        assert self._bin
        self.run_as = _user()
        self._folder = Path(tempfile.mkdtemp(prefix="kws-postgresql-"))
        if self.run_as:
            os.chown(self._folder, self.run_as["user"], self.run_as["group"])
        first = self._folder / "password"
        first.write_text(self.password)
        first.chmod(0o644)
        subprocess.run(
            [
                *(self._bin / "initdb", "--pgdata", self._folder / "data", "--username", USER, "--no-sync"),
                *("--auth", "scram-sha-256", "--pwfile", first, "--encoding", "UTF8", "--locale", "C.UTF-8"),
            ],
            cwd=self._folder,
            check=True,
            capture_output=True,
            **self.run_as,
        )
        first.unlink()
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self._made = 0
        self.asked_at: int = self.port  # or a pooler's, in front of it
        self.start()

    def start(self) -> None:
        """Start it, and wait until it answers."""
        log = (self._folder / "log").open("ab")
        assert self._bin
        self._process = subprocess.Popen(
            [
                *(self._bin / "postgres", "-D", self._folder / "data", "-p", str(self.port), "-h", "127.0.0.1"),
                *(
                    "-k",
                    self._folder,
                    "-c",
                    f"max_connections={self._connections}",
                    "-c",
                    "shared_buffers=32MB",
                    "-c",
                    "jit=off",
                    "-c",
                    f"fsync={'on' if self._durable else 'off'}",
                ),
            ],
            cwd=self._folder,
            stdout=log,
            stderr=log,
            **self.run_as,
        )
        log.close()
        import psycopg

        until = time.monotonic() + 30
        while True:
            try:
                psycopg.connect(self.conninfo()).close()
                return
            except psycopg.OperationalError:
                if time.monotonic() > until:
                    raise RuntimeError((self._folder / "log").read_text()) from None
                time.sleep(0.05)

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """Stop it, sessions or not; SIGQUIT as if the machine had lost its power."""
        self._process.send_signal(how)
        self._process.wait(30)

    def close(self) -> None:
        """Stop it and remove what it has written."""
        self.stop(signal.SIGQUIT)
        shutil.rmtree(self._folder, ignore_errors=True)

    def users(self) -> str:
        """Who may connect, as PgBouncer's list."""
        return f'"{USER}" "{self.password}"\n'

    def conninfo(self) -> str:
        """What psycopg connects by."""
        return f"host=127.0.0.1 port={self.port} user={USER} dbname=postgres password='{self.password}'"

    def url(self, schema: str, *, password: bool = True) -> str:
        """The URL of a schema."""
        secret = f":{quote(self.password, safe='')}" if password else ""
        where = f"127.0.0.1:{self.asked_at}/postgres?options=-csearch_path%3D{schema}"
        return f"postgresql+psycopg://{USER}{secret}@{where}"

    def new_schema(self) -> str:
        """A schema that nobody has used."""
        import psycopg

        self._made += 1
        name = f"registry_{os.getpid()}_{self._made}"
        with psycopg.connect(self.conninfo(), autocommit=True) as connection:
            connection.execute(f"CREATE SCHEMA {name}")
            connection.execute(  # which the damage of some tests is done by
                f"CREATE FUNCTION {name}.zeroblob(bigint) RETURNS bytea LANGUAGE SQL "
                "AS $$ SELECT decode(repeat('00', $1::integer), 'hex') $$"
            )
        return name
