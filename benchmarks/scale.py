"""`python -m benchmarks.scale`: what a sweep of 10,000 runs costs on 1, 10 and 100 nodes, written to docs/scale.md.

- A run of 50 epochs takes a core as long as the runs in the committed experiments.db did, give or take 5 % an epoch.
- The registry is one counter at which every transaction waits its turn: one at a run's start, one an epoch, one at its
  end. How long a transaction takes there is what 16 writers at once got, in benchmarks/results/writers.json; what it
  takes with a checkpoint or weights in it is longer by their bytes, at the speed at which 16 writers wrote weights.
- A run's start is a claim, which looks through all runs while no other may write: it is longer by what one took in a
  registry that held 10,000, in proportion to the runs that are there.
- A checkpoint is written with the first epoch that ends 5 s after the last one, and at most a twentieth of the time is
  spent on them, as in kws.training.runner. Its bytes are the network's weights and Adam's two moments, 4 bytes each.
- It is a simulation event by event, with one seed: the same results give the same page. What it leaves out: the network
  between nodes, nodes that fail, and that 64 cores share their memory, which makes each slower than the one measured.
"""

from __future__ import annotations

import heapq
import json
import random
import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from benchmarks import marks
from benchmarks.writing import CLAIMED, FILE, PROCESSES, SERVER, TRANSACTIONS, WEIGHTS_BYTES, claimed, named

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "scale.md"
RESULTS = ROOT / "benchmarks" / "results" / "writers.json"
SWEEPS = ROOT / "benchmarks" / "results" / "sweeps.json"
RUNS, EPOCHS = 10_000, 50
NODES, CORES = (1, 10, 100), 64
_PARAMETERS = {"fc": 567_171, "cnn": 346_067}
_CHECKPOINT_SECONDS, _SHARE = 5.0, 20
_SPREAD = 0.05
_NOTED = 0.1  # of an epoch's seconds, above which another measurement of them is told


@dataclass(frozen=True, kw_only=True)
class Counter:
    """A registry: seconds of a transaction there, and of each megabyte in it, when many write at once."""

    name: str
    seconds: float
    megabyte: float
    alone: float  # transactions a second of one writer
    claim: float  # seconds that a claim is longer for each run that is there


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """A simulated sweep: its hours, the share of the cores' time that waited, and how busy the registry was.

    `longest` is the longest wait, in seconds.
    """

    hours: float
    waited: float
    busy: float
    longest: float


def main() -> None:
    """Write the page."""
    PAGE.parent.mkdir(exist_ok=True)
    PAGE.write_text(page(), encoding="utf-8")
    print(PAGE.relative_to(ROOT))
    marks.main()


def page() -> str:
    """The page, from the results and the registry."""
    results = json.loads(RESULTS.read_text(encoding="utf-8"))
    rates = {row["what"]: row["ours"]["median"] for row in results["rows"] if row["group"] == "writers" and row["ours"]}
    counters = [_counter(place, rates) for place in (FILE, SERVER) if named(place, 1, weights=False) in rates]
    epochs = _seconds_an_epoch()
    lines = [*_head(results["machine"], epochs), *_measured(counters, rates), *_limits(counters, epochs)]
    return "\n".join([*lines, *_simulated(counters, epochs), *_changes(counters, epochs)]) + "\n"


