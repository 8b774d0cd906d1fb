#!/usr/bin/python3
"""Chaos on real brokers. `run.py [BACKEND...] [--seed S] [--minutes M] [--cases N] [--faults N] [--at-once N] [--round N] [--only PATTERN] [--record FILE] [--keep]`.

For M minutes a backend, runs of N cases are disturbed by the faults of kinds.py in an order that follows from the seed, and each run is
held against what it must come to. The same seed gives the same schedule; --round begins with that round of it. Ends with
`N passed, N failed` (rounds); --record adds the table to the page that keeps them.
"""
import argparse
import os
import re
import shutil
import sys
import tempfile
import time
import traceback

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "faults"))
import brokers  # noqa: E402
from processes import Stage  # noqa: E402

import kinds  # noqa: E402
import table  # noqa: E402
from expected import Expected  # noqa: E402
from proxy import Proxy  # noqa: E402
from rounds import WORKERS, Round  # noqa: E402

DELAY_MS = 4


def known():
    return dict(brokers.known(), memory=brokers.Memory)


def say(text):
    print(text, flush=True)


class Session:
    """All rounds on one backend."""

    def __init__(self, name, options, folder):
        self.name, self.options, self.folder = name, options, folder
        self.expected, self.proxy = Expected(), Proxy()
        self.result = table.Result(name)

    def round(self, number, end):
        crashes = number % 2 == 0  # kills of executors change what a run comes to, so every second round is without
        seed = "%s/%s/%d" % (self.options.seed, self.name, number)
        folder = os.path.join(self.folder, "%s-%d" % (self.name, number))
        broker = known()[self.name](os.path.join(folder, "broker"))
        broker.test, broker.ways = "restarts", 1 + WORKERS  # a node of its own
        stage = Stage(folder, self.options.copy, broker, None)
        fitting, begin = [k for k in kinds.of(broker, crashes) if re.search(self.options.only, k.name)], time.monotonic()
        at_once = self.options.at_once or 1 + (number > 2 and number % 2)
        say("%s, round %d: seed %s, %d cases, %d kinds of fault, %d at once" % (self.name, number, seed, self.options.cases, len(fitting), at_once))
        r = Round(stage, self.proxy, self.expected, seed, self.options.cases, fitting, say, at_once)
        try:
            broker.start()
            r.begin(DELAY_MS)
            r.play(end, self.options.faults)
            facts = r.check()
            self.result.add(r, facts, time.monotonic() - begin)
            say("  came through: %s; %d faults counted of %d, %d resumes" % (facts, sum(f.counted for f in r.faults), len(r.faults), r.resumes))
            whole = True
        except Exception:
            self.result.fail(r)
            say("  FAILED, seed %s, what it left: %s\n%s" % (seed, folder, traceback.format_exc()))
            whole = False
        finally:
            r.close()
            stage.close()
        if whole and not self.options.keep:
            shutil.rmtree(folder, ignore_errors=True)

    def all(self):
        end, number = time.monotonic() + self.options.minutes * 60, self.options.round
        try:
            while time.monotonic() < end:
                self.round(number, end)
                number += 1
                if self.options.rounds and number >= self.options.round + self.options.rounds:
                    break
        finally:
            self.proxy.close()
        return self.result


def main():
    p = argparse.ArgumentParser()
    p.add_argument("backends", nargs="*", default=[])
    p.add_argument("--seed", default=str(int(time.time())))
    p.add_argument("--minutes", type=float, default=2)
    p.add_argument("--cases", type=int, default=50000)
    p.add_argument("--faults", type=int, default=10 ** 9, help="at most so many a round")
    p.add_argument("--rounds", type=int, default=0, help="at most so many a backend; 0: until the time is over")
    p.add_argument("--at-once", type=int, default=0, help="faults under way; 0: one, and two in some rounds")
    p.add_argument("--round", type=int, default=1)
    p.add_argument("--record")
    p.add_argument("--only", default="", help="a pattern: the kinds of fault")
    p.add_argument("--keep", action="store_true")
    p.add_argument("--mguard", default=os.path.join(os.environ.get("MGUARD_BUILD", "build"), "mguard"))
    options = p.parse_args()
    wrong = [b for b in options.backends if b not in known()]
    if wrong:
        p.error("no such backend: %s; there are %s" % (", ".join(wrong), ", ".join(sorted(known()))))
    folder = tempfile.mkdtemp(prefix="mguard-chaos-")
    options.copy = os.path.join(folder, "mguard")
    shutil.copy(options.mguard, options.copy)
    say("seed %s (--seed), %g minutes a backend, folder %s" % (options.seed, options.minutes, folder))
    results = []
    for name in options.backends or table.BACKENDS:
        why = brokers.missing(name)
        if why is not None:
            say("%s skipped: %s" % (name, why))
            results.append(table.Result(name, why))
            continue
        results.append(Session(name, options, folder).all())
    failed, passed = sum(r.failed for r in results), sum(r.rounds for r in results)
    skipped = sum(r.skipped is not None for r in results)
    say(table.summary(results) + "\n" + table.by_kind(results))
    if options.record and failed == 0 and passed > 0:
        table.record(options.record, results, options)
        say("added to %s" % options.record)
    if failed == 0 and not options.keep:
        shutil.rmtree(folder, ignore_errors=True)
    say("%d passed, %d failed%s" % (passed, failed, ", %d skipped" % skipped if skipped else ""))
    return 1 if failed or passed + skipped == 0 else 0


if __name__ == "__main__":
    sys.exit(main())
