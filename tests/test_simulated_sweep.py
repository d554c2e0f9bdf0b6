"""The simulation of a sweep on many nodes: small ones of which the outcome can be worked out."""

from __future__ import annotations

import pytest

from benchmarks.simulation import Counter, Simulation, Sweep


def alone(
    *,
    has_relays: bool = True,
    claim: float = 0.0,
    transaction: float = 0.0,
    epoch: float = 0.0,
    megabyte: float = 0.0,
) -> Counter:
    """A registry where one end more takes as long as the first."""
    return Counter(
        name="a registry",
        has_relays=has_relays,
        claim=claim,
        claim_more=claim,
        transaction=transaction,
        epoch=epoch,
        end=transaction,
        megabyte=megabyte,
    )


COUNTER = alone(claim=0.5, transaction=0.25, epoch=0.01, megabyte=0.1)


def of(**changes: float) -> Sweep:
    return Sweep(**{"runs": 1, "epochs": 3, "nodes": 1, "cores": 1, "seconds": 10.0, "spread": 0.0, **changes})


def test_a_run_alone_waits_for_its_claim_and_its_end():
    made = Simulation(COUNTER, of(weights=2.0)).run()
    end = 0.25 + 0.25 + 2.0 * 0.1  # with the weights, once its last epoch is recorded
    assert made.seconds == pytest.approx(0.5 + 3 * 10.0 + 0.26 + end)
    assert made.waited == pytest.approx(0.5 + 0.26 + end)
    assert made.recorded == pytest.approx([0.26] * 3)
    assert made.busy == pytest.approx(0.5 + 3 * 0.26 + end)


def test_what_gathers_on_a_node_while_it_waits_is_one_transaction():
    counter = alone(transaction=100.0)
    made = Simulation(counter, of(epochs=50, seconds=1.0)).run()
    assert len(made.recorded) == 50
    assert made.seconds == pytest.approx(1.0 + 2 * 100.0 + 200.0)  # an epoch, all others that gathered, and the end


def test_the_processes_that_share_a_file_wait_for_one_another():
    counter = alone(has_relays=False, transaction=1.0)
    made = Simulation(counter, of(runs=9, epochs=1, cores=9, seconds=100.0)).run()
    # Their epochs end at once, each in a transaction of its own; behind these come their ends, which count twice.
    assert sorted(round(wait) for wait in made.recorded) == [*range(1, 10)]
    assert made.busy == pytest.approx(9 + 2 * 9)
    assert made.longest == pytest.approx(9 + 2 * 9, abs=0.01)


def test_claims_and_ends_that_come_at_once_are_made_together():
    counter = Counter(
        name="a relay", has_relays=True, claim=0.5, claim_more=0.1, transaction=0.25, epoch=0.0, end=0.05, megabyte=0.0
    )
    made = Simulation(counter, of(runs=9, epochs=1, cores=9, seconds=100.0)).run()
    claims = 0.5 + 0.5 + 7 * 0.1  # the first comes alone, the others while it is made
    # The epoch of the first, its end, the epoch of the first of those that began together, its end with the epochs of
    # the others, and their ends.
    ends = 5 * 0.25 + 9 * 0.05
    assert made.busy == pytest.approx(claims + ends)


def test_a_checkpoint_follows_what_has_gathered():
    """It is made 5 s after the start, with the fifth epoch; the sixth waits for it, and nothing waits for the end."""
    counter = alone(transaction=0.75)
    made = Simulation(counter, of(epochs=7, seconds=1.0, checkpoint=1.0)).run()
    assert made.recorded == pytest.approx([*[0.75] * 5, 1.25, 1.0])
    assert made.busy == pytest.approx(0.75 * 10)  # seven epochs, a checkpoint, and the end, which counts twice


def test_the_longer_a_checkpoint_takes_the_fewer_there_are():
    counters = [alone(megabyte=seconds) for seconds in (0.001, 1.0)]
    many, few = (Simulation(each, of(epochs=1000, seconds=1.0, checkpoint=1.0)).run() for each in counters)
    assert many.busy == pytest.approx(0.001 * 1000 / 5, rel=0.1)  # one each 5 s
    assert few.busy < 1.1 * 1000 / 20  # a twentieth of the time


@pytest.mark.parametrize("nodes", [1, 3])
def test_every_epoch_of_every_run_is_recorded_once(nodes):
    made = Simulation(COUNTER, of(runs=25, epochs=4, nodes=nodes, cores=4, spread=0.05)).run()
    assert len(made.recorded) == 25 * 4
    assert min(made.recorded) > 0
    assert made.longest <= made.waited <= made.seconds * nodes * 4
    assert made.busy <= made.seconds
