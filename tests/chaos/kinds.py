"""The faults. Each is a generator over a Round; it strikes when its victim is at work, undoes what it did, and waits until the victim works
again. It counts (Fault.hit) only where something that knows nothing of the engine's own words shows that work in flight was met: the
log of executions, what the proxy holds, the journal's count.
"""
import signal

from brokers import Broker, Unsupported
from processes import TooSoon, boot_time, descendants
from rounds import SURE_S, go_on, stop

KINDS = []


class Kind:
    """victim: worker, coordinator, or all. method: of the broker, which must have it. ends_coordinator: it is gone for a while."""

    def __init__(self, name, work, victim, method, ends_coordinator, link, crashes):
        self.name, self.work, self.victim, self.method = name, work, victim, method
        self.ends_coordinator, self.link, self.crashes = ends_coordinator, link, crashes

    def claims(self, r, f):
        if r.alone or self.victim == "coordinator":
            return [r.coordinator]
        return list(r.slots) if self.victim == "all" else [r.workers[f.worker]]

    def fits(self, broker, crashes):
        if self.crashes and not crashes:
            return False
        if broker.name == "memory":
            return not self.link and self.method is None and (self.victim == "coordinator" or self.crashes)
        return self.method is None or getattr(type(broker), self.method) is not getattr(Broker, self.method)


def kind(name, victim, method=None, ends_coordinator=False, link=False, crashes=False):
    def take(function):
        KINDS.append(Kind(name, function, victim, method, ends_coordinator, link, crashes))
        return function

    return take


def of(broker, crashes):
    return [k for k in KINDS if k.fits(broker, crashes)]


# --- processes ---


@kind("SIGKILL of a worker", "worker")
def worker_killed(r, f):
    """Alone or with all its processes. The case that it was in runs again elsewhere."""
    slot = f.slots[0]
    yield from r.busy(slot)
    at, victim = boot_time(), slot.program
    victim.signal_all(signal.SIGKILL) if f.rng.random() < 0.5 else victim.kill()
    victim.popen.wait(20)
    last = r.ran(slot)[-1]
    yield from r.pause(f.rng.choice((0, 0, 0.5, 2)))
    r.start_worker(slot)

    def again():
        return [e for e in r.stage.log.read()[-3000:] if e.case == last.case and e.worker != victim.pid and e.time >= at]

    end = at + SURE_S
    found = yield from r.until(lambda: again() or boot_time() > end, "another runs case %d" % last.case)
    if found is True:
        raise TooSoon("its last case, %d, was through" % last.case)
    f.hit(at, found[0].time, "case %d" % last.case)


@kind("SIGTERM of a worker", "worker")
def worker_terminated(r, f):
    """It finishes what it holds and leaves with 0; another takes its place."""
    slot = f.slots[0]
    yield from r.busy(slot)
    at, victim = boot_time(), slot.program
    victim.signal(signal.SIGTERM)
    yield from r.until(lambda: not victim.running(), "%s leaves after SIGTERM" % victim.name)
    assert victim.popen.returncode == 0, "%s left with %d after SIGTERM: %s" % (victim.name, victim.popen.returncode, victim.tail())
    after = [e for e in r.ran(slot) if e.time >= at]
    left = boot_time()
    r.start_worker(slot)
    back = yield from r.works_again(slot, left, 1)
    if not after:
        raise TooSoon("it had nothing to finish")
    f.hit(left, back, "finished %d executions" % len(after))


@kind("SIGSTOP of a worker", "worker")
def worker_stopped(r, f):
    """For shorter or longer than it takes to be given up."""
    slot, seconds = f.slots[0], f.rng.uniform(0.3, 5)
    yield from r.busy(slot)
    everything = f.rng.random() < 0.7
    try:
        stop(slot, everything)
        at = boot_time()
        yield from r.pause(seconds)
        ran = [e for e in r.ran(slot) if e.time > at + 0.1]
    finally:
        go_on(slot)
    lifted = boot_time()
    back = yield from r.works_again(slot, lifted)
    if everything and ran:
        raise TooSoon("it ran while it was stopped")
    f.hit(lifted, back, "%.1f s" % (lifted - at))


