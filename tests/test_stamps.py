"""Tests of kws.registry.stamps: the same is told with and without times, and on systems that cannot leave them out."""

import sys

import pytest

from kws.registry import stamps
from kws.registry.stamps import stamp, untimed


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
    assert untimed(str(file)) == stamp(file, written=True)[:3]
    assert untimed(str(file))[:2] == stamp(file) != untimed(str(other))[:2]
    file.write_bytes(b"more")
    assert untimed(str(file)) == (*stamp(file), 4)
    other.replace(file)
    assert untimed(str(file))[:2] == stamp(file)


@pytest.mark.usefixtures("way")
def test_a_missing_file_has_no_stamp(tmp_path):
    assert untimed(str(tmp_path / "none")) is None
    assert stamp(tmp_path / "none") == ()


def test_what_statx_does_not_tell_stat_is_asked_for(tmp_path, monkeypatch):
    monkeypatch.setattr(stamps, "_statx", lambda: lambda _: None)
    assert untimed(str(tmp_path)) == stamp(tmp_path, written=True)[:3]


@pytest.mark.skipif(sys.platform != "linux", reason="statx is of Linux")
def test_linux_has_statx_and_elsewhere_it_is_not_looked_for(monkeypatch):
    assert stamps._statx() is not None
    stamps._statx.cache_clear()
    monkeypatch.setattr(sys, "platform", "darwin")
    assert stamps._statx() is None
    stamps._statx.cache_clear()
