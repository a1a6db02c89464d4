"""Prometheus and promtool as they are installed, and what their rules and the dashboards ask for."""

from __future__ import annotations

import asyncio
import json
import re
import shutil
import urllib.parse
import urllib.request
from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.process.running import ROOT
from tests.services.server import free_port

RULES = ROOT / "deploy" / "prometheus" / "rules.yml"
CONFIGURATION = ROOT / "deploy" / "prometheus" / "prometheus.yml"
RULES_TEST = ROOT / "deploy" / "prometheus" / "rules_test.yml"
RUNBOOK = ROOT / "deploy" / "prometheus" / "RUNBOOK.md"
DASHBOARDS = sorted((ROOT / "deploy" / "grafana").glob("*.json"))

needs_prometheus = pytest.mark.skipif(
    shutil.which("prometheus") is None or shutil.which("promtool") is None, reason="apt-get install prometheus"
)


async def promtool(*arguments: str | Path, given: bytes = b"") -> tuple[int, str]:
    """Runs promtool; gives the exit code and what it said."""
    process = await asyncio.create_subprocess_exec(
        *("promtool", *map(str, arguments)),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said, _ = await process.communicate(given)
    assert process.returncode is not None
    return process.returncode, said.decode()


@dataclass(frozen=True)
class Rule:
    """A rule as its file has it; `record` or `alert` is its name, the other one is empty."""

    expr: str
    record: str = ""
    alert: str = ""
    severity: str = ""
    runbook: str = ""


def rules() -> list[Rule]:
    """Reads the rules. Expressions stand on one line, or folded below `>-`."""
    found = []
    for part in re.split(r"^      - (?=record:|alert:)", RULES.read_text(), flags=re.M)[1:]:
        kind, _, name = part.splitlines()[0].partition(": ")
        folded = re.search(r"^        expr: >-\n((?: {10}.*\n)+)", part, flags=re.M)
        plain = re.search(r"^        expr: (.*)$", part, flags=re.M)
        expr = " ".join(folded[1].split()) if folded else plain[1] if plain else ""
        severity = re.search(r"severity: (\w+)", part)
        runbook = re.search(r"runbook: (\S+)", part)
        asked = {"severity": severity[1] if severity else "", "runbook": runbook[1] if runbook else ""}
        found.append(Rule(expr, **{kind: name}, **asked))
    return found


def panels(dashboard: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Walks the panels of a dashboard, those in collapsed rows among them."""
    for panel in dashboard["panels"]:
        yield panel
        yield from panel.get("panels", ())


@dataclass(frozen=True)
class Query:
    """What a dashboard asks for, and the legend that it writes with it."""

    where: str
    text: str
    legend: str = ""


def dashboards() -> Iterator[dict[str, Any]]:
    for file in DASHBOARDS:
        yield json.loads(file.read_text())


def prometheus_queries() -> Iterator[Query]:
    """Walks what dashboards ask Prometheus for."""
    for dashboard in dashboards():
        for variable in dashboard["templating"]["list"]:
            if variable["type"] == "query" and variable["datasource"]["type"] == "prometheus":
                inner = re.fullmatch(r"label_values\((.*), (\w+)\)", variable["definition"])
                assert inner, variable["definition"]
                yield Query(f"{dashboard['uid']} ${variable['name']}", f"count by ({inner[2]}) ({inner[1]})")
        for panel in panels(dashboard):
            for target in panel.get("targets", ()):
                if "expr" in target:
                    yield Query(f"{dashboard['uid']} {panel['title']}", target["expr"], target["legendFormat"])


def with_values(query: str) -> str:
    """Fills in what Grafana fills in."""
    for name, value in (("$__rate_interval", "1m"), ("$__interval", "1m"), ("$__range", "1h")):
        query = query.replace(name, value)
    return query.replace("$instance", ".*").replace("$provider", ".*")


class PrometheusAnswers:
    """A running Prometheus, asked by its HTTP API."""

    def __init__(self, address: str) -> None:
        self.address = address

    async def get(self, path: str, **parameters: str) -> Any:
        """Asks; gives the data. Raises urllib.error.HTTPError where it refuses."""
        url = f"http://{self.address}/api/v1/{path}?{urllib.parse.urlencode(parameters)}"

        def read() -> Any:
            with urllib.request.urlopen(url, timeout=10) as reply:
                return json.load(reply)

        answer = await asyncio.to_thread(read)
        assert answer["status"] == "success"
        return answer["data"]

    async def query(self, expr: str) -> list[tuple[dict[str, str], float]]:
        """Gives what an expression comes to now."""
        found = await self.get("query", query=expr)
        assert found["resultType"] == "vector", found
        return [(each["metric"], float(each["value"][1])) for each in found["result"]]

    async def until(self, expr: str, expected: float, seconds: float = 20.0) -> None:
        """Waits until an expression comes to a value."""
        found: list[tuple[dict[str, str], float]] = []
        try:
            async with asyncio.timeout(seconds):
                while [value for _, value in found] != [expected]:
                    found = await self.query(expr)
                    await asyncio.sleep(0.05)
        except TimeoutError:
            raise AssertionError(f"{expr} is {found}, not {expected}") from None


@asynccontextmanager
async def prometheus(folder: Path, *targets: str) -> AsyncGenerator[PrometheusAnswers, None]:
    """Runs Prometheus with the rules and the configuration that ship, for other targets and five times a second."""
    text = CONFIGURATION.read_text().replace("rules.yml", str(RULES))
    text, changed = re.subn(r"_interval: 15s", "_interval: 200ms", text)
    assert changed == 2
    text, changed = re.subn(r"(?:^ +- 127\.0\.0\.1:946\d\n)+", f"          [{', '.join(targets)}]\n", text, flags=re.M)
    assert changed == 1
    (folder / "prometheus.yml").write_text(text)
    address = f"127.0.0.1:{free_port()}"
    log = folder / "prometheus.log"
    with log.open("wb") as stderr:
        process = await asyncio.create_subprocess_exec(
            *("prometheus", f"--config.file={folder}/prometheus.yml", f"--storage.tsdb.path={folder}/prometheus"),
            *(f"--web.listen-address={address}", "--web.enable-lifecycle"),
            stderr=stderr,
        )
        try:
            running = PrometheusAnswers(address)
            async with asyncio.timeout(30):
                while not await _answers(running):
                    assert process.returncode is None, log.read_text()
                    await asyncio.sleep(0.05)
            yield running
        finally:
            if process.returncode is None:
                process.kill()
            await process.wait()


async def _answers(running: PrometheusAnswers) -> bool:
    try:
        return bool(await running.get("status/buildinfo"))
    except OSError:
        return False
