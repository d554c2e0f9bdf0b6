"""The relay of a machine: many processes, one connection; killed, left alone, and used by who is no longer entitled."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from types import SimpleNamespace

import pytest
from bouncer import POOL_SIZE
from commands import sql
from ledger import ENVIRONMENT, WEIGHTS, make_card, make_epochs, make_evaluation, make_recipe, make_wanted
from patience import until

from kws.errors import NotOursError, RegistryError, UnavailableError, UnknownRunError
from kws.registry import relayed
from kws.registry.claims import Claimer
from kws.registry.location import locate
from kws.registry.process import Process
from kws.registry.reader import RegistryReader
from kws.registry.recorder import Recorder
from kws.registry.relay import Relay
from kws.registry.relay_messages import Client
from kws.registry.relayed import RelayedRegistry
from kws.registry.state_files import StateFiles

pytest.importorskip("psycopg")
CARD = make_card()


@pytest.fixture(autouse=True)
def folder(monkeypatch, tmp_path_factory):
    """A folder for sockets of the test's own; its relays end with it."""
    folder = tmp_path_factory.mktemp("s")
    monkeypatch.setenv("TMPDIR", str(folder))
    monkeypatch.setattr(relayed.tempfile, "tempdir", None)
    yield folder / f"kws-{os.getuid()}"
    for pid in relays(folder):
        os.kill(pid, signal.SIGKILL)
    relayed.tempfile.tempdir = None


@pytest.fixture
def made(url):
    """The URL of a registry that is there."""
    with Claimer(url, create=True):
        return url


def relays(folder: Path) -> list[int]:
    """The processes that serve the sockets in a folder."""
    found = []
    for each in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = each.read_bytes().split(b"\0")
        except OSError:
            continue
        if b"kws.registry.relay" in words and any(word.startswith(os.fsencode(folder)) for word in words):
            found.append(int(each.parent.name))
    return found


def claim(registry, **changes):
    return registry.claim(make_wanted(make_recipe(**changes), CARD))


def test_a_run_from_its_claim_to_its_end_and_a_second_process_that_wants_it(made):
    with RelayedRegistry(made, code="x") as registry, RelayedRegistry(made, code="x") as other:
        mine = claim(registry)
        assert (mine.mine, mine.before) == (True, None)
        with Recorder(registry, mine.run) as recorder:
            for epoch in make_epochs(3):
                recorder.add(epoch, WEIGHTS)
            recorder.flush()
            assert [epoch.epoch for epoch in recorder.recorded()] == [1, 2, 3]
        assert registry.checkpoint(mine.run).epoch == 3
        assert len(registry.validation_accuracies(mine.run)) == 3
        assert len(registry.curve(mine.run).validation_accuracies) == 3
        theirs = claim(other)
        assert (theirs.run, theirs.mine, theirs.before) == (mine.run, False, "running")
        registry.tag(mine.run, ["a tag"])
        done = registry.finish(mine.run, make_evaluation(CARD), CARD, WEIGHTS)
        assert (done.status, done.tags, done.recipe) == ("finished", ("a tag",), make_recipe())
        with pytest.raises(UnknownRunError):
            registry.by_id("zzzzzzzz")


def test_processes_share_one_connection_and_the_relay_ends_after_the_last(made, server, folder, monkeypatch):
    registries = [RelayedRegistry(made, code="x") for _ in range(8)]
    with RegistryReader(made) as reader, reader.reading() as connection:
        count = connection.execute("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'kws'").fetchone()
        most = 2 if server.asked_at == server.port else POOL_SIZE  # the relay's and this one, or any of PgBouncer's
        assert count[0] <= most
    assert len(relays(folder)) == 1
    for each in registries:
        each.__exit__()
    until(lambda: not relays(folder))
    assert not [*folder.glob("*.sock")]


def test_a_relay_that_is_killed_is_replaced_and_nothing_is_lost(made, folder):
    with RelayedRegistry(made, code="x") as registry:
        run = claim(registry).run
        for epoch in make_epochs(6):
            os.kill(*relays(folder), signal.SIGKILL)
            registry.record_all(run, [epoch])
        assert registry.by_id(run).epochs_done == 6


def test_a_relay_killed_between_a_commit_and_its_answer_keeps_a_claim_once(made, folder, monkeypatch):
    real, asked = RelayedRegistry._exchange, []

    def unanswered(self, connection, message):
        answer = real(self, connection, message)
        if getattr(message, "claim", None) and not asked:
            asked.append(message)
            raise EOFError
        return answer

    monkeypatch.setattr(RelayedRegistry, "_exchange", unanswered)
    with RelayedRegistry(made, code="x") as registry:
        mine = claim(registry)
        assert (mine.mine, mine.before, len(asked)) == (True, None, 1)
        registry.record_all(mine.run, make_epochs(2))
        with RegistryReader(made) as reader:
            assert [run.id for run in reader.runs()] == [mine.run]


