"""`python -m benchmarks.scale`: what a sweep of 10,000 runs costs on 1, 10 and 100 nodes, written to docs/scale.md.

- It is simulated (benchmarks.simulation). A run of 50 epochs takes a core as long as the runs in the committed
  experiments.db did, give or take 5 % an epoch.
- What a transaction takes is the sum of what one took a single writer into a server, or each of 16 into a file, of what
  an epoch more in it took when 64 processes recorded as fast as they could, and of its bytes, at the speed at which 16
  writers wrote weights; all from benchmarks/results. A checkpoint is the network's weights and Adam's two moments, 4
  bytes each.
- The same simulation is held to a measurement: 64 and 256 processes that each have an epoch every 0.1 s for a minute.
"""

from __future__ import annotations

import json
import math
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from benchmarks import marks, saturation, writing
from benchmarks.simulation import Counter, Outcome, Simulation, Sweep
from benchmarks.writing import FILE, SERVER, TRANSACTIONS, WEIGHTS_BYTES

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "scale.md"
RESULTS = ROOT / "benchmarks" / "results"
_READ = ("writers", "saturation")
RUNS, EPOCHS = 10_000, 50
NODES, CORES = (1, 10, 100), 64
_PARAMETERS = {"fc": 567_171, "cnn": 346_067}
_SLOWER = 2
_MOST_SHARE = {1: 5.0, 10: 5.0, 100: 10.0}  # % of the cores' time that may wait


def main() -> None:
    """Write the page."""
    PAGE.parent.mkdir(exist_ok=True)
    PAGE.write_text(page(), encoding="utf-8")
    print(PAGE.relative_to(ROOT))
    marks.main()


