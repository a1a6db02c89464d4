"""The file of changed profiles: what is written is read again, by every process; what is broken does no harm."""

from __future__ import annotations

import asyncio
import json
import logging
import os
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from muxer_grpc import profiles_file
from muxer_grpc.domain.catalogue import Tier
from muxer_grpc.domain.errors import ResourceNotFound
from muxer_grpc.domain.profiles import ProfileChange, ProfileEditor, Profiles
from muxer_grpc.domain.routing.fleet import Fleet
from muxer_grpc.domain.tasks import Capability, Intent
from muxer_grpc.profiles_file import ProfilesFile, ProfilesFileError
from tests.rpc.service import CATALOGUE
from tests.unit.given_settings import problems_of

SMALL, LARGE = "acme/small", "acme/large"
TICK = 0.01

WHOLE = ProfileChange(
    disabled=True,
    tier=Tier.PREMIUM,
    quality=0.25,
    intent_quality={Intent.CODE_GEN: 0.5, Intent.VISION: 1.0},
    capability_quality={},
)


class Process:
    """What one process has of the profiles: its own objects over the shared file."""

    def __init__(self, path: Path) -> None:
        self.file = ProfilesFile(path, CATALOGUE.models)
        profiles = Profiles(CATALOGUE, self.file.read())
        self.fleet = Fleet(profiles.catalogue)
        self.editor = ProfileEditor(profiles, self.fleet, self.file)

    def disabled(self) -> list[str]:
        return [model.name for model in self.fleet.catalogue.models.values() if model.disabled]

    @asynccontextmanager
    async def watching(self) -> AsyncGenerator[None, None]:
        watch = asyncio.create_task(self.file.watch(self.editor.take_over, TICK))
        try:
            yield
        finally:
            assert not watch.done(), "the watch ended"
            watch.cancel()
            await asyncio.gather(watch, return_exceptions=True)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "profiles.json"


async def until(holds: Callable[[], object]) -> None:
    async with asyncio.timeout(5):
        while not holds():
            await asyncio.sleep(TICK)


async def test_a_change_survives_a_restart(path: Path) -> None:
    before = Process(path)
    await before.editor.change(SMALL, WHOLE)
    after = Process(path)
    assert after.file.read() == {SMALL: WHOLE}
    assert after.fleet.catalogue.models[SMALL] == before.fleet.catalogue.models[SMALL]
    assert after.fleet.catalogue.version == before.fleet.catalogue.version != CATALOGUE.version


def test_a_missing_file_holds_no_changes(path: Path) -> None:
    assert ProfilesFile(path, ()).read() == {}
    assert not path.exists()


async def test_the_watches_of_two_processes_converge(path: Path) -> None:
    one, other = Process(path), Process(path)
    async with one.watching(), other.watching():
        await asyncio.gather(
            one.editor.change(SMALL, ProfileChange(disabled=True)),
            other.editor.change(LARGE, ProfileChange(disabled=True)),
        )
        await until(lambda: one.disabled() == other.disabled() == [LARGE, SMALL])
        await other.editor.change(SMALL, ProfileChange(disabled=False))
        await until(lambda: one.disabled() == [LARGE])
    assert one.fleet.catalogue.version == other.fleet.catalogue.version


async def test_processes_that_write_without_having_read_lose_nothing(path: Path) -> None:
    processes = [Process(path) for _ in range(4)]
    fields = [
        {"disabled": True},
        {"tier": Tier.PREMIUM},
        {"quality": 0.9},
        {"capability_quality": {Capability.CODE: 0}},
    ]
    await asyncio.gather(
        *(p.editor.change(SMALL, ProfileChange(**f)) for p, f in zip(processes, fields, strict=True))  # type: ignore[arg-type]
    )
    assert set(Process(path).file.read()[SMALL].given) == {"disabled", "tier", "quality", "capability_quality"}


