"""The recorder: epochs in order, none shown before it is recorded, none lost while the registry is away."""

from __future__ import annotations

import re
import threading
import time
from dataclasses import replace
from types import SimpleNamespace

import pytest
from ledger import make_card, make_epochs, make_recipe, start

from kws.errors import RegistryError, UnavailableError
from kws.registry import endings
from kws.registry import patience as patiences
from kws.registry import recorder as recording
from kws.registry.patience import Patience
from kws.registry.recorder import Recorder
from kws.registry.store import Registry

(EPOCH,) = make_epochs(1)


class Stub:
    """A registry whose transactions wait until they are let through, or fail."""

    def __init__(self, *, open_: bool = True) -> None:
        self.patience, self.files, self.checkpoint_seconds = Patience(900.0), None, 0.0
        self.gate = threading.Event()
        self.transactions: list[tuple[list[int], int | None]] = []
        self.beats, self.remembered = 0, []
        self.error: Exception | None = None
        if open_:
            self.gate.set()

    def record_all(self, _, epochs, checkpoint=None):
        assert self.gate.wait(30)
        if self.error:
            raise self.error
        self.transactions.append(([epoch.epoch for epoch in epochs], checkpoint and checkpoint[0]))

    def beat(self, _):
        self.beats += 1

    def remember(self, _, epochs, checkpoint):
        self.remembered += [epoch.epoch for epoch in epochs]

    @property
    def epochs(self):
        return [epoch for epochs, _ in self.transactions for epoch in epochs]


def epochs(count: int):
    return [replace(EPOCH, epoch=number) for number in range(1, count + 1)]


def until(is_so):
    end = time.monotonic() + 30
    while not is_so():
        assert time.monotonic() < end
        time.sleep(0.002)


def test_an_epoch_is_recorded_alone_and_told_where_nothing_is_slow():
    stub = Stub()
    with Recorder(stub, "x") as recorder:
        for epoch in epochs(5):
            recorder.add(epoch)
            told = []
            until(lambda told=told: told.extend(recorder.recorded()) or told)
            assert told == [epoch]
    assert stub.transactions == [([1], None), ([2], None), ([3], None), ([4], None), ([5], None)]


def test_epochs_gather_while_one_waits_and_none_is_told_before_it_is_recorded():
    stub = Stub(open_=False)
    with Recorder(stub, "x") as recorder:
        recorder.add(EPOCH)
        until(lambda: recorder._busy)
        for epoch in epochs(40)[1:]:
            recorder.add(epoch)
        assert recorder.recorded() == []
        stub.gate.set()
        recorder.flush()
        assert [epoch.epoch for epoch in recorder.recorded()] == list(range(1, 41))
        assert recorder.recorded() == []
    assert [len(each) for each, _ in stub.transactions] == [1, 39]


def test_only_the_newest_checkpoint_waits_and_it_is_recorded_with_its_epoch(monkeypatch):
    monkeypatch.setattr(recording, "_MOST_EPOCHS", 4)
    stub = Stub(open_=False)
    with Recorder(stub, "x") as recorder:
        recorder.add(EPOCH)
        until(lambda: recorder._busy)
        for epoch in epochs(12)[1:]:
            recorder.add(epoch, b"state" if epoch.epoch in (3, 7) else None)
        stub.gate.set()
    assert stub.transactions == [([1], None), ([2, 3, 4, 5], None), ([6, 7, 8, 9], 7), ([10, 11, 12], None)]


def test_a_training_that_is_too_far_ahead_waits(monkeypatch):
    monkeypatch.setattr(recording, "MOST_BYTES", 3 * recording._size(EPOCH))
    stub = Stub(open_=False)
    ahead = []

    def train(recorder):
        for epoch in epochs(10)[1:]:
            recorder.add(epoch)
            ahead.append(epoch.epoch)

    with Recorder(stub, "x") as recorder:
        recorder.add(EPOCH)
        until(lambda: recorder._busy)
        training = threading.Thread(target=train, args=(recorder,))
        training.start()
        until(lambda: len(ahead) == 3)
        time.sleep(0.05)
        assert len(ahead) == 3
        stub.gate.set()
        training.join()
    assert stub.epochs == list(range(1, 11))


def test_it_is_said_once_that_the_registry_is_away_and_that_it_is_back(monkeypatch):
    monkeypatch.setattr(patiences, "_TOLD_SECONDS", 0.0)

    class Away(Stub):
        def record_all(self, *arguments):
            def attempt():
                if not self.gate.is_set():
                    raise UnavailableError("the server is away")
                Stub.record_all(self, *arguments)

            self.patience.through(attempt)

    stub, said = Away(open_=False), []
    stub.patience.say = said.append
    with Recorder(stub, "x") as recorder:
        for epoch in epochs(3):
            recorder.add(epoch)
        until(lambda: stub.patience.why)
        for _ in range(5):
            assert recorder.recorded() == []
        (away,) = said
        assert re.fullmatch(
            r"note: the server is away; the training goes on, 3 epochs ahead, and kws tries again for 15 min", away
        )
        stub.gate.set()
        recorder.flush()
        recorder.recorded()
    assert said[1:] == ["note: the registry is back"]
    assert stub.epochs == [1, 2, 3]


def test_a_registry_that_does_not_answer_is_told_too(monkeypatch):
    monkeypatch.setattr(patiences, "_TOLD_SECONDS", 0.0)

    class Hangs(Stub):
        def record_all(self, *arguments):
            self.patience.through(lambda: Stub.record_all(self, *arguments))

    stub, said = Hangs(open_=False), []
    stub.patience.say = said.append
    with Recorder(stub, "x") as recorder:
        recorder.add(EPOCH)
        until(lambda: recorder.recorded() or said)
        stub.gate.set()
    assert said[0] == (
        "note: the registry has not answered for 0 s; the training goes on, 1 epoch ahead, and kws waits for it"
    )


