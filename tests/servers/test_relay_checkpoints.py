"""Checkpoints that wait in a relay: which are recorded, and that they do not fill its memory."""

from __future__ import annotations

import pytest
from ledger import make_card, make_epochs, make_recipe, make_wanted

from kws.registry.claims import Claimer
from kws.registry.reader import RegistryReader
from kws.registry.records import Batch
from kws.registry.relay import Relay
from kws.registry.relay_messages import Client

pytest.importorskip("psycopg")


@pytest.fixture
def made(url):
    """The URL of a registry that is there."""
    with Claimer(url, create=True):
        return url


def claim(registry, **changes):
    return registry.claim(make_wanted(make_recipe(**changes), make_card()))


def test_a_checkpoint_that_waits_is_written_though_its_client_has_left(made):
    """The server was away when it left."""
    with Claimer(made) as claimer, RegistryReader(made) as reader:
        run = claim(claimer).run
        relay = Relay(made, None)
        relay._of(Client(process=claimer.process, sessions={run: 1}, tests=True, sources=()))
        relay._checkpoints[run] = Batch.of(run, 1, (), (1, b"state"))
        relay._write_checkpoint(run)
        assert reader.checkpoint(run).data == b"state"
        assert not relay._checkpoints


def test_a_checkpoint_that_waits_never_takes_the_place_of_a_newer_one(made, monkeypatch):
    monkeypatch.setattr("kws.registry.relay._MOST_BYTES", 100)
    with Claimer(made) as claimer, RegistryReader(made) as reader:
        run = claim(claimer).run
        relay = Relay(made, None)
        relay._of(Client(process=claimer.process, sessions={run: 1}, tests=True, sources=()))
        relay._recorded([(None, Batch.of(run, 1, make_epochs(1), (1, b"old")))])
        assert reader.checkpoint(run) is None
        relay._recorded([(None, Batch.of(run, 1, make_epochs(2)[1:], (2, bytes(101))))])  # there is no room for it
        relay._write_checkpoint(run)
        assert reader.checkpoint(run).epoch == 2


def test_there_is_room_for_the_checkpoints_of_one_round_only_once(made, monkeypatch):
    monkeypatch.setattr("kws.registry.relay._MOST_BYTES", 100)
    with Claimer(made) as claimer:
        runs = [claim(claimer, seed=seed).run for seed in range(3)]
        relay = Relay(made, None)
        relay._of(Client(process=claimer.process, sessions=dict.fromkeys(runs, 1), tests=True, sources=()))
        relay._recorded([(None, Batch.of(run, 1, make_epochs(1), (1, bytes(60)))) for run in runs])
        assert len(relay._checkpoints) == 1
