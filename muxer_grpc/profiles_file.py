"""The file of changed model profiles: JSON, replaced as a whole, shared by all processes of a service."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import stat
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, StrictBool, ValidationError

from muxer_grpc.domain.catalogue import Tier
from muxer_grpc.domain.profiles import Changes, ProfileChange, with_change
from muxer_grpc.domain.tasks import Capability, Intent

_log = logging.getLogger(__name__)

WATCH_SECONDS = 1.0

NEW_FILE_MODE = 0o644

Quality = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False, strict=True)]


class ProfilesFileError(ValueError):
    """A file of profiles that cannot be used; says which, where and why."""


class _Row(BaseModel):
    """The change of one model, as the file has it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    disabled: StrictBool | None = None
    tier: Tier | None = None
    quality: Quality | None = None
    intent_quality: dict[Intent, Quality] | None = None
    capability_quality: dict[Capability, Quality] | None = None


class _Contents(BaseModel):
    """The whole file: changes by full model name."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    models: dict[str, _Row] = Field(default_factory=dict)


class _Stamp(NamedTuple):
    """By what a changed file is told from an unchanged one."""

    modified_ns: int
    size: int
    inode: int


class ProfilesFile:
    """Reads, writes and watches the file.

    A missing file holds no changes. Of models in it that are not among the `known` ones, the log tells once; their
    changes stay in the file.
    """

    def __init__(self, path: Path, known: Collection[str]) -> None:
        self._path = path
        self._known = known
        self._told: set[str] = set()
        self._complaint = ""
        self._stamp: _Stamp | None = None
        # Held while the file and what is in force are brought in step, so that no older reading comes after a newer.
        self._turn = asyncio.Lock()

    def read(self) -> Changes:
        """Reads the changes. Raises ProfilesFileError when the file cannot be read or understood."""
        changes, self._stamp = self._load()
        self._tell_of_unknown(changes)
        return changes

    async def merge(self, name: str, change: ProfileChange) -> Changes:
        """Adds a change to those in the file, whoever wrote them, and gives them all.

        Raises ProfilesFileError when the file is broken (it is left alone), and OSError when it cannot be written.
        """
        async with self._turn:
            # A caller who leaves meanwhile leaves the stamp as it was, so that the watch finds what was written.
            changes, self._stamp = await asyncio.to_thread(self._merge, name, change)
        return changes

    async def watch(self, take_over: Callable[[Changes], None], interval_seconds: float = WATCH_SECONDS) -> None:
        """Looks at the file again and again, until cancelled, and hands over what it holds when it has changed.

        A broken file is told in the log, once, and changes nothing.
        """
        while True:
            await asyncio.sleep(interval_seconds)
            async with self._turn:
                changes = await asyncio.to_thread(self._news)
                if changes is not None:
                    take_over(changes)
                    _log.info("changed model profiles of %s are in force", self._path)

    def _news(self) -> Changes | None:
        """Reads the file if it has changed; None where it has not, or is broken."""
        try:
            if self._current_stamp() == self._stamp and not self._complaint:
                return None
            changes = self.read()
        except (ProfilesFileError, OSError) as error:
            self._complain(str(error))
            return None
        self._complaint = ""
        return changes

    def _complain(self, complaint: str) -> None:
        if complaint != self._complaint:
            _log.warning("changed model profiles are not taken over, those in force stay: %s", complaint)
        self._complaint = complaint

    def _current_stamp(self) -> _Stamp | None:
        try:
            return _stamp_of(self._path.stat())
        except FileNotFoundError:
            return None

    def _tell_of_unknown(self, changes: Changes) -> None:
        unknown = sorted(changes.keys() - set(self._known) - self._told)
        if unknown:
            self._told.update(unknown)
            _log.warning("%s changes models that are not in the catalogue: %s", self._path, ", ".join(unknown))

    def _load(self) -> tuple[Changes, _Stamp | None]:
        """Reads the file, and by what its next version is told from this one. Raises ProfilesFileError."""
        try:
            with self._path.open("rb") as file:
                stamp = _stamp_of(os.fstat(file.fileno()))
                content = file.read()
        except FileNotFoundError:
            return {}, None
        except OSError as error:
            msg = f"{self._path} cannot be read: {error.strerror}"
            raise ProfilesFileError(msg) from None
        return _parsed(content, self._path), stamp

    def _merge(self, name: str, change: ProfileChange) -> tuple[Changes, _Stamp]:
        target = Path(os.path.realpath(self._path))
        with _locked(target.with_name(f"{target.name}.lock")):
            changes = with_change(self._load()[0], name, change)
            return changes, _replace(target, _written(changes))


def _stamp_of(status: os.stat_result) -> _Stamp:
    return _Stamp(status.st_mtime_ns, status.st_size, status.st_ino)


def _parsed(content: bytes, path: Path) -> Changes:
    """Reads the changes from a file's content. Raises ProfilesFileError."""
    try:
        rows = _Contents.model_validate(json.loads(content, object_pairs_hook=_without_doubles)).models
    except ValidationError as error:
        first = error.errors()[0]
        msg = f"{path}: {'.'.join(str(step) for step in first['loc']) or 'it'}: {first['msg']}"
        raise ProfilesFileError(msg) from None
    except (ValueError, RecursionError) as error:
        msg = f"{path} is not JSON: {error}"
        raise ProfilesFileError(msg) from None
    return {name: ProfileChange(**dict(row)) for name, row in rows.items()}


def _without_doubles(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            msg = f"{name} is given twice"
            raise ValueError(msg)
        found[name] = value
    return found


def _written(changes: Changes) -> bytes:
    """Writes the changes in a fixed order, so that they can be read and compared."""
    models = {name: _Row(**change.given).model_dump(mode="json", exclude_none=True) for name, change in changes.items()}
    return (json.dumps({"models": models}, ensure_ascii=False, indent=2, sort_keys=True) + "\n").encode()


def _replace(target: Path, content: bytes) -> _Stamp:
    """Replaces a file, so that readers see the old content or the new, also after a crash. Raises OSError."""
    beside = target.with_name(f".{target.name}.new")
    with beside.open("wb") as file:
        file.write(content)
        file.flush()
        os.fchmod(file.fileno(), _mode_of(target))
        os.fsync(file.fileno())
        stamp = _stamp_of(os.fstat(file.fileno()))
    beside.replace(target)
    folder = os.open(target.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
    return stamp


def _mode_of(path: Path) -> int:
    try:
        return stat.S_IMODE(path.stat().st_mode)
    except FileNotFoundError:
        return NEW_FILE_MODE


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Keeps other processes from writing meanwhile; the lock falls with the process. Raises OSError."""
    import fcntl

    with path.open("ab") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
