"""Final weights in files: named by the registry, copied whole, removed with their run."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest
from commands import sql
from ledger import WEIGHTS, make_card, make_epochs, make_evaluation, make_recipe, start

from kws.errors import NotOursError, RegistryError
from kws.registry import maintenance
from kws.registry.copying import copy_registry
from kws.registry.doctor import examine
from kws.registry.state_files import StateFiles
from kws.registry.store import Registry
from kws.registry.transfer import export, take_in

CARD = make_card()
_WITHOUT_URL = "ALTER TABLE weights DROP COLUMN url"


@pytest.fixture
def files(tmp_path):
    (tmp_path / "shared").mkdir()
    return StateFiles(str(tmp_path / "shared" / "weights"), "--weights")


@pytest.fixture
def registry(db, files):
    with Registry(db, create=True, weight_files=files) as opened:
        yield opened


def there(files):
    return [each.name for each in Path(files.place).iterdir()]


def finish(registry, seed=0):
    run = start(registry, make_recipe(epochs=2, seed=seed), CARD)
    for epoch in make_epochs(2):
        registry.record(run, epoch)
    registry.finish(run, make_evaluation(CARD), CARD, WEIGHTS)
    return run


def test_the_registry_has_their_url_and_digest(registry, files, db):
    run = finish(registry)
    (name,) = there(files)
    assert name.startswith(f"{run}.weights.")
    assert sql(db, "SELECT safetensors, sha256, url FROM weights") == [
        (b"", hashlib.sha256(WEIGHTS).hexdigest(), f"{files.place}/{name}")
    ]
    assert registry.weights(run) == WEIGHTS
    assert registry.by_id(run).status == "finished"
    assert examine(db) == []


def test_those_that_are_damaged_or_gone_are_told(registry, files, db):
    run = finish(registry)
    (file,) = Path(files.place).iterdir()
    file.write_bytes(WEIGHTS[:-1])
    with pytest.raises(RegistryError, match=f"the weights of run {run} in {file} are damaged: their SHA-256 does not"):
        registry.weights(run)
    (found,) = examine(db)
    assert found.problem == "has weights that are not what their SHA-256 says"
    file.unlink()
    with pytest.raises(RegistryError, match=f"the weights of run {run} in .*: {file} cannot be read"):
        registry.weights(run)
    (found,) = examine(db)
    assert found.problem.startswith(f"lacks its weights: {file}")
    assert found.fix == ""


def test_a_place_that_fails_leaves_them_to_the_registry(registry, files, db):
    Path(files.place).rmdir()
    run = finish(registry)
    assert files.trouble.startswith(f"the weights of run {run} could not be written to {files.place} (")
    assert registry.weights(run) == WEIGHTS
    assert sql(db, "SELECT url FROM weights") == [(None,)]


@pytest.mark.parametrize("how", ["export", "import", "backup"])
def test_a_copy_holds_the_weights_themselves(registry, files, db, tmp_path, how):
    run, copy = finish(registry), tmp_path / "copy.db"
    if how == "export":
        export(db, [run], copy)
    elif how == "import":
        take_in(copy, db)
    else:
        maintenance.back_up(db, copy)
    maintenance.purge(db, [run])
    assert there(files) == []
    with Registry(copy) as opened:
        assert opened.weights(run) == WEIGHTS
    assert sql(copy, "SELECT url FROM weights") == [(None,)]


def test_a_backup_without_a_file_that_it_needs_names_the_run_and_leaves_nothing(registry, files, db, tmp_path):
    """And one without weights needs none."""
    run = finish(registry)
    (file,) = Path(files.place).iterdir()
    file.unlink()
    with pytest.raises(RegistryError, match=rf"the weights of run {run}: {file} cannot be read \(No such file"):
        maintenance.back_up(db, tmp_path / "copy.db")
    assert not (tmp_path / "copy.db").exists()
    assert maintenance.back_up(db, tmp_path / "copy.db", weights=maintenance.NONE) == 1


def test_a_file_that_is_damaged_gets_into_no_copy(registry, files, db, tmp_path):
    run = finish(registry)
    (file,) = Path(files.place).iterdir()
    file.write_bytes(WEIGHTS[:-1])
    for copied in (lambda: maintenance.back_up(db, tmp_path / "a.db"), lambda: export(db, [run], tmp_path / "b.db")):
        with pytest.raises(RegistryError, match="is damaged: its SHA-256 does not match"):
            copied()


@pytest.mark.parametrize("name", ["secret", "other.weights.0123abcd.safetensors", "{run}.weights.0123abcd.safetensors"])
def test_a_registry_from_elsewhere_gets_no_other_file_into_a_copy(registry, files, db, tmp_path, name):
    run = finish(registry)
    secret = tmp_path / name.format(run=run)
    secret.write_text("secret")
    sql(db, f"UPDATE weights SET url = '{secret}'")
    with pytest.raises(RegistryError, match=r"(its name is not that of a state of|is damaged)"):
        maintenance.back_up(db, tmp_path / "copy.db")
    with pytest.raises(RegistryError):
        registry.weights(run)


@pytest.mark.parametrize("url", ["http://127.0.0.1:9/{name}", "s3://x::http://127.0.0.1:9/{name}"])
def test_nothing_is_asked_of_a_place_that_kws_does_not_write_to(registry, files, db, url):
    run = finish(registry)
    (name,) = there(files)
    sql(db, f"UPDATE weights SET url = '{url.format(name=name)}'")
    with pytest.raises(RegistryError, match="give a folder, or a URL that begins with one of s3://, gs://"):
        registry.weights(run)


def test_what_is_no_file_is_not_read(registry, files, db):
    run = finish(registry)
    (file,) = Path(files.place).iterdir()
    file.unlink()
    os.mkfifo(file)
    with pytest.raises(RegistryError, match="cannot be read \\(it is no file\\)"):
        registry.weights(run)


@pytest.mark.parametrize(
    ("in_files", "lacks"), [(True, ""), (True, "target"), (False, ""), (False, "source"), (False, "target")]
)
def test_a_whole_registry_is_copied_and_the_copy_is_found_to_hold_the_same(registry, files, db, place, in_files, lacks):
    run = finish(registry if in_files else Registry(db))
    target = place("target.db")
    with Registry(target, create=True):
        pass
    if lacks:
        sql(db if lacks == "source" else target, _WITHOUT_URL)
    assert copy_registry(db, target)
    with Registry(target) as copied:
        assert copied.weights(run) == WEIGHTS


def test_a_run_that_is_no_longer_this_process_s_leaves_no_file(registry, files, db):
    run = start(registry, make_recipe(epochs=2), CARD)
    columns = "first_epoch, started_at, heartbeat_at, host, boot, pid, process_started, environment"
    sql(db, f"INSERT INTO sessions SELECT run_key, session + 1, {columns} FROM sessions")
    with pytest.raises(NotOursError):
        registry.finish(run, make_evaluation(CARD), CARD, WEIGHTS)
    assert there(files) == []


def test_a_place_that_takes_no_file_is_told_before_anything_is_trained(files, tmp_path):
    assert files.tried() is files
    assert there(files) == []
    Path(files.place).rmdir()
    with pytest.raises(RegistryError, match=f"--weights {files.place} cannot be used: .*No such file or directory"):
        files.tried()


@pytest.mark.sqlite_file
@pytest.mark.parametrize("table", ["weights", "checkpoints"])
def test_a_damaged_registry_that_lacks_a_table_is_backed_up_as_it_is(registry, db, tmp_path, table):
    finish(Registry(db))
    registry.database.close()
    sql(db, f"DROP TABLE {table}")
    maintenance.back_up(db, tmp_path / "copy.db")
    assert sql(tmp_path / "copy.db", "SELECT count(*) FROM trainings") == [(1,)]


def test_they_are_removed_with_their_run_and_no_others(registry, files, db):
    first, second = finish(registry), finish(registry, seed=1)
    maintenance.purge(db, [first])
    (name,) = there(files)
    assert name.startswith(second)
    assert registry.weights(second) == WEIGHTS


def test_a_registry_whose_table_has_no_url_is_read_as_it_is_and_gets_one_where_it_is_needed(registry, files, db):
    before = finish(Registry(db))
    sql(db, _WITHOUT_URL)
    with Registry(db) as older:
        assert older.weights(before) == WEIGHTS
        finish(older, seed=2)
    assert examine(db) == []
    with Registry(db, weight_files=files) as older:
        run = finish(older, seed=1)
        assert older.weights(run) == WEIGHTS
    assert sql(db, "SELECT url IS NULL FROM weights ORDER BY run_key") in (
        [(1,), (1,), (0,)],
        [(True,), (True,), (False,)],
    )


@pytest.mark.parametrize("lacks", ["source", "target"])
def test_runs_are_copied_where_one_of_two_registries_has_no_url(registry, files, db, place, lacks):
    target = place("target.db")
    with Registry(target, create=True):
        pass
    run = finish(registry if lacks == "target" else Registry(db))
    sql(db if lacks == "source" else target, _WITHOUT_URL)
    take_in(target, db)
    with Registry(target) as copied:
        assert copied.weights(run) == WEIGHTS


def test_a_folder_that_cannot_be_made_is_told_by_its_option(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(RegistryError, match=r"--weights .*file/states cannot be made"):
        StateFiles(str(tmp_path / "file" / "states"), "--weights")