@kind("SIGKILL of an executor", "worker", crashes=True)
def executor_killed(r, f):
    """The case that it ran has crashed; no other is touched."""
    slot = f.slots[0]
    yield from r.busy(slot)
    if r.look() > r.cases * 0.9:
        raise TooSoon("the run was nearly over")  # a second run of a crashed case must not meet another kill
    candidates = {e.pid for e in r.ran(slot)[-4:] if e.name == "slow"}
    if not candidates:
        raise TooSoon("it ran no candidate")
    own = f.rng.choice(sorted(candidates))
    parents = [p for p in descendants(slot.program.pid) if own in descendants(p)]
    if not parents:
        raise TooSoon("its executor had ended")
    victim = parents[-1]
    try:
        r.kill_executor(slot, victim, own)
    except ProcessLookupError:
        raise TooSoon("its executor had ended") from None
    at = boot_time()
    back = yield from r.works_again(slot, at)
    f.hit(at, back)


@kind("SIGKILL of the coordinator", "coordinator", ends_coordinator=True)
def coordinator_killed(r, f):
    """Resumed at once or after a while; now and then killed again while it resumes."""
    c = f.slots[0]
    yield from at_work(r)
    c.program.kill()
    if c.program.popen.returncode != -signal.SIGKILL:
        raise TooSoon("the run was over")
    open_cases = r.unrecorded()
    yield from r.pause(f.rng.choice((0, 0, 0.5, 2.5)))
    times = f.rng.choice((0, 0, 1, 2))
    for _ in range(times):
        r.resume()
        yield from r.pause(f.rng.uniform(0, 0.4))
        c.program.kill()
    yield from resumed(r, f, open_cases, "%d cases open%s" % (open_cases, ", %d times more while it resumed" % times if times else ""))


@kind("SIGTERM of the coordinator", "coordinator", ends_coordinator=True)
def coordinator_terminated(r, f):
    """It collects what is in flight, and is resumed."""
    c = f.slots[0]
    yield from at_work(r)
    open_cases = r.unrecorded()
    c.program.signal(signal.SIGTERM if f.rng.random() < 0.5 else signal.SIGINT)
    yield from r.until(lambda: not c.program.running(), "the coordinator ends after SIGTERM")
    if c.program.popen.returncode in (0, 3):
        raise TooSoon("the run was over")
    assert c.program.popen.returncode == 130, "the coordinator left with %d: %s" % (c.program.popen.returncode, c.program.tail())
    yield from r.pause(f.rng.choice((0, 0.5)))
    yield from resumed(r, f, open_cases, "%d cases open" % open_cases)


@kind("SIGSTOP of the coordinator", "coordinator")
def coordinator_stopped(r, f):
    c, seconds = f.slots[0], f.rng.uniform(0.3, 5)
    yield from at_work(r)
    try:
        stop(c, r.alone)
        at, open_cases = boot_time(), r.unrecorded()
        yield from r.pause(seconds)
        known = r.look()
    finally:
        go_on(c)
    lifted = boot_time()
    back = yield from r.grows(known)
    if open_cases <= 0:
        raise TooSoon("nothing was in flight")
    f.hit(lifted, back, "%.1f s, %d cases open" % (lifted - at, open_cases))


@kind("SIGKILL of coordinator and workers together", "all", ends_coordinator=True)
def all_killed(r, f):
    """As when the power of every machine but the broker's fails."""
    yield from at_work(r)
    for s in f.slots:
        s.program.signal_all(signal.SIGKILL)
    for s in f.slots:
        s.program.popen.wait(20)
    if r.coordinator.program.popen.returncode != -signal.SIGKILL:
        raise TooSoon("the run was over")
    open_cases = r.unrecorded()
    yield from r.pause(f.rng.choice((0, 1)))
    for w in r.workers:
        r.start_worker(w)
    yield from resumed(r, f, open_cases, "%d cases open" % open_cases)


@kind("disk of the journal full", "coordinator", ends_coordinator=True)
def disk_full(r, f):
    """The run ends with 5 and says why; with room again it is resumed."""
    c = f.slots[0]
    yield from at_work(r)
    open_cases = r.unrecorded()
    r.fill_disk(True)
    try:
        yield from r.until(lambda: not c.program.running(), "the coordinator ends when the disk is full")
        if c.program.popen.returncode in (0, 3):
            raise TooSoon("the run was over")
        assert c.program.popen.returncode == 5 and "disk is full" in c.program.said(), "exit code %d on a full disk: %s" % (
            c.program.popen.returncode, c.program.tail())
        yield from r.pause(f.rng.choice((0, 1)))
    finally:
        r.fill_disk(False)
    yield from resumed(r, f, open_cases, "%d cases open" % open_cases)


