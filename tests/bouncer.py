"""PgBouncer in front of a server of the tests' own, in transaction mode: a connection is lent for one transaction."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
import time
from pathlib import Path

from server import Server

POOL_SIZE = 4
_CONFIGURATION = """
[databases]
* = host=127.0.0.1 port={server}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = scram-sha-256
auth_file = {folder}/users
pool_mode = transaction
default_pool_size = {pool}
max_client_conn = 500
query_wait_timeout = 5
server_login_retry = 1
logfile = {folder}/log
pidfile = {folder}/pid
"""


def missing() -> str:
    """What is not there to run it, and what installs it; "" where all is."""
    return "" if shutil.which("pgbouncer") else "PgBouncer is not installed; apt-get install pgbouncer brings it"


class Bouncer:
    """A pooler of so few connections that transactions of different clients take turns on each."""

    def __init__(self, server: Server) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="kws-pgbouncer-"))
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port: int = free.getsockname()[1]
        about = {"server": server.port, "port": self.port, "folder": self._folder, "pool": POOL_SIZE}
        (self._folder / "pgbouncer.ini").write_text(_CONFIGURATION.format(**about))
        (self._folder / "users").write_text(server.users())
        if server.run_as:
            for each in (self._folder, *self._folder.iterdir()):
                os.chown(each, server.run_as["user"], server.run_as["group"])
        self._process = subprocess.Popen(
            ["pgbouncer", "-q", self._folder / "pgbouncer.ini"], stdout=subprocess.DEVNULL, **server.run_as
        )
        until = time.monotonic() + 30
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return
            except OSError:
                if time.monotonic() > until:
                    raise RuntimeError((self._folder / "log").read_text()) from None
                time.sleep(0.05)

    def close(self) -> None:
        """Stop it and remove what it has written."""
        self._process.kill()
        self._process.wait()
        shutil.rmtree(self._folder, ignore_errors=True)
