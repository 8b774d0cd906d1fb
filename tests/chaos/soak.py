#!/usr/bin/python3
"""A worker that serves run after run for a long time, over a link that is cut now and then, with executors killed: does it grow?

`soak.py [--minutes M] [--backend NAME] [--seed S] [--cases N]`. After each run memory, descriptors and threads of the worker are read while it is idle; a
coordinator is read through its run. The first third of the time warms up; then the median of the last third is held against that of the
second. Ends with `N passed, N failed`.
"""
import argparse
import os
import random
import shutil
import signal
import statistics
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "faults"))
import brokers  # noqa: E402
from oracle import check_counts  # noqa: E402
from processes import Stage, boot_time, descendants  # noqa: E402
from programme import Context  # noqa: E402
from proxy import Proxy  # noqa: E402

MEMORY_SHARE, MEMORY_KB = 0.05, 2048  # growth of a third over the one before that is no leak
DESCRIPTORS = 1
EVERY_S = 5
SETTLED_S = 3  # after its run a worker has heard of the end, and has let go of what belonged to it


def look(pid):
    """Resident kB, descriptors, threads."""
    with open("/proc/%d/status" % pid) as f:
        status = dict(line.split(":", 1) for line in f if ":" in line)
    return int(status["VmRSS"].split()[0]), len(os.listdir("/proc/%d/fd" % pid)), int(status["Threads"])


def third(samples, number):
    n = len(samples) // 3
    return samples[number * n:(number + 1) * n] if number < 2 else samples[2 * n:]


def growth(what, samples):
    """What is wrong, or None, and a line that tells."""
    before, after = third(samples, 1), third(samples, 2)
    kb = [statistics.median(s[0] for s in part) for part in (before, after)]
    fds, threads = ([max(s[i] for s in part) for part in (before, after)] for i in (1, 2))
    line = "%s: %d samples; memory %.0f, then %.0f kB; descriptors %d, then %d; threads %d, then %d" % (
        what, len(samples), kb[0], kb[1], fds[0], fds[1], threads[0], threads[1])
    grew = kb[1] > kb[0] * (1 + MEMORY_SHARE) + MEMORY_KB or fds[1] > fds[0] + DESCRIPTORS or threads[1] > threads[0]
    return grew, line


class Soak:
    def __init__(self, stage, options):
        self.stage, self.options, self.rng = stage, options, random.Random(options.seed)
        self.x = Context(stage, None, options.seed, False)
        self.proxy, self.cuts, self.kills, self.runs = Proxy(), 0, 0, 0
        self.link = stage.broker.way(self.proxy, 0)
        self.queue = self.x.queue(max_requeue_attempts=1000)
        self.worker = stage.worker(self.stage.broker.through(self.queue, self.link.port), executors=2)
        self.idle, self.longest, self.next_s = [], [], time.monotonic() + EVERY_S

    def disturb(self):
        self.cuts += self.link.reset()
        own = [p for p in descendants(self.worker.pid) if p not in descendants_of_children(self.worker.pid)]
        if self.runs % 2 == 1 and own:
            try:
                os.kill(self.rng.choice(own), signal.SIGKILL)
                self.kills += 1
            except ProcessLookupError:
                pass

    def one(self):
        run, samples = self.x.run(self.queue, self.options.cases), []
        while run.running():
            try:
                samples.append(look(run.pid))
            except (OSError, KeyError):
                break  # it has ended
            assert self.worker.running(), "the worker ended: %s" % self.worker.tail()
            if time.monotonic() >= self.next_s and self.stage.log.of_worker(self.worker.pid, boot_time() - 1):
                self.disturb()
                self.next_s = time.monotonic() + EVERY_S
            time.sleep(0.2)
        code = run.wait(60)
        assert code in (0, 3), "exit code %d: %s" % (code, run.tail())
        check_counts(self.stage.report(run), run.csv_file, self.options.cases)
        if len(samples) > len(self.longest):
            self.longest = samples
        self.runs += 1
        self.stage.log.empty()
        time.sleep(SETTLED_S)
        self.idle.append(look(self.worker.pid))
        print("  run %d: %s after it" % (self.runs, "%d kB, %d descriptors, %d threads" % self.idle[-1]), flush=True)


def descendants_of_children(pid):
    children = descendants(pid)
    return {g for c in children for g in descendants(c)}


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--minutes", type=float, default=60)
    p.add_argument("--backend", default="redis")
    p.add_argument("--seed", type=int, default=int(time.time()))
    p.add_argument("--cases", type=int, default=20000)
    p.add_argument("--mguard", default=os.path.join(os.environ.get("MGUARD_BUILD", "build"), "mguard"))
    options = p.parse_args()
    folder = tempfile.mkdtemp(prefix="mguard-soak-")
    shutil.copy(options.mguard, os.path.join(folder, "mguard"))
    print("%s, %g minutes, seed %d (--seed), folder %s" % (options.backend, options.minutes, options.seed, folder), flush=True)
    broker = brokers.known()[options.backend](os.path.join(folder, "broker"))
    broker.test = "restarts"
    stage = Stage(folder, os.path.join(folder, "mguard"), broker, None)
    end = time.monotonic() + options.minutes * 60
    try:
        broker.start()
        soak = Soak(stage, options)
        while time.monotonic() < end or len(soak.idle) < 6:
            soak.one()
        stage.retire()
    finally:
        stage.close()
    found = [growth("the worker after %d runs, %d connections cut, %d executors killed" % (soak.runs, soak.cuts, soak.kills), soak.idle),
             growth("a coordinator in a run of %d cases" % options.cases, soak.longest)]
    for grew, line in found:
        print("[%s] %s" % ("FAILED" if grew else "ok", line))
    shutil.rmtree(folder, ignore_errors=True)
    failed = sum(grew for grew, _ in found)
    print("%d passed, %d failed" % (len(found) - failed, failed))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
