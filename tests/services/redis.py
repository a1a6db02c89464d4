"""A Redis of the tests' own, which keeps nothing on disk."""

from __future__ import annotations

import shutil

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from tests.services.server import Server, ServiceMissing, Session

# Each worker of the test run has one.
DATABASES = 64

# By itself a client waits for seconds before it looks again.
AT_ONCE = Retry(NoBackoff(), 0)

TLS_FILES = ("cert", "key", "ca")


class RedisServer(Server):
    """Redis, on a port and a unix socket. With `tls`, a PEM file of all that TLS needs, the port speaks it."""

    def __init__(self, session: Session, *, shared: bool = False, tls: str = "", password: str = "") -> None:
        super().__init__(session, shared=shared)
        self.socket = self.folder / "redis.sock"
        self._tls = tls
        self._password = password

    @property
    def url(self) -> str:
        """Gives the URL of the first database."""
        login = f":{self._password}@" if self._password else ""
        scheme, options = ("rediss", f"?ssl_ca_certs={self._tls}") if self._tls else ("redis", "")
        return f"{scheme}://{login}localhost:{self.port}/0{options}"

    @property
    def unix_url(self) -> str:
        """Gives the URL of the first database by the unix socket."""
        login = f":{self._password}@" if self._password else ""
        return f"unix://{login}{self.socket}?db=0"

    def command(self) -> list[str]:
        """Gives the command that runs it."""
        program = shutil.which("redis-server")
        if program is None:
            msg = "redis-server is not installed: run .make/services, or set MUXER_TEST_REDIS_URL"
            raise ServiceMissing(msg)
        port = ["--port", "0", "--tls-port", str(self.port)] if self._tls else ["--port", str(self.port)]
        tls = ["--tls-auth-clients", "no"] if self._tls else []
        for name in TLS_FILES if self._tls else ():
            tls += [f"--tls-{name}{'-cert' if name == 'ca' else ''}-file", self._tls]
        password = ["--requirepass", self._password] if self._password else []
        return [
            *(program, "--bind", "127.0.0.1", *port, *tls, *password),
            *("--unixsocket", str(self.socket), "--unixsocketperm", "777"),
            *("--save", "", "--appendonly", "no", "--dir", str(self.folder), "--databases", str(DATABASES)),
        ]

    def answers(self) -> bool:
        """Tells whether it is ready to serve."""
        with redis.Redis.from_url(self.unix_url, retry=AT_ONCE) as client:
            try:
                return bool(client.ping())
            except redis.ConnectionError:
                return False
