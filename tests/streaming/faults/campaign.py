"""Daemons of one group under load, while they, and the broker, are killed on purpose."""

from __future__ import annotations

import random
import re
import signal
import time
from collections.abc import Callable
from typing import Any

from cluster import add_one_each, let_commits_end, lost_partitions, members
from load import Feeder
from nursery import Nursery, Process
from restartable_broker import RestartableBroker
from stages import PLACES, REBALANCE, STAGES, stage_of
from stream_support import Stage
from verdict import Verdict, compare, read_outputs, tally, undisturbed

from streaming.fencing import FENCED
from streaming.shutdown import DEADLINE_PASSED

#: Records per poll: small, so that many batches are under way when something is killed.
POLL = 20
_HIT_S = 180.0  #: for a daemon to reach the place where it is to be killed; a busy one is slow
_READY_S = 600.0
_IDLE_S = 5.0  #: after which a group that has nothing left to do is given something


class Campaign:
    """A group of daemons, the load on it, and the deeds of a test.

    Args:
        stage: topics and settings.
        nursery: where daemons come from.
        delivery: the mode.
        seed: of the choices, and of the load.
        steady: daemons that are always there; they are static members of the group.
        per_second: events.
        broker: what :meth:`bounce` kills.
        more: further settings of every daemon.
    """

    def __init__(
        self,
        stage: Stage,
        nursery: Nursery,
        delivery: str,
        seed: int,
        steady: int,
        per_second: float,
        broker: RestartableBroker | None = None,
        **more: Any,
    ) -> None:
        self._stage, self._nursery, self._delivery = stage, nursery, delivery
        self._random = random.Random(seed)
        self._more, self._broker = more, broker
        self._began = time.monotonic()
        self._aimed: list[str] = []
        self._hit: list[str] = []
        self._bounces = self._added = self._removed = self._lost = 0
        self._undrained = 0  # stopped before everything was committed, which is as good as a kill
        self.ended: list[tuple[str, int]] = []  # by themselves, and started again
        self._feeder = Feeder(stage, seed, per_second)
        self._all: list[Process] = []
        self._steady = {f"steady-{n}": self._start(f"steady-{n}", True) for n in range(steady)}
        self._extra: dict[str, Process] = {}

    def kill_everywhere(self, each: int, by_chance: int, bounces: int, changes: int) -> None:
        """Kills ``each`` daemons at each stage and ``by_chance`` anywhere, in an order of the
        seed's, restarts the broker and adds or removes a daemon as often as said."""
        deeds: list[Callable[[], str]] = []
        for stage in STAGES:
            places = [place for place in PLACES if stage_of(place) == stage]
            deeds += [self._aim(places[n % len(places)]) for n in range(each)]
        deeds += [self.kill_by_chance] * by_chance + [self.bounce] * bounces
        deeds += [self.change] * changes
        self._random.shuffle(deeds)
        for number, deed in enumerate(deeds, 1):
            done = deed()
            self._supervise()
            self._say(f"{number} of {len(deeds)}: {done}")

    def kill_at(self, place: str) -> str:
        """Kills a daemon that stands still at ``place``."""
        for _ in range(5):
            # Who joins anew is told of partitions and begins them; others may not be.
            fresh = stage_of(place) == REBALANCE and not place.endswith("joined")
            name, process = self._add() if fresh else self._victim()
            process.watch.stop_at(place)
            if stage_of(place) == REBALANCE and not fresh:
                self.change()
            if self._stands(process):
                break
            process.watch.stop_at(None)
            if fresh:
                self._remove(name)
        else:
            raise AssertionError(f"nobody came by {place!r}:\n{process.log}")
        process.kill()
        self._aimed.append(stage_of(place))
        self._after(name, process)
        return f"{name} killed {place}"

    def kill_while_it_gives_up(self) -> None:
        """Kills the steady daemon that gives up partitions for a new one, before the group knows
        that it has."""
        name, process = self._victim()
        process.watch.stop_at(f"{REBALANCE}: told")
        self._add()
        assert self._stands(process), process.log
        process.kill()
        self._aimed.append(REBALANCE)
        self._after(name, process)

    def kill_by_chance(self) -> str:
        """Kills a daemon wherever it is."""
        time.sleep(self._random.random() * 0.3)
        name = self._random.choice(sorted(self._steady))
        process = self._steady[name]
        place = process.kill()
        self._hit.append(stage_of(place))
        self._after(name, process)
        return f"{name} killed by chance: {place}"

    def bounce(self) -> str:
        """Kills the broker and starts it again on the same data; sometimes a daemon, too."""
        assert self._broker is not None
        self._bounces += 1
        if self._delivery == "exactly-once":
            let_commits_end(self._stage.broker, self._running)
        self._broker.kill()
        for process in self._running:
            process.signal(signal.SIGCONT)
        also = ""
        if self._random.random() < 0.3:
            also = f"; meanwhile {self.kill_by_chance()}"
        self._broker.restart()
        seconds = self._broker.wait()
        rounds = {name: process.watch.rounds for name, process in self._steady.items()}
        self._until(
            lambda: any(p.watch.rounds > rounds.get(n, 0) for n, p in self._steady.items()),
            "a commit after the broker's restart",
        )
        return f"the broker killed, back after {seconds:.1f} s{also}"

    def change(self) -> str:
        """Adds a daemon, or stops one that was added."""
        if self._extra:
            name = next(iter(self._extra))
            self._remove(name)
            return f"{name} removed"
        name, _ = self._add()
        return f"{name} added"

    def settle(self, count: int) -> None:
        """Returns once the group has ``count`` members, and each of them commits."""
        given = time.monotonic()

        def settled() -> bool:
            nonlocal given
            if members(self._stage) != count:
                return False
            if all(p.watch.rounds for p in self._running):
                return True
            # Where the load is over, who comes back may find that all is answered.
            if time.monotonic() > given + _IDLE_S:
                add_one_each(self._stage)
                given = time.monotonic()
            return False

        self._until(settled, f"{count} members that commit")

    def rebalances(self) -> int:
        """How often a daemon had partitions taken from it, by their logs."""
        return sum(len(re.findall(r"(?:revoked|lost): \[", process.log)) for process in self._all)

    def finish(self, allowed_per_kill: int) -> Verdict:
        """Ends the load, stops the daemons, and holds everything against an undisturbed run.

        Args:
            allowed_per_kill: outputs that may come again for each kill, restart or lost partition.
        """
        for name in list(self._extra):
            self._remove(name)
        self._feeder.finish()
        self.settle(len(self._steady))
        add_one_each(self._stage)
        total = len(self._stage.read(self._stage.events))
        self._until(lambda: self._stage.committed() >= total, "the last event's commit")
        self._say(f"{total} events are committed")
        contexts: dict[str, Any] = {}
        for process in self._steady.values():
            assert process.stop() == 0, process.log
            found = process.contexts()
            assert not contexts.keys() & found.keys()
            contexts |= found
        self._lost = sum(lost_partitions(process.log) for process in self._all)
        got = read_outputs(self._stage)
        want, wanted_contexts = undisturbed(self._stage, self._nursery, total)
        lost = compare(got, want, contexts, wanted_contexts)
        faults = len(self._aimed) + len(self._hit) + self._bounces + self._lost + self._undrained
        return Verdict(
            self._delivery,
            tally(self._aimed),
            tally(self._hit),
            self._bounces,
            self._added,
            self._removed,
            self._lost,
            total,
            lost,
            got.repeats,
            allowed_per_kill * faults if self._delivery == "at-least-once" else 0,
            got.repeated_ranges(),
        )

    def _aim(self, place: str) -> Callable[[], str]:
        return lambda: self.kill_at(place)

    def _start(self, name: str, static: bool) -> Process:
        exactly_once = self._delivery == "exactly-once"
        settings = {
            "delivery": self._delivery,
            "group_instance_id": name if static else None,
            "transactional_id": f"{self._stage.group}-{name}" if exactly_once else None,
            "transaction_timeout_s": 3,
            "max_poll_records": POLL,
            "http": False,
            "kafka.connect_timeout_s": 240,
            "delivery_timeout_s": 240,
            "shutdown_timeout_s": 60,
        } | self._more
        process = self._nursery.start(self._stage.settings(**settings))
        self._all.append(process)
        return process

    def _victim(self) -> tuple[str, Process]:
        """A steady daemon that has gone some rounds since it started."""
        self._until(
            lambda: any(p.watch.rounds for p in self._steady.values()), "a daemon that commits"
        )
        names = [name for name, process in self._steady.items() if process.watch.rounds]
        name = self._random.choice(sorted(names))
        return name, self._steady[name]

    def _stands(self, process: Process) -> bool:
        deadline = time.monotonic() + _HIT_S
        while time.monotonic() < deadline and process.exit_code is None:
            if process.watch.stopped:
                return True
            time.sleep(0.005)
        return False

    def _after(self, name: str, process: Process) -> None:
        """A steady daemon is started again at once, an added one is gone."""
        if name in self._steady:
            self._steady[name] = self._start(name, True)
        else:
            self._extra.pop(name)
            self._removed += 1

    def _add(self) -> tuple[str, Process]:
        self._added += 1
        name = f"extra-{self._added}"
        self._extra[name] = self._start(name, False)
        return name, self._extra[name]

    def _remove(self, name: str) -> None:
        process = self._extra.pop(name)
        code = process.stop()
        # Before it listens to signals, SIGTERM simply ends it.
        assert code in (0, 128 + signal.SIGTERM, DEADLINE_PASSED), process.log
        self._undrained += code == DEADLINE_PASSED
        self._removed += 1

    def _supervise(self) -> None:
        """Starts again what ended by itself, as a supervisor does."""
        for name, process in [*self._steady.items(), *self._extra.items()]:
            code = process.exit_code
            if code is None:
                continue
            assert code != FENCED, process.log
            self.ended.append((name, code))
            self._say(f"{name} ended by itself with {code}: {process.log.splitlines()[-1:]}")
            if name in self._steady:
                self._steady[name] = self._start(name, True)
            else:
                self._extra.pop(name)

    def _until(self, holds: Callable[[], bool], what: str) -> None:
        deadline = time.monotonic() + _READY_S
        while not holds():
            self._supervise()
            if time.monotonic() > deadline:
                logs = "\n\n".join(f"{n}:\n{p.log[-3000:]}" for n, p in self._steady.items())
                raise AssertionError(f"waited {_READY_S:g} s for {what}\n{logs}")
            time.sleep(0.05)

    @property
    def _running(self) -> list[Process]:
        return [p for p in (*self._steady.values(), *self._extra.values()) if p.exit_code is None]

    def _say(self, line: str) -> None:
        print(f"{time.monotonic() - self._began:6.1f} s  {line}", flush=True)
