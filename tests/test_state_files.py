"""Checkpoints in files: written whole, named by the registry, removed when they are of no more use."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from commands import kws, sql
from ledger import ENVIRONMENT, WEIGHTS, make_card, make_epochs, make_evaluation, make_recipe, start
from patience import until

from kws.errors import RegistryError
from kws.registry import doctor, entries, maintenance, state_files
from kws.registry.copying import copy_registry
from kws.registry.finishing import Ending, finish
from kws.registry.state_files import StateFiles, left_behind
from kws.registry.store import Registry
from kws.registry.transfer import take_in

STATE = b"state" * 1000


@pytest.fixture
def files(tmp_path):
    (tmp_path / "shared").mkdir()
    return StateFiles(str(tmp_path / "shared" / "states"))


@pytest.fixture
def registry(db, files):
    with Registry(db, create=True, files=files) as opened:
        yield opened


def there(files):
    return sorted(each.name for each in Path(files.place).iterdir())


def test_only_the_newest_is_kept_and_the_registry_names_it(registry, files, db):
    run = start(registry)
    for epoch in make_epochs(3):
        registry.record(run, epoch, STATE + bytes([epoch.epoch]))
    (name,) = there(files)
    assert name.startswith(f"{run}.3.")
    found = registry.checkpoint(run)
    assert (found.epoch, found.data, found.url) == (3, STATE + b"\3", f"{files.place}/{name}")
    assert sql(db, "SELECT safetensors FROM checkpoints") == [(None,)]


def test_it_goes_when_the_run_ends(registry, files):
    card = make_card()
    run = start(registry, card=card)
    registry.record(run, make_epochs(1)[0], STATE)
    registry.finish(run, make_evaluation(card), card, WEIGHTS)
    assert there(files) == []


def test_a_run_that_was_interrupted_keeps_it(registry, files):
    run = start(registry)
    registry.record(run, make_epochs(1)[0], STATE)
    registry.end(run, "interrupted")
    assert registry.checkpoint(run).data == STATE


@pytest.mark.parametrize("further", [True, False])
def test_one_whose_run_goes_on_without_files_stays_until_another_has_its_place(registry, files, db, further):
    """A run that was begun with --checkpoints, and is resumed without; it may be interrupted before its next one."""
    run = start(registry)
    registry.record(run, make_epochs(1)[0], STATE)
    registry.end(run, "interrupted")
    with Registry(db) as without:
        before = without.checkpoint(run)
        without.go_on(run, epochs=2, environment=ENVIRONMENT)
        with left_behind(without, run, before):
            without.record(run, make_epochs(2)[1], STATE[::-1] if further else None)
        found = without.checkpoint(run)
    assert (found.data, found.url) == ((STATE[::-1], None) if further else (STATE, before.url))
    assert there(files) == ([] if further else [before.url.rpartition("/")[2]])


def test_one_that_is_damaged_or_gone_is_told(registry, files, tmp_path):
    run = start(registry)
    registry.record(run, make_epochs(1)[0], STATE)
    (file,) = (tmp_path / "shared" / "states").iterdir()
    file.write_bytes(STATE[:-1])
    with pytest.raises(RegistryError, match="its SHA-256 does not match; `kws db doctor --fix` removes it"):
        registry.checkpoint(run)
    file.unlink()
    with pytest.raises(RegistryError, match=r"cannot be read .*; `kws db doctor --fix` removes it"):
        registry.checkpoint(run)


def test_a_place_that_fails_costs_no_epoch(registry, files, tmp_path):
    run = start(registry)
    (tmp_path / "shared" / "states").rmdir()
    registry.record(run, make_epochs(1)[0], STATE)
    assert files.trouble.startswith(f"a checkpoint could not be written to {files.place} (")
    assert registry.by_id(run).epochs_done == 1
    assert registry.checkpoint(run) is None


def test_nothing_is_removed_that_is_no_checkpoint_of_this_run(tmp_path):
    mine = tmp_path / "mine.safetensors"
    for name in ("mine.safetensors", "other.1.0123abcd.safetensors"):
        (tmp_path / name).write_text("precious")
        state_files.remove(str(tmp_path / name), "run")
        assert (tmp_path / name).exists()
    state_files.remove(str(tmp_path / "run.1.0123abcd.safetensors"), "run")
    assert mine.exists()


def test_a_copy_of_the_registry_holds_the_state_itself(registry, files, place, db):
    run = start(registry)
    registry.record(run, make_epochs(1)[0], STATE)
    registry.end(run, "interrupted")
    with Registry(place("copy.db"), create=True):
        pass
    take_in(place("copy.db"), db)
    for file in there(files):
        state_files.remove(f"{files.place}/{file}", run)
    with Registry(place("copy.db")) as copy:
        assert copy.checkpoint(run).data == STATE


def _replaced(registry, files) -> str:
    """A run that trains, whose checkpoint has just been replaced by one that the registry does not name yet."""
    run = start(registry)
    registry.record(run, make_epochs(1)[0], STATE)
    (file,) = there(files)
    state_files.remove(f"{files.place}/{file}", run)
    return run


def test_a_registry_is_copied_while_its_checkpoints_are_replaced(registry, files, place, db):
    run = _replaced(registry, files)
    other = start(registry, make_recipe(seed=1))
    registry.record(other, make_epochs(1)[0], STATE)  # which goes between the copy and its proof, or not
    copy = copy_registry(db, place("copy.db"))
    assert copy.differing == []
    assert sorted(copy.copied) == sorted([run, other])
    with Registry(place("copy.db")) as copied:
        assert copied.checkpoint(run) is None
        assert copied.checkpoint(other).data == STATE
    with Registry(place("more.db"), create=True):
        pass
    assert sorted(take_in(place("more.db"), db)[0]) == sorted([run, other])


def test_the_doctor_leaves_a_checkpoint_alone_that_is_being_replaced_or_out_of_reach(
    registry, files, db, tmp_path, monkeypatch
):
    run = _replaced(registry, files)
    assert doctor.examine(db) == []
    registry.end(run, "interrupted")
    (gone,) = doctor.examine(db)
    assert gone.fix
    sql(db, "UPDATE checkpoints SET sha256 = 'of a newer one'")
    assert doctor.mend(db, [gone], "2026-01-01T00:00:00+00:00")[1] == 0  # it is another one now
    sql(db, f"UPDATE checkpoints SET sha256 = '{gone.seen}'")
    with monkeypatch.context() as away:
        away.setattr(state_files, "_read", _too_late)
        (finding,) = doctor.examine(db)
        assert "lacks its checkpoints" in finding.problem
        assert not finding.fix
        with pytest.raises(RegistryError, match=r"\(it took too long\); try again when it can be$"):
            registry.checkpoint(run)
    assert doctor.mend(db, [gone], "2026-01-01T00:00:00+00:00")[1] == 1
    assert registry.checkpoint(run) is None


def test_a_place_that_is_not_mounted_is_out_of_reach_and_no_checkpoint_is_dropped(registry, files, db):
    run = start(registry)
    registry.record(run, make_epochs(1)[0], STATE)
    registry.end(run, "interrupted")
    place = Path(files.place)
    away = place.rename(place.with_name("unmounted"))
    (finding,) = doctor.examine(db)
    assert not finding.fix
    with pytest.raises(RegistryError, match=r"cannot be read .*; try again when it can be$"):
        registry.checkpoint(run)
    away.rename(place)
    assert registry.checkpoint(run).data == STATE


def _too_late(_: str) -> bytes:
    raise TimeoutError("it took too long")


@pytest.mark.sqlite_file
def test_a_url_that_is_no_text_keeps_no_run_from_being_purged(registry, files, db):
    run = start(registry)
    registry.record(run, make_epochs(1)[0], STATE)
    registry.end(run, "interrupted")
    sql(db, "UPDATE checkpoints SET url = x'00ff'")
    maintenance.purge(db, [run])
    assert sql(db, "SELECT count(*) FROM trainings") == [(0,)]


@pytest.mark.parametrize("to", ["nosuch://bucket/runs", "s4://x"])
def test_a_kind_of_store_that_is_not_known_is_one_sentence(to):
    with pytest.raises(RegistryError, match="--checkpoints"):
        StateFiles(to)


def test_a_folder_that_cannot_be_made_is_told(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(RegistryError, match=r"--checkpoints .*file/states cannot be made"):
        StateFiles(str(tmp_path / "file" / "states"))


def test_a_recipe_that_is_repeated_by_another_process_leaves_no_file_behind(registry, files, db):
    run = start(registry, make_recipe())
    registry.record(run, make_epochs(1)[0], STATE)
    registry.end(run, "interrupted")
    again = StateFiles(files.place)
    again.replaced(run, registry.checkpoint(run).url)
    registry.files = again
    from ledger import ENVIRONMENT

    registry.go_on(run, epochs=5, environment=ENVIRONMENT)
    registry.record(run, make_epochs(2)[1], STATE + b"2")
    assert len(there(files)) == 1


@pytest.mark.parametrize("known", [True, False])
def test_files_of_a_process_that_died_go_when_its_run_has_ended(registry, files, known):
    """It may have died in the midst of a file, or before the registry named it, or before the older one was removed."""
    card, run, other = make_card(), start(registry), "other"
    registry.record(run, make_epochs(1)[0], STATE if known else None)
    for name in (f"{run}.2.0123abcd", f"{run}.weights.0123abcd", f"{other}.1.0123abcd"):
        Path(files.place, f"{name}.safetensors").write_bytes(STATE[:9])
    registry.end(run, "interrupted")
    registry.files = StateFiles(files.place)
    before = registry.checkpoint(run)
    with pytest.raises(KeyboardInterrupt), left_behind(registry, run, before):
        registry.go_on(run, epochs=2, environment=ENVIRONMENT)
        registry.end(run, "interrupted")
        raise KeyboardInterrupt
    assert len(there(files)) == 3 + known
    with left_behind(registry, run, before):
        registry.go_on(run, epochs=2, environment=ENVIRONMENT)
        registry.finish(run, make_evaluation(card), card, WEIGHTS)
    assert there(files) == sorted([f"{other}.1.0123abcd.safetensors", f"{run}.weights.0123abcd.safetensors"])


def test_a_store_that_does_not_answer_holds_nobody_up_and_what_it_writes_later_is_removed(registry, files, monkeypatch):
    """Otherwise the run would tell no sign of life, and be taken over."""
    answers, real = threading.Event(), state_files._written
    monkeypatch.setattr(state_files, "_LONGEST_SECONDS", 0.1)
    monkeypatch.setattr(state_files, "_written", lambda url, data: answers.wait(30) and real(url, data))
    run = start(registry)
    registry.record(run, make_epochs(1)[0], STATE)
    assert "it took longer than" in files.trouble
    assert len(registry.epochs(run)) == 1
    removed = []
    monkeypatch.setattr(state_files, "_remove", lambda url: removed.append(url) or Path(url).unlink())
    answers.set()
    until(lambda: removed)
    until(lambda: there(files) == [])


def test_a_checkpoint_that_cannot_be_read_is_no_reason_not_to_have_the_run(registry, files, tmp_path):
    """Who claims it reads the state once it has it: not while all others wait for the registry."""
    run = start(registry)
    registry.record(run, make_epochs(1)[0], STATE)
    registry.end(run, "interrupted")
    for file in (tmp_path / "shared" / "states").iterdir():
        file.unlink()
    registry.go_on(run, epochs=2, environment=ENVIRONMENT)
    with pytest.raises(RegistryError, match="cannot be read"):
        registry.checkpoint(run)


def test_a_checkpoint_that_comes_after_the_end_goes_when_the_end_is_told_again(registry, db):
    """As where the answer to the end was lost, and a relay wrote what still waited."""
    card = make_card()
    run = start(registry, card=card)
    registry.record(run, make_epochs(1)[0])
    with registry.database.writing() as connection:
        key, ending = registry.key(connection, run), Ending.of(run, None, None, card, WEIGHTS, None)
        for _ in range(2):
            row = {"run_key": key, "epoch": 1, "sha256": "", "safetensors": b"", "url": None}
            entries.insert(connection, "checkpoints", row, anew="run_key")
            finish(connection, [(key, ending)])
    assert sql(db, "SELECT count(*) FROM checkpoints") == [(0,)]


def test_a_place_whose_parent_is_not_there_is_refused(tmp_path):
    with pytest.raises(RegistryError, match=f"cannot be made: there is no {tmp_path / 'unmounted'}$"):
        StateFiles(str(tmp_path / "unmounted" / "states"))
    assert not (tmp_path / "unmounted").exists()
    with pytest.raises(RegistryError, match=r"^--checkpoints names no place"):
        state_files.files_of("", None)
    with pytest.raises(RegistryError, match=r"^--checkpoints ~nobody-by-this-name/x cannot be made"):
        StateFiles("~nobody-by-this-name/x")


def denied(_: str) -> None:
    raise PermissionError(13, "Permission denied")


def test_a_place_where_nothing_can_be_removed_is_refused_for_checkpoints_alone(files, monkeypatch):
    monkeypatch.setattr(state_files, "_remove", denied)
    with pytest.raises(RegistryError, match=r"a file there cannot be removed \(Permission denied\)"):
        files.tried()
    StateFiles(files.place, "--weights").tried()


@pytest.mark.parametrize("slow", [False, True])
def test_files_that_stay_when_their_runs_are_purged_are_told_and_a_place_that_is_slow_is_asked_once(
    registry, files, db, monkeypatch, slow
):
    runs = [start(registry, make_recipe(seed=seed)) for seed in range(3)]
    for run in runs:
        registry.record(run, make_epochs(1)[0], STATE)
        registry.end(run, "interrupted")
        registry.delete(run)
    asked = []
    monkeypatch.setattr(maintenance, "_LONG_SECONDS", -1.0 if slow else 60.0)
    monkeypatch.setattr(state_files, "_remove", lambda url: asked.append(url) or denied(url))
    result = kws("runs", "purge", "--db", db)
    assert "3 runs purged" in result.stdout
    assert f"note: 3 files could not be removed, such as {files.place}/" in " ".join(result.stderr.split())
    assert len(asked) == (1 if slow else 3)
    assert len(there(files)) == 3


@pytest.mark.parametrize("status", ["interrupted", "failed"])
def test_a_checkpoint_that_somebody_has_removed_keeps_no_registry_from_being_copied(registry, files, place, db, status):
    run = _replaced(registry, files)
    registry.end(run, status)
    copy = copy_registry(db, place("copy.db"))
    assert (copy.differing, copy.copied) == ([], [run])
    with Registry(place("more.db"), create=True):
        pass
    assert take_in(place("more.db"), db)[0] == [run]


def test_a_store_that_is_away_is_no_fault_of_the_registry(registry, files, place, db, monkeypatch):
    run = start(registry)
    registry.record(run, make_epochs(1)[0], STATE)
    registry.end(run, "interrupted")
    monkeypatch.setattr(state_files, "_read", _too_late)
    with pytest.raises(RegistryError, match=r"could not be read \(.*it took too long\)\); try again$"):
        copy_registry(db, place("copy.db"))
