"""The client installs with pip alone into an empty environment, without the server's dependencies, and works."""

from __future__ import annotations

import asyncio
import sys
import venv
from pathlib import Path

import pytest

from tests.rpc.service import running

ROOT = Path(__file__).parents[2]
SERVERS_OWN = ("muxer-grpc", "httpx", "aiohttp", "pydantic", "orjson", "typer", "uvloop")

SCRIPT = """
import sys
from muxer_client import MuxerClient
with MuxerClient(sys.argv[1]) as client:
    print(client.complete("hi").text)
"""


async def output_of(*command: str | Path) -> str:
    process = await asyncio.create_subprocess_exec(
        *map(str, command), stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT, cwd="/"
    )
    output, _ = await process.communicate()
    assert process.returncode == 0, output.decode()
    return output.decode()


@pytest.mark.slow
@pytest.mark.timeout(300)
async def test_pip_alone_installs_a_client_that_works(tmp_path: Path) -> None:
    await asyncio.to_thread(venv.create, tmp_path / "env", with_pip=True)
    python = tmp_path / "env" / "bin" / "python"
    pip = (python, "-m", "pip", "--disable-pip-version-check")
    await output_of(*pip, "install", "-q", ROOT / "clients/stubs", ROOT / "clients/python")
    installed = (await output_of(*pip, "list", "--format=freeze")).lower()
    assert "muxer-client" in installed
    for name in SERVERS_OWN:
        assert f"{name}==" not in installed, installed
    async with running() as service:
        said = await output_of(python, "-c", SCRIPT, service.data.addresses[0])
    assert said.strip() == "Hello world"
    typed = tmp_path / "env" / "lib" / f"python3.{sys.version_info.minor}" / "site-packages"
    assert (typed / "muxer" / "py.typed").exists()
    assert (typed / "muxer_client" / "py.typed").exists()