def at_work(r):
    """Until cases are under way that the journal does not have."""
    if r.alone:
        yield from r.busy(r.coordinator)
    else:
        def there():
            return any(r.ran(w) and boot_time() - r.ran(w)[-1].time < 0.1 for w in r.workers)

        yield from r.until(there, "a worker is at work")
    if r.nearly_over():
        raise TooSoon("the run was nearly over")


def resumed(r, f, open_cases, text):
    known = r.look()
    at = boot_time()
    r.resume()
    back = yield from r.grows(known)
    if open_cases <= 0:
        raise TooSoon("nothing was in flight")
    f.hit(at, back, text)


# --- clocks ---


def clock_jumps(r, f):
    slot = f.slots[0]
    yield from (r.busy(slot) if slot in r.workers or r.alone else at_work(r))
    seconds = f.rng.choice((-86400, -3600, -7, 7, 3600, 86400))
    slot.jump(seconds)
    at, reads, known = boot_time(), slot.clock_reads(), r.look()
    if slot in r.workers:
        back = yield from r.works_again(slot, at)
    else:
        back = yield from r.grows(known)
    read_by = boot_time() + 5
    yield from r.until(lambda: slot.clock_reads() > reads or boot_time() > read_by, "%s reads its clock" % slot.name)
    if slot.clock_reads() == reads:
        raise TooSoon("it did not read its clock")
    f.hit(at, back, "%+d s" % seconds)


kind("wall clock of a worker jumps", "worker")(clock_jumps)
kind("wall clock of the coordinator jumps", "coordinator")(clock_jumps)


# --- the way to the broker ---


def strikes(r, f):
    """Until the victim is at work."""
    slot = f.slots[0]
    yield from (r.busy(slot) if slot in r.workers else at_work(r))
    return slot


def recovers(r, f, slot, since, known, text):
    if slot in r.workers:
        back = yield from r.works_again(slot, since)
    else:
        back = yield from r.grows(known)
    f.hit(since, back, text)


def connects_again(r, slots, accepted):
    """What the journal has then; results that had come before the fault are not taken for recovery."""
    for s, before in zip(slots, accepted):
        yield from r.until(lambda s=s, before=before: s.link.accepted > before, "%s connects again" % s.name)
    return r.look()


def reset(r, f):
    slot = yield from strikes(r, f)
    at, accepted = boot_time(), slot.link.accepted
    met = slot.link.reset()
    if met == 0:
        raise TooSoon("it had no connection")
    known = yield from connects_again(r, [slot], [accepted])
    yield from recovers(r, f, slot, at, known, "%d connections" % met)


def half_open(r, f):
    """The broker closes and the program is not told, or the other way round."""
    slot = yield from strikes(r, f)
    broker_knows = f.rng.random() < 0.5
    at, accepted = boot_time(), slot.link.accepted
    met = slot.link.half_open(broker_knows)
    if met == 0:
        raise TooSoon("it had no connection")
    known = yield from connects_again(r, [slot], [accepted])
    yield from recovers(r, f, slot, at, known, "%d connections, %s" % (met, "unknown to the program" if broker_knows else "unknown to the broker"))


def blackhole(r, f):
    slot = yield from strikes(r, f)
    try:
        met = slot.link.disturb(blackhole=True)
        at = boot_time()
        yield from r.pause(f.rng.uniform(0.3, 6))
        held, known = slot.link.held(), r.look()
    finally:
        slot.link.clear()
    lifted = boot_time()
    if met == 0 or held == 0:
        raise TooSoon("%d connections, %d bytes held" % (met, held))
    yield from recovers(r, f, slot, lifted, known, "%.1f s, %d bytes held" % (lifted - at, held))


def slowed(r, f, text, **how):
    slot = yield from strikes(r, f)
    try:
        before = slot.link.bytes
        met = slot.link.disturb(**how)
        yield from r.pause(f.rng.uniform(1, 3))
        passed, known = slot.link.bytes - before, r.look()
    finally:
        slot.link.clear()
    if met == 0 or passed == 0:
        raise TooSoon("%d connections, %d bytes" % (met, passed))
    yield from recovers(r, f, slot, boot_time(), known, text)


def latency(r, f):
    seconds = f.rng.uniform(0.02, 0.4)
    yield from slowed(r, f, "%.0f ms each way" % (seconds * 1000), delay_s=seconds)


