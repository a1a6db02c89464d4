"""Files that are there under their name only when all of them is written."""

from __future__ import annotations

from pathlib import Path

import pytest

from muxer_grpc.cli.exporting import whole_file


def test_a_file_takes_the_place_of_the_one_before_when_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "entries.csv"
    path.write_text("before")
    with whole_file(path) as file:
        file.write("after\n")
        file.flush()
        assert path.read_text() == "before"
    assert path.read_bytes() == b"after\n"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("before", ["what was there", None])
def test_of_a_file_that_fails_in_the_middle_nothing_is_left(tmp_path: Path, before: str | None) -> None:
    path = tmp_path / "entries.csv"
    if before is not None:
        path.write_text(before)
    with pytest.raises(RuntimeError, match="gone"), whole_file(path) as file:
        file.write("half of it")
        msg = "the service is gone"
        raise RuntimeError(msg)
    assert [each.read_text() for each in tmp_path.iterdir()] == ([] if before is None else [before])


def test_what_a_link_leads_to_is_written_and_the_link_stays(tmp_path: Path) -> None:
    real, link = tmp_path / "real.csv", tmp_path / "link.csv"
    link.symlink_to(real)
    with whole_file(link) as file:
        file.write("after")
    assert (link.is_symlink(), real.read_text()) == (True, "after")


def test_a_device_is_written_as_it_comes() -> None:
    with whole_file(Path("/dev/null")) as file:
        assert file.name == "/dev/null"
        file.write("gone")


def test_a_folder_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), whole_file(tmp_path / "none" / "entries.csv"):
        pass
