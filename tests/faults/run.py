#!/usr/bin/python3
"""Fault tests on real brokers. `run.py BROKER [--full] [--seed N] [--jobs N] [--keep] [--mguard FILE] [PATTERN]`.

MGUARD_CHECK=full runs everything, anything else a short form. A seed is printed and can be given. Ends with
`N passed, N failed[, N skipped]`; the folder of a test that failed is kept and named.
"""
import argparse
import os
import queue
import re
import shutil
import sys
import tempfile
import threading
import time
import traceback
import zlib

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import brokers  # noqa: E402
from programme import Context, References, Stage, TooSoon, Unsupported, load_tests  # noqa: E402

ATTEMPTS = 3


class Runner:
    def __init__(self, options, folder):
        self.options, self.folder = options, folder
        self.references = References(folder, options.copy)
        self.lock = threading.Lock()
        self.passed = self.failed = self.skipped = 0

    def attempt(self, index, name, function, more_work):
        folder = os.path.join(self.folder, "%02d-%s-%d" % (index, re.sub(r"\W+", "-", name)[:40], more_work))
        broker = self.options.make(os.path.join(folder, "broker"))
        stage = Stage(folder, self.options.copy, broker, None)
        # From the name, so that one test alone does as it does among all.
        seed = self.options.seed + zlib.crc32(name.encode()) % 1000000
        broker.test = name
        try:
            broker.start()
            text = function(Context(stage, self.references, seed, self.options.full, more_work))
            stage.retire()
            return text
        finally:
            stage.close()

    def one(self, index, name, function):
        begin, verdict, text = time.monotonic(), "FAILED", ""
        for attempt in range(ATTEMPTS):
            try:
                text = self.attempt(index, name, function, 2 ** attempt)
                verdict = "ok"
            except TooSoon as e:
                text = "the fault did not hit work in flight, in %d attempts: %s" % (attempt + 1, e)
                continue
            except Unsupported as e:
                verdict, text = "skipped", str(e)
            except AssertionError as e:
                text = "%s\n%s" % (e, traceback.format_exc(limit=-3))
            except Exception:
                text = traceback.format_exc()
            break
        with self.lock:
            self.passed += verdict == "ok"
            self.failed += verdict == "FAILED"
            self.skipped += verdict == "skipped"
            print("[%s] %s (%.1f s)\n    %s" % (verdict, name, time.monotonic() - begin, text), flush=True)

    def all(self, tests):
        todo = queue.SimpleQueue()
        for t in [t for t in tests if not t[1][2]]:
            todo.put(t)

        def work():
            while True:
                try:
                    index, (name, function, _) = todo.get_nowait()
                except queue.Empty:
                    return
                self.one(index, name, function)

        # Children die with the thread that started them: a test starts and ends in one thread.
        threads = [threading.Thread(target=work) for _ in range(self.options.jobs)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        for index, (name, function, alone) in tests:
            if alone:
                self.one(index, name, function)


def main():
    p = argparse.ArgumentParser()
    p.add_argument("broker", choices=sorted(brokers.known()))
    p.add_argument("pattern", nargs="?", default="")
    p.add_argument("--full", action="store_true", default=os.environ.get("MGUARD_CHECK") == "full")
    p.add_argument("--seed", type=int, default=int(os.environ.get("FAULTS_SEED", "0")) or int(time.time()))
    p.add_argument("--jobs", type=int, default=3)
    p.add_argument("--keep", action="store_true")
    p.add_argument("--mguard", default=os.path.join(os.environ.get("MGUARD_BUILD", "build"), "mguard"))
    options = p.parse_args()
    why = brokers.missing(options.broker)
    if why is not None:
        print("skipped: %s\n0 passed, 0 failed, 1 skipped" % why)
        return 0
    options.make = brokers.known()[options.broker]
    folder = tempfile.mkdtemp(prefix="mguard-faults-")
    options.copy = os.path.join(folder, "mguard")
    shutil.copy(options.mguard, options.copy)
    print("%s, %s form, seed %d (--seed), folder %s" % (options.broker, "full" if options.full else "short", options.seed, folder), flush=True)
    tests = [(i, t) for i, t in enumerate(load_tests()) if re.search(options.pattern, t[0]) and re.search(options.make.only, t[0])
             and (options.full or options.pattern or re.search(options.make.short, t[0]))]
    runner = Runner(options, folder)
    begin = time.monotonic()
    try:
        options.make.prepare(folder)
        runner.all(tests)
    finally:
        options.make.finish()
    if runner.failed == 0 and not options.keep:
        shutil.rmtree(folder, ignore_errors=True)
    print("%.0f s" % (time.monotonic() - begin))
    skipped = ", %d skipped" % runner.skipped if runner.skipped else ""
    print("%d passed, %d failed%s" % (runner.passed, runner.failed, skipped))
    return 1 if runner.failed or runner.passed + runner.skipped == 0 else 0


if __name__ == "__main__":
    sys.exit(main())
