"""A sweep on many nodes and the registry that they record into, simulated event by event.

- A run waits for the registry where it is claimed and where it ends; epochs are recorded while it trains on.
- What the runs of a node have for the registry gathers in one relay, which asks for one transaction at a time, with all
  that has gathered, epochs and ends; and for one with all claims. The registry is one counter at which these wait their
  turn. A file has no relay: there, each process gathers for itself.
- A run makes a checkpoint with the first epoch that ends 5 s after the last one, and as few as take a relay a twentieth
  of its time, which it measures: the longer the registry takes, the fewer. A relay keeps the newest of each run, and
  writes one, in a transaction of its own, where nobody asks for anything else, or where the last was a second ago.
- It has one seed: the same figures give the same outcome. What it leaves out: the network between nodes, nodes that
  fail, and that the cores of a node share their memory.
"""

from __future__ import annotations

import heapq
import random
from collections import deque
from dataclasses import dataclass, field

_CHECKPOINT_SECONDS, _SHARE, _PAUSE_SECONDS = 5.0, 20, 1.0
_BETWEEN_STARTS = 0.001  # seconds between the first runs of two cores


@dataclass(frozen=True, kw_only=True)
class Counter:
    """A registry: the seconds of a claim, and of a transaction, and of one more of each thing in the same transaction.

    Only where the processes of a node share a relay are claims and ends made together.
    """

    name: str
    has_relays: bool
    claim: float
    claim_more: float
    transaction: float
    epoch: float
    end: float
    megabyte: float

    def slower(self, times: float) -> Counter:
        """A registry that takes so many times as long for everything."""
        return Counter(
            name=self.name,
            has_relays=self.has_relays,
            claim=times * self.claim,
            claim_more=times * self.claim_more,
            transaction=times * self.transaction,
            epoch=times * self.epoch,
            end=times * self.end,
            megabyte=times * self.megabyte,
        )


@dataclass(frozen=True, kw_only=True)
class Sweep:
    """Runs of so many epochs on nodes of so many cores; seconds an epoch, and megabytes of weights and checkpoints.

    Those that are kept elsewhere have 0 megabytes; what the files take is left out.
    """

    runs: int
    epochs: int
    nodes: int
    cores: int
    seconds: float
    spread: float = 0.05  # by which an epoch is longer or shorter, as a share
    weights: float = 0.0
    checkpoint: float = 0.0


@dataclass(kw_only=True)
class Outcome:
    """A simulated sweep: its seconds, those that cores waited, the longest such wait, and how long the registry worked.

    `recorded` holds the seconds from each epoch's end until it was recorded.
    """

    seconds: float = 0.0
    waited: float = 0.0
    longest: float = 0.0
    busy: float = 0.0
    recorded: list[float] = field(default_factory=list)


@dataclass
class _Batch:
    """What one transaction records: cores that wait, when epochs ended, and megabytes; of a checkpoint, that alone."""

    waiting: list[tuple[int, float]] = field(default_factory=list)
    epochs: list[float] = field(default_factory=list)
    last: list[tuple[int, float]] = field(default_factory=list)  # cores whose last epoch is among them, and when
    weights: float = 0.0
    is_checkpoint: bool = False


@dataclass
class _Writer:
    """A relay, or a process without one: what has gathered, and the cores whose checkpoints wait.

    Its last checkpoint was recorded at `checkpointed`. What one from each of its cores would take is `took`.
    """

    gathered: _Batch = field(default_factory=_Batch)
    checkpoints: dict[int, None] = field(default_factory=dict)  # the oldest first
    checkpointed: float = 0.0
    took: float = 0.0
    asked: float | None = None  # since when it waits for the registry

    def next(self, now: float, *, has_recorded: bool) -> _Batch | None:
        """What it asks for now, after it has recorded what had gathered, or else; None for nothing."""
        asks = bool(self.gathered.waiting or self.gathered.epochs)
        is_due = has_recorded and now - self.checkpointed > _PAUSE_SECONDS
        if self.checkpoints and (is_due or not asks):
            del self.checkpoints[next(iter(self.checkpoints))]
            return _Batch(is_checkpoint=True)
        taken, self.gathered = self.gathered, _Batch()
        return taken if asks else None


