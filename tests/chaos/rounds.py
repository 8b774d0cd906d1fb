"""One run of many cases on one broker, disturbed by a schedule of faults until it ends; then all is held against what it must come to.

One thread does everything: a fault is a generator that is asked again and again, so that two can be under way at once. Each claims
the places that it disturbs. The schedule follows from the seed; when each fault strikes depends on when the one before was over.
"""
import mmap
import os
import random
import signal
import sqlite3
import struct
import time

from brokers import wait_until
from oracle import check_counts
from processes import TooSoon, boot_time, preloads
from programme import Context
from programme_resume import journal, recorded

BUSY_S = 0.25  # a worker that began a case so lately is at work
HELD = 50  # executions: more than two tasks of 10 cases and both roles, so a worker that ran as many has settled and fetched
LIMIT_S = 90  # whatever a fault has disturbed is at work again by then
SURE_S = 20  # after that the case that a killed worker was in counts as through before
WORKERS = 3


class Slot:
    """A place for a program and its way to the broker; whoever takes the place of one that was killed gets the same way and clock."""

    def __init__(self, folder, name, link):
        self.name, self.link, self.program = name, link, None
        self.skew_file = os.path.join(folder, "skew-" + name.replace(" ", "-"))
        with open(self.skew_file, "wb") as f:
            f.write(bytes(16))
        with open(self.skew_file, "r+b") as f:
            self.skew = mmap.mmap(f.fileno(), 16)

    def jump(self, seconds):
        struct.pack_into("q", self.skew, 0, seconds)

    def clock_reads(self):
        return struct.unpack_from("q", self.skew, 8)[0]


class Fault:
    """What became of one entry of the schedule."""

    def __init__(self, number, kind, seed):
        self.number, self.kind = number, kind
        self.rng = random.Random(seed)
        self.worker = self.rng.randrange(WORKERS)
        self.counted, self.recovery_s, self.text = False, None, ""
        self.slots, self.work = [], None

    def hit(self, since, until, text=""):
        """It met work in flight, and at `until` that went on."""
        self.counted, self.recovery_s = True, max(0.0, until - since)
        self.text += text