def page() -> str:
    """The page, from the results and the registry."""
    writers, full = (json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8")) for name in _READ)
    rates = _medians(writers) | _medians(full)
    counters = [_counter(place, rates) for place in (FILE, SERVER) if writing.named(place, 1, weights=False) in rates]
    epochs = _seconds_an_epoch()
    lines = [*_head(full["machine"], epochs), *_measured(counters), *_simulated(counters, epochs)]
    return "\n".join([*lines, *_held_to_measurement(counters, rates), *_changes()]) + "\n"


def _medians(results: dict[str, Any]) -> dict[str, float]:
    return {row["what"]: row["ours"]["median"] for row in results["rows"] if row["ours"]}


def _counter(place: str, rates: dict[str, float]) -> Counter:
    most = max(writing.PROCESSES)
    plain, weighty = (rates[writing.named(place, most, weights=w)] for w in (False, True))
    more = max(TRANSACTIONS / weighty - TRANSACTIONS / plain, 0.0)  # seconds that the weights add to a run
    has_relays = place == SERVER
    claim = rates[writing.claimed(place)] / 1e3
    transaction = 1 / rates[writing.named(place, 1 if has_relays else most, weights=False)]
    together = {"claims": claim, "ends": transaction}
    if has_relays:
        together = {what: rates[writing.together(what)] / 1e3 for what in writing.TOGETHER}
    return Counter(
        name=place,
        has_relays=has_relays,
        claim=claim,
        claim_more=together["claims"],
        transaction=transaction,
        end=together["ends"],
        epoch=1 / rates[saturation.kept(place, CORES, 0.0)],
        megabyte=more / (WEIGHTS_BYTES / 1e6),
    )


def _seconds_an_epoch() -> dict[str, float]:
    with closing(sqlite3.connect(f"{(ROOT / 'experiments.db').as_uri()}?mode=ro&immutable=1", uri=True)) as connection:
        query = "SELECT arch, sum(milliseconds) / 1000.0 / sum(epochs_done) FROM runs WHERE threads = 1 GROUP BY arch"
        return dict(connection.execute(query).fetchall())


def _head(machine: dict[str, Any], epochs: dict[str, float]) -> Iterator[str]:
    yield "# What a sweep of 10,000 runs costs"
    yield ""
    yield (
        f"`python -m benchmarks.scale` writes this page from `benchmarks/results/writers.json` and `saturation.json` "
        f"({machine['cpu']}, {machine['cores']} cores) and `experiments.db`. It is a simulation, not a measurement: "
        f"{RUNS:,} runs of {EPOCHS} epochs, a core each, on nodes of {CORES} cores that are as fast as the measured "
        "one. A run waits for the registry only where it begins and where it ends."
    )
    yield ""
    for arch in ("fc", "cnn"):
        hours = RUNS * EPOCHS * epochs[arch] / 3600
        yield f"- {arch}: {epochs[arch]:.2f} s an epoch on one core, {hours:,.0f} core hours in all"
    yield ""


def _measured(counters: list[Counter]) -> Iterator[str]:
    yield "## What the registries take"
    yield ""
    yield "A claim reserves a run for one process; claims of one machine that come at once are one transaction."
    yield ""
    yield "| registry | first claim | each further | transaction | each epoch in it | each end of run | each megabyte |"
    yield "| --- | --- | --- | --- | --- | --- | --- |"
    for counter in counters:
        yield (
            f"| {counter.name} | {1e3 * counter.claim:.1f} ms | {1e3 * counter.claim_more:.2f} ms "
            f"| {1e3 * counter.transaction:.2f} ms | {1e6 * counter.epoch:.0f} µs | {1e3 * counter.end:.2f} ms "
            f"| {1e3 * counter.megabyte:.1f} ms |"
        )
    yield ""
    yield "The server and its writers shared two cores and one disk; a server of its own is faster."
    yield ""


@dataclass(frozen=True, kw_only=True)
class _Case:
    """A sweep on so many nodes, simulated: with all in the registry, and with checkpoints and weights in files."""

    arch: str
    nodes: int
    counter: Counter
    whole: Outcome
    bare: Outcome

    @property
    def shares(self) -> tuple[float, float]:
        """The cores' time that waited, in percent: with all in the registry, and with these files."""
        whole, bare = (100 * each.waited / (each.seconds * self.nodes * CORES) for each in (self.whole, self.bare))
        return whole, bare


def _cases(counters: list[Counter], epochs: dict[str, float]) -> Iterator[_Case]:
    for arch in ("fc", "cnn"):
        weights = _PARAMETERS[arch] * 4 / 1e6
        for nodes in NODES:
            for counter in counters:
                if counter.name == FILE and nodes > 1:  # only one machine may open a file
                    continue
                sweep = Sweep(runs=RUNS, epochs=EPOCHS, nodes=nodes, cores=CORES, seconds=epochs[arch])
                yield _Case(
                    arch=arch,
                    nodes=nodes,
                    counter=counter,
                    whole=Simulation(counter, replace(sweep, weights=weights, checkpoint=3 * weights)).run(),
                    bare=Simulation(counter, sweep).run(),
                )


def _simulated(counters: list[Counter], epochs: dict[str, float]) -> Iterator[str]:
    yield "## The sweep, simulated"
    yield ""
    yield (
        "| runs | nodes | registry | hours | core time waited | target | longest wait of a run | of an epoch "
        "| registry busy | core time waited, with `--checkpoints` and `--weights` |"
    )
    yield "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |"
    full, files = [], []
    for case in _cases(counters, epochs):
        arch, nodes, made = case.arch, case.nodes, case.whole
        whole, bare = case.shares
        if bare > _MOST_SHARE[nodes]:
            full.append(_full(arch, nodes, case.counter, epochs[arch]))
        elif whole > _MOST_SHARE[nodes]:
            files.append(f"{arch} on {nodes} nodes")
        yield (
            f"| {arch} | {nodes} | {case.counter.name} | {made.seconds / 3600:,.2f} | {whole:.1f} % "
            f"| at most {_MOST_SHARE[nodes]:.0f} % | {made.longest:,.1f} s | {max(made.recorded):,.1f} s "
            f"| {100 * made.busy / made.seconds:.0f} % | {bare:.1f} % |"
        )
    yield ""
    if files:
        yield (
            f"{' and '.join(files)} meets the target only where checkpoints and weights are in files (`--checkpoints`, "
            "`--weights`), whose place has to take them as fast as they come; that is not simulated. "
            + _bytes(("fc", "cnn"))
        )
        yield ""
    for line in full:
        yield line
        yield ""
    yield (
        "No run fails because the registry is busy: it fails only where the registry cannot be used for 15 minutes "
        "(`--db-timeout`)."
    )
    yield ""
    yield from _slower(counters, epochs)


def _slower(counters: list[Counter], epochs: dict[str, float]) -> Iterator[str]:
    """What waits where the registry is slower than it was measured."""
    yield (
        f"The measured machine is not always as fast. Where the registry takes {_SLOWER} times as long for everything, "
        "and training does not:"
    )
    yield ""
    yield "| runs | nodes | registry | core time waited | with `--checkpoints` and `--weights` |"
    yield "| --- | --- | --- | --- | --- |"
    slower = [each.slower(_SLOWER) for each in counters]
    for case in _cases(slower, epochs):
        whole, bare = case.shares
        yield f"| {case.arch} | {case.nodes} | {case.counter.name} | {whole:.1f} % | {bare:.1f} % |"
    yield ""


def _bytes(archs: tuple[str, ...]) -> str:
    """What the final weights of all runs take."""
    weights = {arch: RUNS * _PARAMETERS[arch] * 4 / 1e9 for arch in archs}
    takes = " and ".join(f"{gigabytes:.0f} GB for {arch}" for arch, gigabytes in weights.items())
    return f"The final weights of all runs are {takes}, and a checkpoint is three times as large as its network's."


def _full(arch: str, nodes: int, counter: Counter, seconds: float) -> str:
    """Why the cores of so many nodes wait for more than they should."""
    claims, ends = RUNS * counter.claim_more, RUNS * counter.end
    of_epochs = RUNS * EPOCHS * counter.epoch
    return (
        f"On {nodes} nodes {arch} misses the target, even where checkpoints and weights are in files. "
        f"Training alone would take {RUNS * EPOCHS * seconds / (nodes * CORES):,.0f} s there, and the registry has "
        f"{claims + ends + of_epochs:,.0f} s of work: claims ({claims:,.0f} s), ends ({ends:,.0f} s) and epochs "
        f"({of_epochs:,.0f} s)."
    )


def _held_to_measurement(counters: list[Counter], rates: dict[str, float]) -> Iterator[str]:
    yield "## The simulation beside a measurement"
    yield ""
    yield (
        f"Processes of this machine that have an epoch every {saturation.PACE:g} s for {saturation.SECONDS:.0f} s, "
        "measured (`python -m benchmarks saturation`) and simulated as one node:"
    )
    yield ""
    yield (
        "| processes | registry | epochs a second: measured | simulated | from an epoch's end until it is recorded, "
        "median: measured | simulated | longest: measured | simulated |"
    )
    yield "| --- | --- | --- | --- | --- | --- | --- | --- |"
    for counter in counters:
        for processes in saturation.PROCESSES:
            epochs = round(saturation.SECONDS / saturation.PACE)
            sweep = Sweep(runs=processes, epochs=epochs, nodes=1, cores=processes, seconds=saturation.PACE, spread=0.0)
            made = Simulation(counter, sweep).run()
            waits = [_told(seconds) for seconds in sorted(made.recorded)]
            rate, middle, longest = (
                rates[name(counter.name, processes, saturation.PACE)]
                for name in (saturation.kept, saturation.median_wait, saturation.longest_wait)
            )
            yield (
                f"| {processes} | {counter.name} | {rate:,.0f} | {len(waits) / made.seconds:,.0f} "
                f"| {1e3 * middle:.1f} ms | {1e3 * waits[len(waits) // 2]:.1f} ms | {longest:.2f} s "
                f"| {waits[-1]:.2f} s |"
            )
    yield ""
    yield (
        f"A process learns that an epoch is recorded where it ends the next one, so both waits are rounded up to "
        f"{1e3 * saturation.PACE:.0f} ms. The simulation knows nothing of the two cores that these "
        "processes share, of the disk, whose slowest commits make the longest waits, or of Python's threads."
    )
    yield ""


def _told(seconds: float) -> float:
    """A wait as a process learns of it: where it ends an epoch."""
    return math.ceil(seconds / saturation.PACE) * saturation.PACE


def _changes() -> Iterator[str]:
    yield "## What to change, and when"
    yield ""
    yield (
        "- One node: nothing. A file on that node's own disk is enough, and no server has to be looked after. A file "
        "on a shared folder is not safe: SQLite's locks do not hold there."
    )
    yield "- Several nodes: PostgreSQL, for only one machine may open a file."
    yield (
        "- Connections: the workers of a machine share one, and each `kws sweep` holds up to two more: a hundred "
        "machines need about 300 in an array job, and 102 on Ray (PostgreSQL's `max_connections` is 100 by default), "
        "or a pooler such as PgBouncer."
    )
    yield (
        "- Where the registry is the bottleneck, move checkpoints out first: they are nearly all of its bytes. "
        "`--checkpoints` keeps them in files, in a folder that all machines share or in an object store. Final weights "
        "come next (`--weights`); the registry is then no longer all that there is of a run: `kws db copy` and `kws db "
        "backup` make a copy that has them."
    )


if __name__ == "__main__":
    main()