def bandwidth(r, f):
    rate = f.rng.choice((500, 2000, 10000))
    yield from slowed(r, f, "%d bytes/s" % rate, bytes_a_second=rate)


for _victim, _name in (("worker", "a worker"), ("coordinator", "the coordinator")):
    for _what, _work in (("connections of %s reset", reset), ("connections of %s half open", half_open), ("no bytes from or to %s", blackhole),
                         ("latency on the way of %s", latency), ("little bandwidth for %s", bandwidth)):
        kind(_what % _name, _victim, link=True)(_work)


# --- the broker ---


@kind("broker stopped and started again", "all", "stop", link=True)
def broker_restarted(r, f):
    harsh = f.rng.choice(r.broker.restarts)
    yield from at_work(r)
    met, accepted = [s.link.connected() for s in r.slots], [s.link.accepted for s in r.slots]
    (r.broker.kill if harsh else r.broker.stop)()
    try:
        open_cases = r.unrecorded()
        yield from r.pause(f.rng.choice((0, 0.5, 2)))
    finally:
        r.broker.again()
    at = boot_time()
    known = yield from connects_again(r, r.slots, accepted)
    back = yield from r.grows(known)
    if min(met) == 0 or open_cases <= 0:
        raise TooSoon("%r connections, %d cases open" % (met, open_cases))
    f.hit(at, back, "%s, %d cases open" % ("killed" if harsh else "stopped", open_cases))


@kind("every connection reset at once", "all", link=True)
def all_reset(r, f):
    yield from at_work(r)
    at, open_cases, accepted = boot_time(), r.unrecorded(), [s.link.accepted for s in r.slots]
    met = [s.link.reset() for s in r.slots]
    known = yield from connects_again(r, r.slots, accepted)
    back = yield from r.grows(known)
    if min(met) == 0 or open_cases <= 0:
        raise TooSoon("%r connections, %d cases open" % (met, open_cases))
    f.hit(at, back, "%d connections" % sum(met))


@kind("results delivered twice", "coordinator", "repeat_results")
def repeated(r, f):
    c = f.slots[0]
    yield from at_work(r)
    try:
        stop(c, False)
        mark, known = r.broker.results_mark(r.run_id), r.look()
        yield from r.until(lambda: r.broker.results_after(r.run_id, mark) > 0, "results wait for the coordinator")
        copies = r.broker.repeat_results(r.run_id, mark)
    finally:
        go_on(c)
    lifted = boot_time()
    back = yield from r.grows(known)
    f.hit(lifted, back, "%d copies" % copies)


@kind("garbage on every key", "all", "spoil")
def garbage(r, f):
    yield from at_work(r)
    spoilt = yield from r.until(lambda: r.broker.spoil(r.run_id, f.rng), "messages to be spoilt")
    at, known = boot_time(), r.look()
    back = yield from r.grows(known)
    f.hit(at, back, "%d messages" % sum(spoilt[1].values()))


@kind("acknowledged writes lost", "all", "lose_writes")
def rolled_back(r, f):
    yield from at_work(r)
    r.broker.lose_writes(lambda: None if r.nearly_over() else r.wait_plainly(150))
    at, known, open_cases = boot_time(), r.look(), r.unrecorded()
    back = yield from r.grows(known)
    if open_cases <= 0:
        raise TooSoon("nothing was in flight")
    f.hit(at, back, "%d cases open" % open_cases)


@kind("a key evicted", "all", "evict")
def evicted(r, f):
    yield from at_work(r)
    gone = r.broker.evict(f.rng)
    at, known = boot_time(), r.look()
    back = yield from r.grows(known)
    if not gone:
        raise TooSoon("there was no key")
    f.hit(at, back, gone[0].rsplit("}:", 1)[-1].split(":")[0])


@kind("the queue deleted", "all", "delete_queue")
def queue_deleted(r, f):
    yield from at_work(r)
    try:
        there = r.broker.delete_queue()
    except (OSError, Unsupported) as e:
        raise TooSoon("the queue could not be deleted: %s" % e) from None
    if not there:
        raise TooSoon("the queue was not made again yet")
    at, known, open_cases = boot_time(), r.look(), r.unrecorded()
    back = yield from r.grows(known)
    if open_cases <= 0:
        raise TooSoon("nothing was in flight")
    f.hit(at, back, "%d cases open" % open_cases)