def simulate(counter: Counter, arch: str, epoch: float, cores: int, *, checkpoints: bool) -> Outcome:
    """Train all runs on so many cores, each epoch's end waiting for the registry."""
    draw = random.Random(0)
    megabytes = {False: 0.0, True: _PARAMETERS[arch] * 12 / 1e6}
    begun, left, free, busy, waited, longest, end = 0, RUNS, 0.0, 0.0, 0.0, 0.0, 0.0
    # When a core's next transaction comes, the core, the epoch that it is the end of, and when a checkpoint is due.
    events: list[tuple[float, int, int, float]] = [(0.001 * core, core, 0, 0.0) for core in range(min(cores, RUNS))]
    left -= len(events)
    heapq.heapify(events)
    while events:
        now, core, number, due = heapq.heappop(events)
        kept = checkpoints and 0 < number < EPOCHS and now >= due
        size = _PARAMETERS[arch] * 4 / 1e6 if number == EPOCHS else megabytes[kept]
        takes = counter.seconds + size * counter.megabyte
        if number == 0:
            takes, begun = takes + begun * counter.claim, begun + 1
        done = max(now, free) + takes
        waited, longest = waited + done - now, max(longest, done - now)
        free, busy = done, busy + takes
        if number == 0:
            due = done + _CHECKPOINT_SECONDS
        elif kept:
            due = done + max(_CHECKPOINT_SECONDS, _SHARE * (done - now))
        if number < EPOCHS:
            heapq.heappush(events, (done + epoch * draw.uniform(1 - _SPREAD, 1 + _SPREAD), core, number + 1, due))
            continue
        end = max(end, done)
        if left:
            left -= 1
            heapq.heappush(events, (done, core, 0, 0.0))
    return Outcome(hours=end / 3600, waited=waited / (end * cores), busy=busy / end, longest=longest)


def _counter(place: str, rates: dict[str, float]) -> Counter:
    most = max(PROCESSES)
    plain, weighty = (rates[named(place, most, weights=w)] for w in (False, True))
    more = max(TRANSACTIONS / weighty - TRANSACTIONS / plain, 0.0)  # seconds that the weights add to a run
    return Counter(
        name=place,
        seconds=1 / plain,
        megabyte=more / (WEIGHTS_BYTES / 1e6),
        alone=rates[named(place, 1, weights=False)],
        claim=max(rates[claimed(place)] / 1000 - 1 / plain, 0.0) / CLAIMED,
    )


def _seconds_an_epoch() -> dict[str, float]:
    with closing(sqlite3.connect(f"{(ROOT / 'experiments.db').as_uri()}?mode=ro&immutable=1", uri=True)) as connection:
        query = "SELECT arch, sum(milliseconds) / 1000.0 / sum(epochs_done) FROM runs WHERE threads = 1 GROUP BY arch"
        return dict(connection.execute(query).fetchall())


def _head(machine: dict[str, object], epochs: dict[str, float]) -> Iterator[str]:
    yield "# What a sweep of 10,000 runs costs"
    yield ""
    yield (
        f"`python -m benchmarks.scale` writes this page from `benchmarks/results/writers.json` ({machine['cpu']}, "
        f"{machine['cores']} cores) and `experiments.db`. It is a simulation, not a measurement: {RUNS:,} runs of "
        f"{EPOCHS} epochs, a core each, on nodes of {CORES} cores that are as fast as the measured one."
    )
    yield ""
    hours = {arch: RUNS * EPOCHS * seconds / 3600 for arch, seconds in epochs.items()}
    for arch in ("fc", "cnn"):
        since = _since(arch, epochs[arch])
        yield f"- {arch}: {epochs[arch]:.2f} s an epoch on one core, {hours[arch]:,.0f} core hours in all{since}"
    yield ""


def _since(arch: str, seconds: float) -> str:
    """What sweeps measured of whole runs, where that is another time an epoch than the registry's runs took."""
    sweeps = json.loads(SWEEPS.read_text(encoding="utf-8"))
    for row in sweeps["rows"]:
        if row["ours"] and (found := re.match(rf"{arch}, (\d+) runs of {EPOCHS} epochs", row["what"])):
            measured = row["ours"]["median"] * sweeps["machine"]["threads"] / (int(found[1]) * EPOCHS)
            if abs(measured / seconds - 1) > _NOTED:
                return (
                    f"; `kws sweep` took {measured:.2f} s at commit {sweeps['machine']['commit'][:12]} "
                    f"(`{SWEEPS.relative_to(ROOT)}`), so what is said of {arch} here is out by as much"
                )
    return ""