async def test_a_caller_who_leaves_does_not_keep_the_change_from_being_taken_over(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = asyncio.Event()
    loop = asyncio.get_running_loop()
    replace = profiles_file._replace

    def replace_and_tell(target: Path, content: bytes) -> object:
        stamp = replace(target, content)
        loop.call_soon_threadsafe(written.set)
        return stamp

    monkeypatch.setattr(profiles_file, "_replace", replace_and_tell)
    process = Process(path)
    call = asyncio.create_task(process.editor.change(SMALL, ProfileChange(disabled=True)))
    await asyncio.sleep(0)
    call.cancel()
    await written.wait()
    async with process.watching():
        await until(lambda: process.disabled() == [SMALL])
    assert call.cancelled()


async def test_a_file_that_is_removed_leaves_the_models_as_they_were(path: Path) -> None:
    process = Process(path)
    await process.editor.change(SMALL, ProfileChange(disabled=True))
    async with process.watching():
        path.unlink()
        await until(lambda: process.disabled() == [])
    assert process.fleet.catalogue == CATALOGUE


BROKEN = {
    "no JSON": ("{", "is not JSON"),
    "no text": (b"\xff\xfe\xff", "is not JSON"),
    "another shape": ("[]", "valid dictionary"),
    "an unknown area": ('{"model": {}}', "model: Extra inputs"),
    "an unknown field": ('{"models": {"acme/small": {"colour": 1}}}', r"models\.acme/small\.colour: Extra inputs"),
    "an unknown tier": ('{"models": {"acme/small": {"tier": "royal"}}}', "tier: Input should be 'economy'"),
    "an unknown intent": ('{"models": {"acme/small": {"intent_quality": {"gossip": 1}}}}', "'chat_lite'"),
    "a quality above 1": ('{"models": {"acme/small": {"quality": 1.5}}}', "quality: .* less than or equal to 1"),
    "a quality that is no number": ('{"models": {"acme/small": {"quality": NaN}}}', "quality: .*"),
    "a quality as text": ('{"models": {"acme/small": {"quality": "1"}}}', "quality: .* valid number"),
    "a word for true": ('{"models": {"acme/small": {"disabled": "yes"}}}', "disabled: .* valid boolean"),
    "a model twice": ('{"models": {"acme/small": {}, "acme/small": {}}}', "acme/small is given twice"),
    "endless nesting": ("[" * 100_000, "is not JSON"),
}


@pytest.mark.parametrize("what", BROKEN)
def test_a_broken_file_is_refused_at_start_with_its_place(what: str, path: Path) -> None:
    content, message = BROKEN[what]
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(ProfilesFileError, match=message) as raised:
        ProfilesFile(path, ()).read()
    assert str(path) in str(raised.value)


def test_a_folder_in_place_of_the_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ProfilesFileError, match="cannot be read"):
        ProfilesFile(tmp_path, ()).read()


async def test_a_file_that_breaks_later_is_told_once_and_what_was_in_force_stays(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    process = Process(path)
    await process.editor.change(SMALL, ProfileChange(disabled=True))
    async with process.watching():
        path.write_text("{")
        await until(lambda: caplog.records)
        await asyncio.sleep(5 * TICK)
        assert process.disabled() == [SMALL]
        assert [record.levelname for record in caplog.records] == ["WARNING"]
        assert "those in force stay" in caplog.text
        path.write_text(json.dumps({"models": {LARGE: {"disabled": True}}}))
        await until(lambda: process.disabled() == [LARGE])


async def test_a_broken_file_is_not_written_over(path: Path) -> None:
    process = Process(path)
    path.write_text("{")
    with pytest.raises(ProfilesFileError):
        await process.editor.change(SMALL, ProfileChange(disabled=True))
    assert (path.read_text(), process.disabled()) == ("{", [])


async def test_models_that_are_not_in_the_catalogue_stay_in_the_file_and_are_told_once(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path.write_text(json.dumps({"models": {"gone/model": {"quality": 0.1}}}))
    process = Process(path)
    process.file.read()
    await process.editor.change(SMALL, ProfileChange(disabled=True))
    assert process.file.read() == {"gone/model": ProfileChange(quality=0.1), SMALL: ProfileChange(disabled=True)}
    told = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    assert [message.endswith("not in the catalogue: gone/model") for message in told] == [True]


async def test_an_unknown_model_is_refused_before_anything_is_written(path: Path) -> None:
    with pytest.raises(ResourceNotFound):
        await Process(path).editor.change("nobody/nothing", ProfileChange(disabled=True))
    assert not path.exists()


async def test_a_write_that_fails_leaves_the_old_file(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    process = Process(path)
    await process.editor.change(SMALL, ProfileChange(disabled=True))
    before = path.read_bytes()

    def full(_descriptor: int) -> None:
        msg = "no space left"
        raise OSError(msg)

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="no space left"):
        await process.editor.change(LARGE, ProfileChange(disabled=True))
    assert (path.read_bytes(), process.disabled()) == (before, [SMALL])


async def test_a_write_keeps_the_mode_of_the_file_and_follows_its_link(tmp_path: Path) -> None:
    real, link = tmp_path / "real.json", tmp_path / "link.json"
    real.write_text("{}")
    real.chmod(0o600)
    link.symlink_to(real)
    await Process(link).editor.change(SMALL, ProfileChange(disabled=True))
    assert link.is_symlink()
    assert real.stat().st_mode & 0o777 == 0o600
    assert SMALL in real.read_text()


@pytest.mark.parametrize("where", [".", "not-there/profiles.json"])
def test_a_file_that_cannot_come_to_be_is_a_problem_of_the_settings(where: str, tmp_path: Path) -> None:
    (problem,) = problems_of({"MUXER_CATALOGUE__PROFILES_FILE": str(tmp_path / where)}, dotenv="")
    assert "in a folder that is there" in problem
