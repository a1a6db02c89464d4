"""TLS for a listener, with certificates that are read again when their files change."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import grpc

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """PEM files of a listener. With `require_client`, callers must show a certificate of an authority in `client_ca`.

    There is no asking without insisting: gRPC for Python does not ask for certificates unless it requires them.
    """

    certificate: Path
    key: Path
    client_ca: Path | None = None
    require_client: bool = False
    reload_seconds: float = 60.0


class _Certificates:
    """Reads the files, and again when they changed. gRPC asks at every handshake, on a thread of its own."""

    def __init__(self, files: TlsFiles, clock: Callable[[], float] = time.monotonic) -> None:
        self._files = files
        self._clock = clock
        self._lock = threading.Lock()
        self._stamp = self._stamp_now()
        self._checked_at = clock()
        self.configuration = self._read()

    def current(self) -> grpc.ServerCertificateConfiguration:
        """Gives the newest configuration that could be read; a broken renewal keeps the old one in service."""
        with self._lock:
            now = self._clock()
            if now - self._checked_at < self._files.reload_seconds:
                return self.configuration
            self._checked_at = now
            try:
                stamp = self._stamp_now()
                if stamp != self._stamp:
                    self.configuration = self._read()
                    self._stamp = stamp
                    _log.info("certificates were read again")
            except OSError as error:
                _log.error("certificates could not be read again, the old ones stay: %s", error.strerror)
            return self.configuration

    def _paths(self) -> list[Path]:
        files = self._files
        return [path for path in (files.certificate, files.key, files.client_ca) if path is not None]

    def _stamp_now(self) -> list[tuple[int, int]]:
        return [(stat.st_mtime_ns, stat.st_ino) for stat in map(os.stat, self._paths())]

    def _read(self) -> grpc.ServerCertificateConfiguration:
        files = self._files
        pair = (files.key.read_bytes(), files.certificate.read_bytes())
        client_ca = None if files.client_ca is None else files.client_ca.read_bytes()
        return grpc.ssl_server_certificate_configuration([pair], root_certificates=client_ca)


def server_credentials(files: TlsFiles) -> grpc.ServerCredentials:
    """Makes credentials of the files. Raises OSError when one cannot be read."""
    certificates = _Certificates(files)
    return grpc.dynamic_ssl_server_credentials(
        certificates.configuration,
        certificates.current,
        require_client_authentication=files.require_client,
    )