class Simulation:
    """A sweep, event by event: a core begins, its epoch ends, or a transaction does."""

    def __init__(self, counter: Counter, sweep: Sweep) -> None:
        self._counter, self._sweep, self._draw = counter, sweep, random.Random(0)
        cores = min(sweep.nodes * sweep.cores, sweep.runs)
        self._writers = [_Writer() for _ in range(sweep.nodes if counter.has_relays else cores)]
        self._sharing = sweep.cores if counter.has_relays else 1
        self._done, self._due = [0] * cores, [0.0] * cores  # epochs of the run, and when a checkpoint is due
        self._left = sweep.runs - cores
        self._turns: deque[tuple[int, _Batch]] = deque()
        self._events: list[tuple[float, int, int]] = []  # when, and a core's number, or -1 for the registry
        self._order, self._working, self._started = 0, False, set[int]()
        self.outcome = Outcome()

    def run(self) -> Outcome:
        """Until the last run has ended."""
        for core in range(len(self._done)):
            self._at(_BETWEEN_STARTS * core, core)
        while self._events:
            now, _, core = heapq.heappop(self._events)
            if core < 0:
                self._commit(now)
            elif core not in self._started:
                self._started.add(core)
                self._ask(now, core)
            else:
                self._end_epoch(now, core)
        return self.outcome

    def _at(self, when: float, core: int) -> None:
        self._order += 1
        heapq.heappush(self._events, (when, self._order, core))

    def _train(self, now: float, core: int) -> None:
        spread = self._sweep.spread
        self._at(now + self._sweep.seconds * self._draw.uniform(1 - spread, 1 + spread), core)

    def _end_epoch(self, now: float, core: int) -> None:
        self._done[core] += 1
        writer = self._writers[core % len(self._writers)]
        writer.gathered.epochs.append(now)
        if self._done[core] == self._sweep.epochs:
            writer.gathered.last.append((core, now))
            writer.checkpoints.pop(core, None)
            self._send(now, core % len(self._writers))
            return
        if self._sweep.checkpoint and now >= self._due[core]:
            writer.checkpoints[core] = None
            self._due[core] = now + max(_CHECKPOINT_SECONDS, _SHARE * writer.took)
        self._train(now, core)
        self._send(now, core % len(self._writers))

    def _ask(self, now: float, core: int) -> None:
        """Let a core wait for a transaction: its run is claimed, or has ended."""
        self._writers[core % len(self._writers)].gathered.waiting.append((core, now))
        self._send(now, core % len(self._writers))

    def _send(self, now: float, number: int, *, has_recorded: bool = False) -> None:
        writer = self._writers[number]
        if writer.asked is not None or not (batch := writer.next(now, has_recorded=has_recorded)):
            return
        writer.asked = now
        self._turns.append((number, batch))
        if not self._working:
            self._work(now)

    def _work(self, now: float) -> None:
        _, batch = self._turns[0]
        megabytes = self._sweep.checkpoint if batch.is_checkpoint else batch.weights
        claims = sum(not self._done[core] for core, _ in batch.waiting)
        ends = len(batch.waiting) - claims
        takes = len(batch.epochs) * self._counter.epoch + ends * self._counter.end + megabytes * self._counter.megabyte
        takes += self._counter.transaction if batch.epochs or ends or batch.is_checkpoint else 0.0
        takes += self._counter.claim + (claims - 1) * self._counter.claim_more if claims else 0.0
        self.outcome.busy += takes
        self._working = True
        self._at(now + takes, -1)

    def _commit(self, now: float) -> None:
        number, batch = self._turns.popleft()
        writer = self._writers[number]
        self._working = False
        if batch.is_checkpoint and writer.asked is not None:
            writer.checkpointed, writer.took = now, self._sharing * (now - writer.asked)
        writer.asked = None
        self.outcome.recorded += [now - ended for ended in batch.epochs]
        for ended in batch.last:  # the end of a run is recorded once its last epoch is
            writer.gathered.weights += self._sweep.weights
            writer.gathered.waiting.append(ended)
        for core, since in batch.waiting:
            self.outcome.waited += now - since
            self.outcome.longest = max(self.outcome.longest, now - since)
            self._go_on(now, core)
        self.outcome.seconds = now
        self._send(now, number, has_recorded=not batch.is_checkpoint)
        if self._turns and not self._working:
            self._work(now)

    def _go_on(self, now: float, core: int) -> None:
        if self._done[core] < self._sweep.epochs:
            self._due[core] = now + _CHECKPOINT_SECONDS
            self._train(now, core)
        elif self._left:
            self._left -= 1
            self._done[core] = 0
            self._ask(now, core)
