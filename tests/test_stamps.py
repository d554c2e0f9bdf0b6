"""Tests of kws.registry.stamps: the same is told with and without times, and on systems that cannot leave them out."""

import sys

import pytest

from kws.registry import stamps
from kws.registry.stamps import stamp


@pytest.fixture(params=["asked for by statx", "asked for by stat"])
def way(request, monkeypatch):
    """Both ways to ask."""
    if request.param == "asked for by stat":
        monkeypatch.setattr(stamps, "_statx", lambda: None)


@pytest.mark.usefixtures("way")
def test_a_file_is_told_from_another_without_its_times(tmp_path):
    file, other = tmp_path / "ä file", tmp_path / "other"
    file.write_bytes(b"four")
    other.write_bytes(b"four")
    about = file.stat()
    assert stamp(file) == stamp(str(file)) == (about.st_dev, about.st_ino) != stamp(other)
    assert stamp(file, written=True) == (*stamp(file), 4, about.st_mtime_ns)
    file.write_bytes(b"longer")
    assert stamp(file) == (about.st_dev, about.st_ino)
    other.replace(file)
    assert stamp(file) != (about.st_dev, about.st_ino)


@pytest.mark.usefixtures("way")
def test_a_missing_file_has_no_stamp_and_a_link_that_of_its_file(tmp_path):
    link = tmp_path / "link"
    link.symlink_to("file")
    assert stamp(link) == stamp(link, written=True) == ()
    (tmp_path / "file").touch()
    assert stamp(link) == stamp(tmp_path / "file") != ()


def test_what_statx_does_not_tell_stat_is_asked_for(tmp_path, monkeypatch):
    expected = stamp(tmp_path)
    monkeypatch.setattr(stamps, "_statx", lambda: lambda _: None)
    assert stamp(tmp_path) == expected


@pytest.mark.skipif(sys.platform != "linux", reason="statx is of Linux")
def test_linux_has_statx_and_elsewhere_it_is_not_looked_for(monkeypatch):
    assert stamps._statx() is not None
    stamps._statx.cache_clear()
    monkeypatch.setattr(sys, "platform", "darwin")
    assert stamps._statx() is None
    stamps._statx.cache_clear()