def test_a_checkpoint_in_a_file_stays_where_its_answer_was_lost_and_the_run_was_taken_over_then(
    made, tmp_path, monkeypatch
):
    files = StateFiles(str(tmp_path / "states"))
    with RelayedRegistry(made, code="x", files=files) as registry:
        run = claim(registry).run
        registry.record_all(run, make_epochs(1), (1, WEIGHTS))
        real, asked = RelayedRegistry._exchange, []

        def unanswered(self, connection, message):
            answer = real(self, connection, message)
            if getattr(message, "batch", None) and not asked:
                asked.append(message)
                with Claimer(made) as thief:
                    thief.process = replace(thief.process, pid=1, started="0")
                    thief.sessions[run] = 1
                    thief.end(run, "interrupted")
                    thief.go_on(run, epochs=50, environment=ENVIRONMENT)
                raise EOFError
            return answer

        monkeypatch.setattr(RelayedRegistry, "_exchange", unanswered)
        with pytest.raises(NotOursError):
            registry.record_all(run, make_epochs(2)[1:], (2, WEIGHTS))
        with pytest.raises(NotOursError):
            registry.record_all(run, make_epochs(3)[2:], (3, WEIGHTS))
        assert registry.checkpoint(run).epoch == 2
        names = [each.name for each in (tmp_path / "states").iterdir()]
        assert [name for name in names if name.startswith(f"{run}.3.")] == []


def test_who_has_lost_its_run_is_refused_and_others_that_record_at_once_are_not(made):
    with RelayedRegistry(made, code="x") as one, RelayedRegistry(made, code="x") as two:
        first, second = claim(one).run, claim(two, seed=1).run
        with Claimer(made) as thief:
            thief.process = replace(thief.process, pid=1, started="0")
            thief.sessions[first] = 1
            thief.end(first, "interrupted")
            thief.go_on(first, epochs=50, environment=ENVIRONMENT)
        two.record_all(second, make_epochs(1))
        with pytest.raises(RegistryError, match="no longer this process's"):
            one.record_all(first, make_epochs(1))
        two.record_all(second, make_epochs(3)[1:])
        assert two.by_id(second).epochs_done == 3


def at_once(folder, url, calls, monkeypatch):
    """What each of these calls returned or raised, all asked while the relay stood still; and its transactions."""
    (relay,) = relays(folder)
    sent, real = [], relayed.RelayedRegistry._exchange

    def exchange(self, connection, message):
        connection.send(message)
        sent.append(message)
        return real(self, SimpleNamespace(send=lambda _: None, poll=connection.poll, recv=connection.recv), message)

    monkeypatch.setattr(relayed.RelayedRegistry, "_exchange", exchange)
    transactions = "SELECT CAST(CAST(pg_current_xact_id() AS TEXT) AS BIGINT)"
    ((before,),) = sql(url, transactions)
    os.kill(relay, signal.SIGSTOP)
    with ThreadPoolExecutor(len(calls)) as threads:
        asked = [threads.submit(call) for call in calls]
        until(lambda: len(sent) == len(calls))
        os.kill(relay, signal.SIGCONT)
        found = [each.exception() or each.result() for each in asked]
    ((after,),) = sql(url, transactions)
    return found, after - before - 1


