"""Where the cache is for users without a home, or with one that is closed to them."""

import os
import tempfile
from pathlib import Path

import platformdirs
import pytest
from commands import TRAIN, ok_json, refused
from sounds import write_task

from kws.errors import DataError
from kws.speech.cache import cache_folder, unusable


@pytest.fixture
def homeless(tmp_path, monkeypatch):
    """A user with neither $HOME nor an entry among the users, and the folder of temporary files."""

    def unknown(_):
        raise KeyError("getpwuid(): uid not found")

    for name in ("KWS_CACHE", "XDG_CACHE_HOME", "HOME"):
        monkeypatch.setenv(name, "")  # so that what is set meanwhile is taken back
        monkeypatch.delenv(name)
    monkeypatch.setattr("pwd.getpwuid", unknown)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    (tmp_path / "tmp").mkdir()
    return tmp_path / "tmp" / f"kws-{os.geteuid()}"


@pytest.mark.parametrize("home", [None, "", "relative"])
def test_without_a_home_it_is_a_temporary_folder_of_the_users_own_and_that_is_said_once(
    homeless, monkeypatch, capsys, home
):
    if home is not None:
        monkeypatch.setenv("HOME", home)
    assert cache_folder() == homeless
    assert homeless.stat().st_mode & 0o777 == 0o700
    said = capsys.readouterr().err
    assert said.startswith(
        "note: the cache folder cannot be found, for this user has no home; downloads and features go"
    )
    assert said.count("\n") == 1 and "KWS_CACHE" in said
    assert cache_folder() == homeless
    assert os.environ["KWS_CACHE"] == str(homeless)  # for the processes of a sweep
    assert capsys.readouterr().err == ""
    assert not Path("~").exists()


def test_an_older_platformdirs_that_answers_with_a_tilde_makes_no_folder_of_that_name(homeless, monkeypatch):
    monkeypatch.setattr(platformdirs, "user_cache_path", lambda _: Path("~/.cache/kws"))
    assert cache_folder() == homeless


def test_a_run_is_trained_without_a_home(homeless, tmp_path):
    assert ok_json(*TRAIN, "--epochs", 1, "--data", write_task(tmp_path / "task"))["status"] == "finished"
    assert list((homeless / "features").iterdir())


def test_a_home_that_is_closed_is_left_alone_and_named(homeless, tmp_path, monkeypatch, capsys):
    (tmp_path / "home").write_text("")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert cache_folder() == homeless
    assert (
        f"the cache folder {tmp_path / 'home'}/.cache/kws cannot be used (Not a directory)" in capsys.readouterr().err
    )


def test_a_home_that_cannot_be_written_is_left_alone_unless_the_cache_is_there(homeless, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(os, "access", lambda path, mode: not mode & os.W_OK)
    assert cache_folder() == homeless
    monkeypatch.delenv("KWS_CACHE")
    (tmp_path / ".cache" / "kws").mkdir(parents=True)
    assert cache_folder() == tmp_path / ".cache" / "kws"  # what it holds can be used


def test_another_users_temporary_folder_is_not_trusted(homeless, tmp_path):
    for make in (
        lambda: homeless.symlink_to(tmp_path),
        lambda: homeless.write_text(""),
        lambda: (homeless.mkdir(), homeless.chmod(0o777)),
    ):
        make()
        with pytest.raises(
            DataError, match=r"no home, and no temporary folder can either .*; name a folder with KWS_C"
        ):
            cache_folder()
        homeless.rmdir() if homeless.is_dir() and not homeless.is_symlink() else homeless.unlink()


def test_without_any_temporary_folder_it_is_one_sentence(homeless, monkeypatch):
    def none():
        raise FileNotFoundError(2, "No usable temporary directory found")

    monkeypatch.setattr(tempfile, "gettempdir", none)
    assert "no temporary folder can either (No usable temporary directory found)" in refused("data", "list")


def test_a_chosen_folder_that_is_closed_is_one_sentence(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("KWS_CACHE", str(tmp_path / "file" / "cache"))
    said = refused(*TRAIN, "--data", write_task(tmp_path / "task"))
    assert said == (
        f"kws: the cache folder {tmp_path}/file/cache cannot be used (Not a directory); choose another with KWS_CACHE"
    )


def test_a_file_that_is_closed_is_one_sentence_and_of_the_cache_another_can_be_chosen(tmp_path, monkeypatch):
    cached = tmp_path / "cache" / "features" / "x" / "card.json"

    def closed(file):
        def load(*_, **__):
            raise PermissionError(13, "Permission denied", str(file))

        return load

    monkeypatch.setattr("kws.speech.dataset.load", closed(cached))
    said = refused(*TRAIN)
    assert said == f"kws: {cached} cannot be used (Permission denied); choose another cache folder with KWS_CACHE"
    monkeypatch.setattr("kws.speech.dataset.load", closed("/etc/other"))
    assert refused(*TRAIN) == "kws: /etc/other cannot be used (Permission denied)"


def test_a_process_of_a_sweep_says_so_as_well(monkeypatch):
    from kws.sweeps.trainer import as_task, carry_out

    class Closed:
        def probe(self, *_, **__):
            raise PermissionError(13, "Permission denied", b"/etc/other")

    from ledger import make_recipe

    told = carry_out(Closed(), as_task(make_recipe("fc", "adam"), do="probe"))
    assert told == {"status": "refused", "error": str(unusable(PermissionError(13, "Permission denied", "/etc/other")))}
