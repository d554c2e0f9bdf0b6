"""Checkpoints and weights in an object store: an S3 server on this machine, which moto plays."""

from __future__ import annotations

from urllib.request import Request, urlopen

import pytest
from commands import TRAIN, kws, ok, sql
from ledger import WEIGHTS, make_card, make_epochs, make_evaluation, start
from sounds import write_task

from kws.errors import RegistryError
from kws.registry import doctor
from kws.registry.state_files import StateFiles
from kws.registry.store import Registry
from kws.training import loop, runner

pytest.importorskip("s3fs", reason='python -m pip install -c constraints.txt -e ".[servers]"')
moto = pytest.importorskip("moto.server", reason='python -m pip install -c constraints.txt -e ".[servers]"')
PLACE = "s3://runs/states"
STATE = b"state" * 1000


@pytest.fixture
def store(monkeypatch):
    """The address of an S3 server with one bucket, which the environment names as AWS's own programs expect it."""
    import s3fs

    server = moto.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    address = f"http://127.0.0.1:{server.get_host_and_port()[1]}"
    monkeypatch.setenv("AWS_ENDPOINT_URL", address)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "tester")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    urlopen(Request(f"{address}/moto-api/reset", method="POST")).close()  # buckets of an earlier test
    s3fs.S3FileSystem.clear_instance_cache()
    s3fs.S3FileSystem().mkdir("runs")
    yield server
    server.stop()
    s3fs.S3FileSystem.clear_instance_cache()


def there() -> list[str]:
    import s3fs

    return sorted(s3fs.S3FileSystem(use_listings_cache=False).find("runs"))


def test_only_the_newest_is_kept_and_it_goes_when_the_run_ends(store, db):
    card = make_card()
    with Registry(db, create=True, files=StateFiles(PLACE)) as registry:
        run = start(registry, card=card)
        for epoch in make_epochs(3):
            registry.record(run, epoch, STATE + bytes([epoch.epoch]))
        (name,) = there()
        assert name.startswith(f"runs/states/{run}.3.")
        found = registry.checkpoint(run)
        assert (found.epoch, found.data, found.url) == (3, STATE + b"\3", f"s3://{name}")
        assert sql(db, "SELECT safetensors FROM checkpoints") == [(None,)]
        registry.finish(run, make_evaluation(card), card, WEIGHTS)
        assert there() == []


def test_a_store_that_is_away_costs_no_epoch_and_is_told(store, db):
    with Registry(db, create=True, files=StateFiles(PLACE)) as registry:
        run = start(registry)
        registry.record(run, make_epochs(1)[0], STATE)
        store.stop()
        registry.record(run, make_epochs(2)[1], STATE)
        assert registry.files.trouble.startswith(f"a checkpoint could not be written to {PLACE} (")
        assert registry.by_id(run).epochs_done == 2
        with pytest.raises(RegistryError, match="cannot be read"):
            registry.checkpoint(run)


@pytest.mark.parametrize("lost", ["the file", "the bucket"])
def test_the_doctor_drops_a_checkpoint_only_where_its_bucket_tells_that_it_is_gone(store, db, lost):
    import s3fs

    with Registry(db, create=True, files=StateFiles(PLACE)) as registry:
        run = start(registry)
        registry.record(run, make_epochs(1)[0], STATE)
        registry.end(run, "interrupted")
    system = s3fs.S3FileSystem(use_listings_cache=False)
    for name in there():
        system.rm_file(name)
    if lost == "the bucket":
        system.rmdir("runs")
    s3fs.S3FileSystem.clear_instance_cache()  # as in another process
    (finding,) = doctor.examine(db)
    assert "lacks its checkpoints" in finding.problem
    assert bool(finding.fix) == (lost == "the file")


def test_a_bucket_that_is_not_there_costs_no_epoch_and_is_told(store, db):
    with Registry(db, create=True, files=StateFiles("s3://nosuch/states")) as registry:
        run = start(registry)
        registry.record(run, make_epochs(1)[0], STATE)
        assert "nosuch" in registry.files.trouble
        assert registry.by_id(run).epochs_done == 1


def test_a_run_is_cut_off_and_resumed_to_the_same_bits(store, db, tmp_path, monkeypatch):
    import s3fs

    recipe = [*TRAIN, "--data", write_task(tmp_path / "task"), "--epochs", "6"]
    ok(*recipe)
    monkeypatch.setattr(runner, "CHECKPOINT_SECONDS", 0.0)
    monkeypatch.setattr(runner, "_SHARE", 0)
    real = loop.fit

    def is_cut_off(*arguments, **more):
        for event in real(*arguments, **more):
            yield event
            if getattr(event, "epoch", 0) == 4 and hasattr(event, "validation_accuracy"):
                raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(loop, "fit", is_cut_off)
        kws(*recipe, "--checkpoints", PLACE)
    assert len(there()) == 1
    (run,) = (row[0] for row in sql(db, "SELECT id FROM trainings WHERE status = 'interrupted'"))
    s3fs.S3FileSystem().pipe_file(f"{PLACE}/{run}.5.0123abcd.safetensors", b"")  # as of a process that was killed
    ok("train", "--resume", run, "--checkpoints", PLACE)
    assert there() == []
    assert len({row[0] for row in sql(db, "SELECT sha256 FROM weights")}) == 1
    assert len(sql(db, "SELECT sha256 FROM weights")) == 2


def test_final_weights_are_there_for_every_command_and_go_with_their_run(store, db, tmp_path):
    task = write_task(tmp_path / "task")
    ok(*TRAIN, "--data", task, "--epochs", "2", "--weights", "s3://runs/weights")
    (name,) = there()
    ((run, stored, url),) = sql(db, "SELECT id, safetensors, url FROM weights JOIN trainings ON run_key = key")
    assert (stored, url) == (b"", f"s3://{name}")
    assert name.startswith(f"runs/weights/{run}.weights.")
    assert run in ok("eval", run)
    ok("db", "backup", tmp_path / "copy.db")
    ok("runs", "delete", run)
    ok("runs", "purge", run)
    assert there() == []
    assert run in ok("eval", run, "--db", tmp_path / "copy.db")