def test_claims_that_come_at_once_are_made_together_and_each_run_is_one_process(made, folder, monkeypatch):
    registries = [RelayedRegistry(made, code="x") for _ in range(6)]
    calls = [partial(claim, registry, seed=number // 2) for number, registry in enumerate(registries)]
    found, transactions = at_once(folder, made, calls, monkeypatch)
    assert transactions <= 2  # one may be the server's own
    for one, other in zip(found[::2], found[1::2], strict=True):
        assert one.run == other.run
        assert {one.mine, other.mine} == {True, False}
    for registry in registries:
        registry.__exit__()


def test_a_claim_that_cannot_be_made_leaves_those_that_came_with_it(made, folder, monkeypatch):
    with RelayedRegistry(made, code="x") as one, RelayedRegistry(made, code="x") as other:
        nobody = replace(make_card("nowhere"), source=None)
        wrong = partial(other.claim, make_wanted(make_recipe(seed=1), nobody))
        (right, refused), _ = at_once(folder, made, [partial(claim, one), wrong], monkeypatch)
        assert right.mine
        assert isinstance(refused, RegistryError)
        assert one.by_id(right.run).status == "running"


def test_runs_that_end_at_once_are_recorded_together_and_who_has_lost_its_run_is_refused(made, folder, monkeypatch):
    registries = [RelayedRegistry(made, code="x") for _ in range(4)]
    runs = [claim(registry, seed=seed).run for seed, registry in enumerate(registries)]
    for run, registry in zip(runs, registries, strict=True):
        registry.record_all(run, make_epochs(2), (2, b"state"))
    with Claimer(made) as thief:
        thief.process = replace(thief.process, pid=1, started="0")
        thief.sessions[runs[0]] = 1
        thief.end(runs[0], "interrupted")
        thief.go_on(runs[0], epochs=50, environment=ENVIRONMENT)
    ends = [
        partial(registry.finish, run, make_evaluation(CARD), CARD, WEIGHTS)
        for run, registry in zip(runs, registries, strict=True)
    ]
    with RegistryReader(made) as reader:
        until(lambda: all(reader.checkpoint(run) for run in runs[1:]))  # those that waited
    (refused, *ended), transactions = at_once(folder, made, ends, monkeypatch)
    assert transactions <= 2  # one may be the server's own
    assert "no longer this process's" in str(refused)
    assert [(run.id, run.status) for run in ended] == [(run, "finished") for run in runs[1:]]
    with RegistryReader(made) as reader:
        assert reader.by_id(runs[0]).status != "finished"
        assert all(reader.weights(run) == WEIGHTS and reader.checkpoint(run) is None for run in runs[1:])
    for registry in registries:
        registry.__exit__()


def test_of_claims_that_come_at_once_no_more_get_a_tag_than_may_have_it(made, folder, monkeypatch):
    registries = [RelayedRegistry(made, code="x") for _ in range(5)]
    calls = [
        partial(registry.claim, make_wanted(make_recipe(seed=seed), CARD, tags=("search",), most=2))
        for seed, registry in enumerate(registries)
    ]
    found, _ = at_once(folder, made, calls, monkeypatch)
    assert sorted(claim.mine for claim in found) == [False, False, False, True, True]
    for registry in registries:
        registry.__exit__()


def test_weights_in_files_never_pass_the_relay(made, folder, tmp_path):
    files = StateFiles(str(tmp_path / "shared"), "--weights")
    with RelayedRegistry(made, code="x", weight_files=files) as registry, RegistryReader(made) as reader:
        run = claim(registry).run
        registry.finish(run, make_evaluation(CARD), CARD, WEIGHTS)
        assert sql(made, "SELECT safetensors FROM weights") == [(b"",)]
        assert reader.weights(run) == WEIGHTS


def test_what_a_checkpoint_takes_is_told_of_all_who_share_the_relay(made):
    """So that each makes as few as the relay has time for: checkpoints are nearly all of a full registry's bytes."""
    with RelayedRegistry(made, code="x") as one, RelayedRegistry(made, code="x") as two:
        first, second = claim(one).run, claim(two, seed=1).run
        one.record_all(first, make_epochs(1))
        assert one.checkpoint_seconds == 0
        start = time.monotonic()
        one.record_all(first, make_epochs(2)[1:], (2, bytes(1_000_000)))
        assert one.checkpoint(first).epoch == 2
        two.record_all(second, make_epochs(1))
        assert 0 < two.checkpoint_seconds < 2 * (time.monotonic() - start)


def test_of_the_checkpoints_of_a_run_that_wait_the_newest_is_written_and_none_after_its_end(made):
    with RelayedRegistry(made, code="x") as registry, RegistryReader(made) as reader:
        run = claim(registry).run
        for epoch in make_epochs(5):
            registry.record_all(run, [epoch], (epoch.epoch, bytes([epoch.epoch]) * 1_000_000))
        until(lambda: reader.checkpoint(run))
        until(lambda: reader.checkpoint(run).epoch == 5)
        assert reader.checkpoint(run).data == bytes([5]) * 1_000_000
        registry.record_all(run, make_epochs(6)[5:], (6, b"state"))
        registry.finish(run, make_evaluation(CARD), CARD, WEIGHTS)
        time.sleep(0.5)
        registry.beat(claim(registry, seed=9).run)  # the relay gets on
        assert reader.checkpoint(run) is None


def test_a_run_that_is_interrupted_has_its_last_checkpoint(made):
    with RelayedRegistry(made, code="x") as registry, RegistryReader(made) as reader:
        run = claim(registry).run
        registry.record_all(run, make_epochs(1), (1, b"state"))
        registry.end(run, "interrupted")
        assert reader.checkpoint(run).epoch == 1


def test_a_server_that_is_stopped_meanwhile_loses_nothing(made, server):
    with RelayedRegistry(made, code="x") as registry:
        run = claim(registry).run
        said = []
        with Recorder(registry, run, said.append) as recorder:
            server.stop(signal.SIGQUIT)
            try:
                for epoch in make_epochs(4):
                    recorder.add(epoch)
                until(lambda: registry.patience.why)
                assert recorder.recorded() == []
            finally:
                server.start()
            recorder.flush()
            assert [epoch.epoch for epoch in recorder.recorded()] == [1, 2, 3, 4]
        assert registry.by_id(run).epochs_done == 4


def test_a_server_that_stays_away_fails_after_patience_and_not_before(made, server):
    with RelayedRegistry(made, code="x", patience=1.0) as registry:
        run = claim(registry).run
        server.stop()
        start_ = time.monotonic()
        try:
            with pytest.raises(UnavailableError, match="try again"):
                registry.record_all(run, make_epochs(1))
        finally:
            server.start()
        assert time.monotonic() - start_ >= 1.0


def test_a_folder_of_somebody_else_is_refused(made, folder):
    folder.mkdir(mode=0o755, exist_ok=True)
    folder.chmod(0o755)
    with pytest.raises(RegistryError, match="is not this user's alone"):
        RelayedRegistry(made, code="x")


def test_a_folder_whose_name_is_too_long_for_a_socket_is_left_for_a_short_one(made, folder, monkeypatch):
    """A socket's path may have a hundred bytes; schedulers of clusters make longer ones for each job."""
    monkeypatch.setenv("TMPDIR", str(long := folder.parent / ("job-" * 30)))
    monkeypatch.setattr(relayed.tempfile, "tempdir", None)
    long.mkdir()
    with RelayedRegistry(made, code=f"x{os.getpid()}") as registry:
        assert registry._place.parent == Path(f"/tmp/kws-{os.getuid()}")
        assert claim(registry).mine


def test_its_command_line_holds_no_password(made, folder, server):
    with RelayedRegistry(made, code="x"):
        (pid,) = relays(folder)
        assert server.password.encode() not in Path(f"/proc/{pid}/cmdline").read_bytes()


def test_many_start_it_at_once_and_one_serves(made, folder):
    program = (
        "import sys; from kws.registry.location import locate; from kws.registry.relayed import RelayedRegistry\n"
        "RelayedRegistry(locate(sys.stdin.read()), code='x').__exit__()"
    )
    from kws.registry.location import in_full

    begun = [subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE, text=True) for _ in range(6)]
    for each in begun:
        each.communicate(in_full(made), timeout=600)
    assert [each.returncode for each in begun] == [0] * 6
    until(lambda: len(relays(folder)) == 1)  # those that were not needed end after those who started them


def test_a_relay_that_stands_still_is_not_waited_for_for_ever(made, folder, monkeypatch):
    monkeypatch.setattr(relayed, "_ANSWER_SECONDS", 0.5)
    with RelayedRegistry(made, code="x") as registry:
        run = claim(registry).run
        (relay,) = relays(folder)
        os.kill(relay, signal.SIGSTOP)
        told = []

        def goes_on(seconds: float) -> None:
            told.append(registry.patience.why)
            os.kill(relay, signal.SIGCONT)
            time.sleep(seconds)

        registry.patience.sleep = goes_on
        registry.record_all(run, make_epochs(1))
        assert "it has not answered for" in told[0]
        assert len(registry.validation_accuracies(run)) == 1


def test_a_client_that_is_stopped_in_the_midst_of_a_message_holds_no_other_up(made, tmp_path, monkeypatch):
    monkeypatch.setattr("kws.registry.relay._MESSAGE_SECONDS", 0.3)
    monkeypatch.setattr("kws.registry.relay.IDLE_SECONDS", 0.2)
    with socket.socket(socket.AF_UNIX) as listener, ThreadPoolExecutor(1) as threads:
        listener.bind(str(tmp_path / "s"))
        listener.listen()
        serving = threads.submit(Relay(made, listener).serve)
        stopped, other = socket.socket(socket.AF_UNIX), socket.socket(socket.AF_UNIX)
        for each in (stopped, other):
            each.connect(str(tmp_path / "s"))
        stopped.send(b"\0\0\1\0half")  # of 256 bytes
        with Connection(other.detach()) as client:
            client.send(Client(process=Process.here(), sessions={}, tests=True, sources=()))
            assert client.recv().error is None
        stopped.close()
        serving.result(30)


def test_a_relay_whose_folder_was_removed_with_it_is_started_again(made, folder):
    """As where one job of a node ends, and takes along what another one uses."""
    with RelayedRegistry(made, code="x") as registry:
        run = claim(registry).run
        for pid in relays(folder):
            os.kill(pid, signal.SIGKILL)
        shutil.rmtree(folder)
        registry.record_all(run, make_epochs(2))
        assert registry.by_id(run).epochs_done == 2


def test_a_password_that_is_lacking_is_told_at_once(server, url, made, monkeypatch, tmp_path):
    monkeypatch.setenv("PGPASSFILE", str(tmp_path / "none"))
    bare = locate(server.url(url.search_path, password=False))
    with pytest.raises(RegistryError, match="wants a password") as told:
        RelayedRegistry(bare, code="x")
    assert not isinstance(told.value, UnavailableError)
