"""Where faults are played: a fake provider in a thread of its own, and the service as a process."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import ssl
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from tests.fakes.provider import FakeProvider
from tests.faults.pace import Pace
from tests.faults.seen import Pair
from tests.faults.table import ALL, Fault
from tests.faults.verdicts import PRICES
from tests.process.running import clean_environment

HEALTHY = "healthy"
# A name this long is refused without asking any name server.
NOWHERE = f"http://{'.'.join(['a' * 60] * 5)}.invalid/v1"


def key_of(fault: Fault, form: str) -> str:
    """Gives the key under which a fault is played in one form."""
    return f"{fault.id}-{form.replace(' ', '-')}".lower()


class Ground:
    """A running service and its fake provider."""

    def __init__(self, pace: Pace, fake: FakeProvider, process: subprocess.Popen[str], told: Mapping[str, str]) -> None:
        self.pace = pace
        self.fake = fake
        self._process = process
        self.target = told["data"][0]
        self.admin_target = told["admin"][0]

    def play(self, fault: Fault, form: str) -> Pair:
        """Sets the stage for a fault in one form; gives its models."""
        pair = Pair.of(key_of(fault, form))
        self.fake.script(pair.primary, *fault.primary(self.pace))
        self.fake.script(pair.fallback, *fault.fallback(self.pace))
        return pair

    @property
    def alive(self) -> bool:
        """Tells whether the process runs."""
        return self._process.poll() is None

    def resident_kib(self) -> int:
        """Gives the resident memory of the process in KiB."""
        status = Path(f"/proc/{self._process.pid}/status").read_text()
        return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS"))

    def open_files(self) -> int:
        """Counts the open file descriptors of the process."""
        return len(os.listdir(f"/proc/{self._process.pid}/fd"))


@contextmanager
def ground(pace: Pace) -> Iterator[Ground]:
    """Runs a fake provider and a service that knows a pair of models for each fault and form."""
    with tempfile.TemporaryDirectory() as folder, _fakes(Path(folder)) as (fake, secure):
        places = {
            "fake": f"{fake.url}/v1",
            "nowhere": NOWHERE,
            "tls": f"{secure.url}/v1".replace("http:", "https:"),
            "no tls": f"{fake.url}/v1".replace("http:", "https:"),
            "closed": "http://127.0.0.1:1/v1",
        }
        (Path(folder) / "muxer.toml").write_text(_settings(pace, places))
        log = (Path(folder) / "log").open("w+")
        process = subprocess.Popen(
            [sys.executable, "-m", "muxer_grpc", "serve", "--json"],
            cwd=folder,
            env=clean_environment(MUXER_SERVER__ADMIN_LISTEN="127.0.0.1:0"),
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        )
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            log.seek(0)
            assert line, log.read()
            yield Ground(pace, fake, process, json.loads(line))
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(30)
            finally:
                process.kill()
                process.wait()
                log.close()
                assert process.stdout is not None
                process.stdout.close()


def _settings(pace: Pace, places: Mapping[str, str]) -> str:
    """Writes the settings of the service."""
    lines = [f"resilience = {_inline(pace.rules)}", f"providers.{HEALTHY} = {_provider(HEALTHY, places['fake'], pace)}"]
    for fault in ALL:
        for form in fault.forms:
            pair = Pair.of(key_of(fault, form))
            lines.append(f"providers.{pair.primary} = {_provider(pair.primary, places[fault.place], pace)}")
            lines.append(f"providers.{pair.fallback} = {_provider(pair.fallback, places['fake'], pace)}")
    return "\n".join(lines)


def _inline(value: object) -> str:
    """Writes a value as TOML has it within a line."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{name} = {_inline(each)}" for name, each in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_inline, value)) + "]"
    return json.dumps(value)


def _provider(name: str, url: str, pace: Pace) -> str:
    is_fallback = name.startswith("f-")
    per_input, per_output = (f"{nano / 1000:g}" for nano in PRICES["f" if is_fallback else "p"])
    model = {
        "name": name,
        "tier": "economy",
        # The fallback takes more, as one must that steps in where a context was too long.
        "context_window": 200_000 if is_fallback else 100_000,
        "max_output_tokens": 16_000,
        "features": ["prefill"],
        "input_usd_per_million": per_input,
        "output_usd_per_million": per_output,
    }
    timeouts = {"connect_seconds": pace.connect}
    return _inline({"adapter": "compatible", "base_url": url, "models": [model], "timeouts": timeouts})


@contextmanager
def _fakes(folder: Path) -> Iterator[tuple[FakeProvider, FakeProvider]]:
    """Runs two fake providers in a thread: one in the clear, one with a certificate that nobody trusts."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()

    def run(coroutine: object) -> object:
        return asyncio.run_coroutine_threadsafe(coroutine, loop).result(30)  # type: ignore[arg-type]

    plain, secure = FakeProvider(), FakeProvider()
    try:
        run(plain.start())
        run(secure.start(tls=_untrusted(folder)))
        yield plain, secure
    finally:
        run(plain.stop())
        run(secure.stop())
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


def _untrusted(folder: Path) -> ssl.SSLContext:
    """Makes a server's TLS with a certificate that it gave itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    plain = (serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (folder / "key.pem").write_bytes(key.private_bytes(pem, *plain))
    (folder / "certificate.pem").write_bytes(certificate.public_bytes(pem))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "certificate.pem", folder / "key.pem")
    return context