def _measured(counters: list[Counter], rates: dict[str, float]) -> Iterator[str]:
    yield "## What the registries take"
    yield ""
    yield "| registry | transactions a second: 1 writer | 4 | 16 | 16 with weights | a megabyte more |"
    yield "| --- | --- | --- | --- | --- | --- |"
    for counter in counters:
        plain = " | ".join(f"{rates[named(counter.name, n, weights=False)]:,.0f}" for n in PROCESSES)
        weighty = rates[named(counter.name, max(PROCESSES), weights=True)]
        yield f"| {counter.name} | {plain} | {weighty:,.0f} | {1000 * counter.megabyte:.1f} ms |"
    yield ""
    yield "The server and its writers shared two cores and one disk; a server of its own is faster."
    yield ""


def _limits(counters: list[Counter], epochs: dict[str, float]) -> Iterator[str]:
    yield "## Where each is full, on paper"
    yield ""
    yield "A core asks for a transaction an epoch. A registry is full at so many cores:"
    yield ""
    yield "| | fc | cnn | cnn, with a checkpoint an epoch |"
    yield "| --- | --- | --- | --- |"
    for counter in counters:
        plain = [epochs[arch] / counter.seconds for arch in ("fc", "cnn")]
        size = _PARAMETERS["cnn"] * 12 / 1e6
        kept = epochs["cnn"] / (counter.seconds + size * counter.megabyte)
        yield f"| {counter.name} | {plain[0]:,.0f} | {plain[1]:,.0f} | {kept:,.0f} |"
    yield ""


def _simulated(counters: list[Counter], epochs: dict[str, float]) -> Iterator[str]:
    yield "## The sweep, simulated"
    yield ""
    yield (
        "| runs | nodes | registry | hours | node hours | cores waited | longest wait "
        "| registry busy | hours without checkpoints |"
    )
    yield "| --- | --- | --- | --- | --- | --- | --- | --- | --- |"
    for arch in ("fc", "cnn"):
        for nodes in NODES:
            for counter in counters:
                if counter.name == FILE and nodes > 1:  # only one machine may open a file
                    continue
                made, bare = (
                    simulate(counter, arch, epochs[arch], nodes * CORES, checkpoints=kept) for kept in (True, False)
                )
                longest = f"{made.longest:,.1f} s"
                yield (
                    f"| {arch} | {nodes} | {counter.name} | {made.hours:,.2f} | {made.hours * nodes:,.1f} | "
                    f"{100 * made.waited:.1f} % | {longest} | {100 * made.busy:.0f} % | {bare.hours:,.2f} |"
                )
    yield ""
    yield (
        "Here every run waits for each of its epochs to be recorded, in a transaction of its own, one after the other. "
        "That is more than runs wait in fact: they train on while the registry is busy, epochs that have gathered are "
        "recorded in one transaction, and a run fails only once the registry has been away for 15 minutes "
        "(`--db-timeout`). PostgreSQL is taken as one counter, at what 16 writers got on two cores; fewer writers got "
        "more."
    )
    yield ""


def _changes(counters: list[Counter], epochs: dict[str, float]) -> Iterator[str]:
    file = counters[0]
    nodes = epochs["cnn"] / file.seconds / CORES
    yield "## What to change, and when"
    yield ""
    yield (
        "- One node: nothing. A file on that node's own disk is enough, and no server has to be looked after. A file "
        "on a shared folder is not safe: SQLite's locks do not hold there."
    )
    yield (
        f"- Several nodes: PostgreSQL, for the network's sake rather than for speed: with long epochs (cnn) one file "
        f"would take the transactions of {nodes:,.0f} nodes, but only one machine may open it."
    )
    yield (
        "- Connections: the processes of a machine share one, so that a hundred machines need a hundred (PostgreSQL's "
        "`max_connections` is 100 by default), or a pooler such as PgBouncer."
    )
    yield (
        "- Checkpoints come first when the registry is full: they are nearly all of its bytes. `--checkpoints` keeps "
        "them in files, in a folder that all machines share or in an object store."
    )
    yield (
        "- Then one registry for each part of the plan (`--seeds 0,1`, `--seeds 2,3`, ...), joined at the end by "
        "`kws runs import`. (`kws db copy` moves one of them whole, and refuses a registry that has other runs.)"
    )


if __name__ == "__main__":
    main()
