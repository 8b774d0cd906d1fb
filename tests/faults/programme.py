"""The one list of fault tests, run against any broker. What each is for stands in its first line.

A test gets a Context, raises AssertionError where something is wrong, and returns one line that says what happened. It must show
by requeues, dropped repeats or reconnects that the fault hit work in flight (`proof`); a run that was over before the fault raises
TooSoon and is made again with more work.
"""
import json
import os
import random
import subprocess
import threading

from brokers import Unsupported, wait_until  # noqa: F401
from oracle import check_counts, executions, rows
from processes import FIXTURE, Stage, TooSoon

TESTS = []


def fault(name, alone=False):
    """alone: needs the machine for itself, because it measures times."""

    def take(function):
        TESTS.append((name, function, alone))
        return function

    return take


class References:
    """What the memory backend makes of the same plan: exit code, digest, rows and labels, once for each size."""

    def __init__(self, folder, mguard):
        self.folder, self.mguard = folder, mguard
        self.lock, self.known = threading.Lock(), {}

    def get(self, cases, seed):
        with self.lock:
            if (cases, seed) not in self.known:
                self.known[(cases, seed)] = self._make(cases, seed)
            return self.known[(cases, seed)]

    def _make(self, cases, seed):
        base = os.path.join(self.folder, "memory-%d-%d" % (cases, seed))
        env = {k: v for k, v in os.environ.items() if not k.startswith("FAULTS_")}
        argv = [self.mguard, "run", os.path.join(FIXTURE, "plan.lua"), "--cases", str(cases), "--seed", str(seed), "--quiet",
                "--report-json", base + ".json", "--outcomes", base + ".csv"]
        code = subprocess.run(argv, env=env, timeout=300, stdin=subprocess.DEVNULL).returncode
        with open(base + ".json") as f:
            report = json.load(f)
        check_counts(report, base + ".csv", cases)
        return code, report["outcome_digest"], rows(base + ".csv"), report["labels"]


class Facts:
    """What a run that came through says about itself."""

    def __init__(self, report, executed, beyond, coordinator, verified):
        d = report["delivery"]
        self.report, self.executed, self.beyond = report, executed, beyond
        self.requeued, self.dropped, self.reconnects = d["requeued"], d["repeats_dropped"], d["reconnects"]
        self.dead = d["dead_lettered"]
        self.coordinator, self.duplicated = coordinator, verified["duplicated"]

    def __str__(self):
        return "%s, %d executions (%d beyond an undisturbed run), %d requeued, %d repeats dropped, %d reconnects, %.1f s" % (
            self.report["verdict"], self.executed, self.beyond, self.requeued, self.dropped, self.reconnects, self.report["seconds"])


class Context:
    def __init__(self, stage, references, seed, full, more_work=1):
        self.stage, self.references, self.seed, self.full = stage, references, seed, full
        self.rng = random.Random(seed)
        self.more_work = more_work
        self.run_seed = 1 + seed % 1000
        self.broker = stage.broker
        self.residue_s = 10  # the longest that something of a run that is over may be left on the broker

    def queue(self, **more):
        """Short times, small tasks; what a test says replaces them."""
        how = {"lease_seconds": 3, "heartbeat_timeout": 1.5, "heartbeat_interval": 0.5, "heartbeat_check_interval": 0.25,
               "batch_size": 10}
        how.update(more)
        return self.broker.config(**{k: v for k, v in how.items() if v is not None})

    def cases(self, short, full=None):
        return (full if self.full and full else short) * self.more_work

    def run(self, queue, cases, **more):
        self.run_cases = cases
        return self.stage.run(queue, cases, self.run_seed, **more)

    def workers(self, queue, count, delay_ms=0.0, **more):
        return [self.stage.worker(queue, delay_ms, **more) for _ in range(count)]

    def at_work(self, worker):
        """Waits until the worker has run cases for so long that its beats have told of them, and still does."""
        first = self.stage.executing(worker, since=0)
        return self.stage.executing(worker, since=first.time + 1.2)

    def check(self, coordinator, cases, seconds=120, lost=0, exit_code=None, same_digest=True, names=("quick", "slow")):
        """The run came through, and everything that was counted is right."""
        code = coordinator.wait(seconds)
        want, digest, _, labels = self.references.get(cases, self.run_seed)
        want = want if exit_code is None else exit_code
        assert code == want, "exit code %d, expected %d: %s" % (code, want, coordinator.tail())
        report = self.stage.report(coordinator)
        check_counts(report, coordinator.csv_file, cases)
        if same_digest:
            assert report["outcome_digest"] == digest, "digest %s, of the memory backend %s" % (report["outcome_digest"], digest)
            assert report["labels"] == labels, "labels %r, of the memory backend %r" % (report["labels"], labels)
        for role in ("baseline", "candidate"):
            assert report["outcomes"][role]["lost"] == lost, "%s: %d lost, expected %d\n%s" % (
                role, report["outcomes"][role]["lost"], lost, coordinator.tail())
            assert report["outcomes"][role]["timeout"] == 0, "%s: %d cases timed out" % (role, report["outcomes"][role]["timeout"])
        self.no_residue(coordinator)
        code, found, said = self.stage.verify(coordinator)
        assert code == (0 if lost == 0 else 1) and found["lost"] == lost, "verify: exit code %d: %s" % (code, said)
        assert found["missing"] == found["duplicated"] == found["unexpected"] == found["residue"] == 0 and found["digest_right"], said
        executed, missing, beyond = executions(self.stage.log, cases, names)
        assert missing == 0, "%d executions are missing: cases were counted that never ran" % missing
        return Facts(report, executed, beyond, coordinator, found)

    def unsupported(self, why):
        return Unsupported("%s: %s" % (self.broker.name, why))

    def no_residue(self, coordinator):
        """Nothing of the run is left on the broker once the workers have heard that it is over."""
        run = self.stage.run_id(coordinator)
        wait_until(lambda: not self.broker.residue(run), self.residue_s, lambda: "of the run is left on the broker: %r" % self.broker.residue(run))

    def proof(self, ok, facts):
        if not ok:
            raise TooSoon("nothing shows that work in flight was hit: %s" % facts)


def load_tests():
    import programme_broker  # noqa: F401
    import programme_messages  # noqa: F401
    import programme_resume  # noqa: F401
    import programme_workers  # noqa: F401
    return TESTS


__all__ = ["Context", "References", "Stage", "TooSoon", "Unsupported", "fault", "load_tests"]