class Round:
    def __init__(self, stage, proxy, expected, seed, cases, kinds, say, at_once=1):
        self.stage, self.expected, self.cases, self.say, self.at_once = stage, expected, cases, say, at_once
        self.name, self.kinds, self.proxy = seed, kinds, proxy
        self.x = Context(stage, expected, random.Random(seed).randrange(1000000), False)
        self.broker = stage.broker
        self.x.residue_s = LIMIT_S  # garbage that a newer version or a stranger might have sent was given back, to be tried again within 60 s
        self.alone = self.broker.name == "memory"
        self.faults, self.active = [], []
        self.killed_in = set()  # cases in which an executor was killed
        self.executors_killed = self.resumes = self.known_records = 0
        self.looked_at = 0.0

    # --- what the faults ask ---

    def look(self, every=0.0):
        """The journal's count of cases."""
        if time.monotonic() - self.looked_at >= every and os.path.exists(journal(self.x, self.run_id)):
            try:
                self.known_records = max(self.known_records, recorded(self.x, self.run_id))
            except sqlite3.OperationalError:
                pass  # as when it was killed while it began a new log
            self.looked_at = time.monotonic()
        return self.known_records

    def nearly_over(self):
        return self.look(0.05) >= self.cases * 0.97

    def until(self, check, what, seconds=LIMIT_S):
        """For generators: the first true value of check."""
        end = time.monotonic() + seconds
        while True:
            value = check()
            if value:
                return value
            if self.coordinator.program.popen.poll() in (0, 3):
                raise TooSoon("the run was over")
            assert time.monotonic() < end, "not within %g s: %s\n%s" % (seconds, what, self.tails())
            yield

    def pause(self, seconds):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            yield

    def ran(self, slot):
        """Executions by the program that has the place now."""
        self.stage.log.read()
        return self.stage.log.workers[slot.program.pid]

    def busy(self, slot):
        """Until its worker is in the midst of cases."""

        def there():
            if self.nearly_over():
                raise TooSoon("the run was nearly over")
            found = self.ran(slot)
            return found and boot_time() - found[-1].time < BUSY_S

        yield from self.until(there, "%s is at work" % slot.name)

    def works_again(self, slot, since, count=HELD):
        """Until it has run more cases since than it can have held; the time when it was so."""
        found = self.ran(slot)
        begin = len(found)
        while begin > 0 and found[begin - 1].time >= since:
            begin -= 1
        yield from self.until(lambda: len(self.ran(slot)) >= begin + count, "%s has settled and fetched again" % slot.name)
        return self.ran(slot)[begin + count - 1].time

    def grows(self, more_than):
        """Until the journal has more cases; the time when it was seen."""
        yield from self.until(lambda: self.look(0.02) > more_than, "the journal grows beyond %d cases" % more_than)
        return boot_time()

    def unrecorded(self):
        """Cases that ran and do not stand in the journal."""
        known = self.look()
        return len({e.case for e in self.stage.log.read() if e.name == "slow"}) - known

    def tails(self):
        return "\n".join("%s: %s" % (s.program.name, s.program.tail()) for s in self.slots if s.program is not None)

    # --- programs ---

    def environment(self, slot):
        env = dict(self.shims, CLOCK_SKEW_FILE=slot.skew_file)
        if slot is self.coordinator:
            env["FULL_WHEN"] = self.full_file
        if self.alone:
            env["FAULTS_DELAY_MS"] = str(self.delay_ms)
        return env

    def config(self, slot):
        config = self.x.queue(max_requeue_attempts=1000)
        return config if slot.link is None else self.broker.through(config, slot.link.port)

    def start_worker(self, slot):
        slot.program = self.stage.worker(self.config(slot), self.delay_ms, environment=self.environment(slot))

    def resume(self):
        """Another coordinator takes the run up."""
        c = self.coordinator
        c.program = self.stage.resume(c.program, self.run_id, self.environment(c))
        self.resumes += 1

    def ended(self):
        """The coordinator is gone of its own accord: the run is over, or has failed."""
        return not self.coordinator.program.running() and not any(f.kind.ends_coordinator for f in self.active)

    def begin(self, delay_ms):
        self.delay_ms = delay_ms
        self.full_file = os.path.join(self.stage.folder, "full")
        self.shims = preloads(self.stage.folder, "clock", "full")
        self.stage.environment["MGUARD_SIGNING_KEY"] = "k1:the-first-secret,k0:an-older-one"
        names = ["the coordinator"] + ([] if self.alone else ["worker %d" % (i + 1) for i in range(WORKERS)])
        self.slots = [Slot(self.stage.folder, n, None if self.alone else self.broker.way(self.proxy, i)) for i, n in enumerate(names)]
        self.coordinator, self.workers = self.slots[0], self.slots[1:]
        for w in self.workers:
            self.start_worker(w)
        more = ["--drain-timeout", "5"] + (["--workers", "2"] if self.alone else [])
        c = self.coordinator
        c.program = self.x.run(self.config(c), self.cases, environment=self.environment(c), more=more)
        self.run_id = self.stage.run_id(c.program, 60)

    def fill_disk(self, full):
        if full:
            open(self.full_file, "w").close()
        elif os.path.exists(self.full_file):
            os.remove(self.full_file)

    def kill_executor(self, slot, executor, implementation):
        """Its case, or the one that it was about to begin, crashes."""
        os.kill(executor, signal.SIGSTOP)
        try:
            mine = [e.case for e in self.ran(slot) if e.pid in (executor, implementation)]
            self.killed_in |= {mine[-1], mine[-1] + 1}
            self.executors_killed += 1
        finally:
            os.kill(executor, signal.SIGKILL)

    def wait_plainly(self, count):
        """Until so many more executions."""
        before = len(self.stage.log.read())
        wait_until(lambda: len(self.stage.log.read()) >= before + count or not self.coordinator.program.running(), LIMIT_S, "work goes on")

    # --- the schedule ---

    def schedule(self):
        """Without an end: every kind once in a random order, then again in another."""
        number = 0
        while True:
            bag = list(self.kinds)
            random.Random("%s/order/%d" % (self.name, number)).shuffle(bag)
            for kind in bag:
                number += 1
                yield Fault(number, kind, "%s/%d" % (self.name, number))

    def play(self, end, most=10 ** 9):
        """Until the run is over; no fault begins after `end` (monotonic) or beyond `most`."""
        upcoming, fault, ready_at, still = self.schedule(), None, time.monotonic() + 0.5, time.monotonic()
        progress = 0
        while self.active or not self.ended():
            now = time.monotonic()
            seen = self.look(0.1) + len(self.stage.log.read())
            if seen > progress or self.active:
                progress, still = seen, now
            assert now - still < LIMIT_S, "the run stands still, undisturbed, for %d s\n%s" % (LIMIT_S, self.tails())
            if fault is None and len(self.faults) < most and now < end:
                fault = next(upcoming)
            taken = [s for f in self.active for s in f.slots]
            if fault is not None and now >= ready_at and len(self.active) < self.at_once and not self.nearly_over() and now < end:
                fault.slots = fault.kind.claims(self, fault)
                if not any(s in taken for s in fault.slots):
                    fault.work = fault.kind.work(self, fault)
                    self.faults.append(fault)
                    self.active.append(fault)
                    ready_at, fault = now + fault.rng.uniform(0.0, 0.6), None
            for f in list(self.active):
                self.step(f)
            time.sleep(0.004)

    def step(self, f):
        try:
            next(f.work)
            return
        except StopIteration:
            pass
        except TooSoon as e:
            f.text = str(e)
        self.active.remove(f)
        what = "counted, %.2f s" % f.recovery_s if f.counted else "not counted"
        where = ", ".join(s.name for s in f.slots) if len(f.slots) < len(self.slots) or self.alone else "all"
        self.say("  %4d %-44s %-16s %s%s" % (f.number, f.kind.name, where, what, " (%s)" % f.text if f.text else ""))

    # --- the end ---

    def check(self):
        """The run came to what it must. Its facts."""
        run = self.coordinator.program
        code = run.wait(LIMIT_S)
        assert code in (0, 3), "the coordinator ended with %d\n%s" % (code, self.tails())
        table = check_counts(self.stage.report(run), run.csv_file, self.cases)
        crashed = {(int(r["case"]), r["role"]) for r in table if r["outcome"] == "crash"}
        assert len(crashed) <= self.executors_killed and {case for case, _ in crashed} <= self.killed_in, (
            "crashed without cause: %r, executors were killed in %r" % (sorted(crashed), sorted(self.killed_in)))
        self.expected.crashed = crashed
        # A case that was killed when it ran once more, as one of the sample or of a task that was delivered twice, differs from the first.
        differs = code == 3 and not any(role == "candidate" for _, role in crashed) and self.executors_killed > 0
        facts = self.x.check(run, self.cases, exit_code=3 if differs else None)
        self.stage.retire()
        return facts

    def close(self):
        for f in self.active:
            f.work.close()
        for s in self.slots if hasattr(self, "slots") else []:
            if s.link is not None:
                s.link.close()
            s.skew.close()


def stop(slot, everything):
    (slot.program.signal_all if everything else slot.program.signal)(signal.SIGSTOP)


def go_on(slot):
    slot.program.signal_all(signal.SIGCONT)