def test_whoever_interrupts_it_does_not_wait_for_a_registry_that_does_not_answer(monkeypatch):
    """The attempt that is under way may last for minutes, and so may what is asked next."""
    monkeypatch.setattr(recording, "STOP_SECONDS", 0.1)
    stub = Stub(open_=False)
    with pytest.raises(KeyboardInterrupt), Recorder(stub, "x") as recorder:
        recorder.add(EPOCH)
        until(lambda: recorder._busy)
        raise KeyboardInterrupt
    assert not stub.gate.is_set()
    with pytest.raises(UnavailableError, match="does not answer"):
        stub.patience.through(pytest.fail)
    stub.gate.set()


def test_what_cannot_be_recorded_is_raised_at_the_next_epoch_and_remembered():
    stub = Stub()
    stub.error = UnavailableError("away")
    with pytest.raises(UnavailableError), Recorder(stub, "x") as recorder:
        recorder.add(EPOCH)
        until(lambda: recorder._error)
        recorder.add(epochs(2)[1])
    assert stub.remembered == [2]  # the first was handed to the registry itself


def test_it_is_raised_at_the_end_too():
    stub = Stub()
    stub.error = RegistryError("another one has gone on with it")
    with pytest.raises(RegistryError, match="gone on"), Recorder(stub, "x") as recorder:
        recorder.add(EPOCH)


def test_an_error_of_the_training_is_not_hidden_and_what_waits_is_recorded_first():
    stub = Stub()
    with pytest.raises(ZeroDivisionError), Recorder(stub, "x") as recorder:
        for epoch in epochs(3):
            recorder.add(epoch)
        raise ZeroDivisionError
    assert stub.epochs == [1, 2, 3]


def test_whoever_interrupts_it_does_not_wait_for_a_registry_that_is_away():
    class Away(Stub):
        def record_all(self, *_, **__):
            def attempt():
                raise UnavailableError("away")

            self.patience.through(attempt)

    stub = Away()
    start = time.monotonic()
    with pytest.MonkeyPatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(recording, "STOP_SECONDS", 0.1)
        with Recorder(stub, "x") as recorder:
            recorder.add(EPOCH)
            until(lambda: stub.patience.why)
            raise KeyboardInterrupt
    assert time.monotonic() - start < 10


def test_a_long_epoch_has_heartbeats(monkeypatch):
    monkeypatch.setattr(recording, "HEARTBEAT_SECONDS", 0.01)
    stub = Stub()
    with Recorder(stub, "x"):
        until(lambda: stub.beats > 2)


def test_a_registry_gets_the_same_rows_at_once_as_one_by_one(tmp_path):
    card, made = make_card(), make_epochs(7)
    rows = []
    for at_once in (False, True):
        with Registry(tmp_path / f"{at_once}.db", create=True) as registry:
            run = start(registry, make_recipe(), card)
            if at_once:
                registry.record_all(run, made, (5, b"state"))
            else:
                for epoch in made:
                    registry.record(run, epoch, b"state" if epoch.epoch == 5 else None)
            assert registry.checkpoint(run).epoch == 5
            with registry.reading() as connection:
                rows.append([tuple(row) for row in connection.execute("SELECT * FROM epochs ORDER BY epoch")])
            assert registry.by_id(run).epochs_done == 7
            assert registry.by_id(run).seconds == pytest.approx(sum(epoch.seconds for epoch in made), abs=0.01)
    assert rows[0] == rows[1]


def test_epochs_that_are_there_already_may_come_again_with_others(tmp_path):
    made = make_epochs(7)
    with Registry(tmp_path / "x.db", create=True) as registry:
        run = start(registry, make_recipe(), make_card())
        registry.record_all(run, made[:4])
        registry.record_all(run, made[2:])
        assert registry.by_id(run).epochs_done == 7
        other = [replace(epoch, validation_accuracy=0.5) for epoch in made[4:6]]
        registry.record_all(run, other)
        assert registry.validation_accuracies(run) == [*(e.validation_accuracy for e in made[:4]), 0.5, 0.5]
        assert registry.by_id(run).epochs_done == 6


def test_the_end_of_a_run_that_was_stopped_is_not_waited_for_where_the_registry_does_not_answer():
    gate, said = threading.Event(), []
    registry = SimpleNamespace(patience=Patience(900.0), end=lambda *_: gate.wait(30))
    assert not endings.record(registry, "x", make_card(), "interrupted", None, said.append, seconds=0.1)
    assert said == [
        "note: that run x is interrupted could not be recorded (the registry does not answer; try again when it is "
        "there); it will count as lost"
    ]
    assert registry.patience.has_given_up
    gate.set()


def test_ctrl_c_while_the_last_epochs_are_waited_for_leaves_them_some_seconds(monkeypatch):
    stub = Stub(open_=False)
    wait, calls = Recorder._wait, []

    def interrupted_once(self, *arguments, **more):
        calls.append(arguments)
        if len(calls) == 1:
            stub.gate.set()
            raise KeyboardInterrupt
        return wait(self, *arguments, **more)

    with pytest.raises(KeyboardInterrupt), Recorder(stub, "x") as recorder:
        with recorder._change:
            recorder._waiting.append(EPOCH)
            recorder._change.notify_all()
        until(lambda: recorder._busy)
        monkeypatch.setattr(Recorder, "_wait", interrupted_once)
    assert stub.epochs == [1]
    assert not stub.patience.has_given_up
