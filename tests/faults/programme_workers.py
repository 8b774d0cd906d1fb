"""Faults of workers: deaths, stops, drains, and what several runs ask of them."""
import calendar
import os
import shutil
import signal
import time

from brokers import wait_until
from oracle import check_counts, executions
from processes import boot_time, descendants, preloads, wall_offset
from programme import TooSoon, fault

HERE = os.path.dirname(os.path.abspath(__file__))


@fault("plain run on 3 workers")
def plain(x):
    """No fault: the digest of the memory backend, nothing lost, nothing executed or counted twice."""
    cases, queue = x.cases(5000, 20000), x.broker.config()
    workers = x.workers(queue, 3)
    run = x.run(queue, cases)
    facts = x.check(run, cases)
    assert facts.beyond == 0 and facts.requeued == 0 and facts.dropped == 0, "an undisturbed run was disturbed: %s" % facts
    busy = [len(x.stage.log.of_worker(w.pid)) for w in workers]
    assert min(busy) > 0, "a worker had nothing to do: %r" % busy
    return "%s; %s executions by each worker" % (facts, busy)


@fault("SIGKILL of a random worker, again and again")
def killed(x):
    """One a second, where the broker can follow. Each is replaced at once; its tasks run elsewhere."""
    cases, queue = x.cases(2500, 8000), x.queue()
    workers = x.workers(queue, 3, 4)
    run = x.run(queue, cases)
    x.stage.executing(workers[0])
    kills, hit, next_kill = 0, 0, time.monotonic() + x.broker.kill_every_s
    while run.running():
        if time.monotonic() < next_kill:
            time.sleep(0.01)
            continue
        next_kill += x.broker.kill_every_s
        victim = x.rng.choice(workers)
        before = len(x.stage.log.of_worker(victim.pid))
        workers.remove(victim)
        victim.kill()
        kills, hit = kills + 1, hit + (before > 0)
        workers += x.workers(queue, 1, 4)
    facts = x.check(run, cases)
    x.proof(hit >= 3 and (facts.requeued >= 2 or x.broker.redelivers) and facts.beyond > 0, facts)
    return "%d kills, %d of workers that had work; %s" % (kills, hit, facts)


@fault("SIGSTOP longer than the lease, then SIGCONT")
def stopped(x):
    """A late result counts if it is the first, nothing counts twice, no innocent case times out."""
    cases, queue = x.cases(2800, 5000), x.queue(lease_seconds=1.5, heartbeat_timeout=1, heartbeat_interval=0.3)
    workers = x.workers(queue, 3, 8)
    run = x.run(queue, cases, more=["--timeout-ms", "1500"])
    lines = []
    for everything in (True, False) * (2 if x.full else 1):
        victim = x.rng.choice(workers)
        x.at_work(victim)
        stop = victim.signal_all if everything else victim.signal
        stop(signal.SIGSTOP)
        at, known = time.monotonic(), len(run.events("worker_lost"))
        if not run.running():
            raise TooSoon("the run was over before the stop")
        run.wait_event("worker_lost", 10, known)
        wait_until(lambda: time.monotonic() - at > 3, 10, "twice the lease has passed")
        stop = victim.signal_all if everything else victim.signal
        stop(signal.SIGCONT)
        if not run.running():
            raise TooSoon("the run was over before the worker went on")
        recovered = len(run.events("worker_recovered"))
        x.stage.executing(victim, 20)
        lines.append("%s stopped for %.1f s, back at work after %d recoveries" % (
            "all processes" if everything else "the worker alone", time.monotonic() - at, recovered))
    facts = x.check(run, cases)
    x.proof((facts.requeued > 0 or x.broker.redelivers) and facts.beyond > 0, facts)
    for w in workers:
        assert w.running(), "%s ended: %s" % (w.name, w.tail())
    return "%s; %s" % ("; ".join(lines), facts)


@fault("SIGSTOP of the only worker")
def only_stopped(x):
    """Nobody else can run its tasks: when it goes on, its late results are the first and count."""
    cases, queue = x.cases(600, 1500), x.queue(lease_seconds=1.5, heartbeat_timeout=1, heartbeat_interval=0.3)
    worker = x.stage.worker(queue, 5)
    run = x.run(queue, cases, more=["--timeout-ms", "1500"])
    lines = []
    for _ in range(3 if x.full else 1):
        x.at_work(worker)
        worker.signal_all(signal.SIGSTOP)
        at, known = time.monotonic(), len(run.events("worker_lost"))
        if not run.running():
            raise TooSoon("the run was over before the stop")
        run.wait_event("worker_lost", 10, known - 1)
        wait_until(lambda: time.monotonic() - at > 3, 10, "twice the lease has passed")
        worker.signal_all(signal.SIGCONT)
        x.stage.executing(worker)
        lines.append("stopped for %.1f s" % (time.monotonic() - at))
    facts = x.check(run, cases)
    x.proof(facts.requeued > 0, facts)
    assert worker.running()
    return "%s; %s" % ("; ".join(lines), facts)


@fault("a late result of a task that was cut meanwhile")
def cut_meanwhile(x):
    """Its worker stops, the next dies in it, so it is cut; pieces count when the whole comes after all. Each case and label counts once."""
    cases, queue, batch = x.cases(60), x.queue(), 10
    first = x.stage.worker(queue, 300)
    run = x.run(queue, cases, more=["--timeout-ms", "10000"])
    x.stage.executing(first)
    # So far into it that its beats have told of that, and far from its end.
    wait_until(lambda: x.stage.log.of_worker(first.pid)[-1].case % batch in (5, 6), 20, "it is in the middle of a task", 0.001)
    first.signal_all(signal.SIGSTOP)
    task = x.stage.log.of_worker(first.pid)[-1].case // batch

    def in_task(worker, since=0.0):
        return [e for e in x.stage.log.of_worker(worker.pid, since) if e.case // batch == task]

    second = x.stage.worker(queue, 300)
    begun = wait_until(lambda: in_task(second), 30, lambda: "the second worker runs the task of the first: %s" % run.tail())[0]
    wait_until(lambda: in_task(second, begun.time + 1.2), 10, "its beats have told of that")
    second.kill()
    third = x.stage.worker(queue, 300)
    wait_until(lambda: len({e.case for e in in_task(third)}) >= 3, 40, lambda: "the third worker runs pieces of it: %s" % run.tail())
    going = boot_time()
    first.signal_all(signal.SIGCONT)
    wait_until(lambda: in_task(first, going), 10, "the first worker goes on with the task")
    pieces = len({e.case for e in in_task(third)})
    facts = x.check(run, cases)
    assert pieces < batch, "the third worker was through with the task before the first went on"
    sizes = [e["cases"] for e in run.events("queue_dispatched") if e["attempt_count"] > 1]
    assert 1 in sizes, "the task was not cut: %r were sent again" % sizes
    x.proof(facts.requeued >= 2 and facts.beyond > 0, facts)
    return "task %d: %d of its cases ran in pieces when the whole came; %s" % (task, pieces, facts)


@fault("a worker killed on the very last task")
def last_task(x):
    """Nothing else is left to do when it dies."""
    cases, queue = x.cases(60), x.queue()
    workers = x.workers(queue, 2, 30)
    run = x.run(queue, cases)
    hit = wait_until(lambda: [e for e in x.stage.log.read() if e.case >= cases - 10], 30, "the last task begins")[0]
    victim = [w for w in workers if w.pid == hit.worker][0]
    begun = len(x.stage.log.of_worker(victim.pid))
    victim.kill()
    facts = x.check(run, cases)
    x.proof(facts.requeued > 0 and facts.beyond > 0, facts)
    return "killed after %d executions, in case %d of %d; %s" % (begun, hit.case, cases, facts)


@fault("a case that kills its worker's process group each time")
def poison(x):
    """Ends as one dead letter; all other cases are fine, also those of tasks that its worker held beside it and no beat had named."""
    cases, case = x.cases(200), 77
    queue = x.queue(heartbeat_timeout=1, heartbeat_interval=0.3, lease_seconds=2, batch_size=8)
    lines = []
    for after, expected in ((0, "lost"), (0.9, "crash")):
        x.stage.log.forget()
        env = {"FAULTS_POISON": str(case), "FAULTS_POISON_AFTER": str(after)}
        workers, died = x.workers(queue, 2, 2, environment=env, executors=1), 0
        run = x.run(queue, cases)
        end = time.monotonic() + 90
        while run.running():
            assert time.monotonic() < end, "the run with the poison case does not end: %s" % run.tail()
            for w in [w for w in workers if not w.running()]:
                died += 1
                workers.remove(w)
                workers += x.workers(queue, 1, 2, environment=env, executors=1)
            time.sleep(0.02)
        code = run.wait(5)
        report = x.stage.report(run)
        _, _, reference, _ = x.references.get(cases, x.run_seed)
        table = check_counts(report, run.csv_file, cases)
        mine = {(r["case"], r["role"]): (r["outcome"], r["failed"]) for r in table}
        others = {(r["case"], r["role"]): (r["outcome"], r["failed"]) for r in reference}
        different = [k for k in others if mine[k] != others[k]]
        got = mine[(str(case), "candidate")][0]
        assert {int(k[0]) for k in different} == {case}, "cases that came out differently: %r\n%s" % (different, run.tail(30))
        assert got in ("lost", "crash"), "the poison case came out as %s" % got
        if expected == "crash":
            assert got == "crash", "the beats named the case each time, but it counts as %s\n%s" % (got, run.tail(30))
        assert report["delivery"]["dead_lettered"] == 1, "%d dead letters, expected 1" % report["delivery"]["dead_lettered"]
        assert code == (1 if got == "crash" else 3), "exit code %d with outcome %s" % (code, got)
        assert died >= 2 and report["delivery"]["requeued"] >= 1, "%d workers died, %d requeues" % (died, report["delivery"]["requeued"])
        lines.append("killing after %g s: %d workers died, case %d %s, 1 dead letter, %d requeued, exit code %d" % (
            after, died, case, got, report["delivery"]["requeued"], code))
        for w in workers:
            w.kill()
    return "; ".join(lines)


@fault("SIGTERM at random moments")
def drained(x):
    """No task is lost, the worker leaves with 0, executions equal cases; most are hit in mid-task."""
    wanted = 200 if x.full else 20
    delay, queue = 4, x.queue(lease_seconds=20, heartbeat_timeout=10, heartbeat_interval=1)
    cases = x.cases(1500, 20000)
    workers = x.workers(queue, 3, delay)
    run = x.run(queue, cases)
    x.stage.executing(workers[0])
    terms = busy = 0
    slowest = 0.0
    while terms < wanted and run.running():
        victim = workers.pop(0)
        seen = x.stage.executing(victim, 30, 0)
        moment = boot_time() + x.rng.uniform(0, 0.05)
        while boot_time() < moment:
            time.sleep(0.001)
        at = boot_time()
        victim.signal(signal.SIGTERM)
        workers += x.workers(queue, 1, delay, executors=x.rng.choice((1, 2)))
        code = victim.wait(30)
        slowest = max(slowest, boot_time() - at)
        assert code == 0, "%s left with %d after SIGTERM: %s" % (victim.name, code, victim.tail())
        terms += 1
        # An execution that began just before the signal, or any after it: it was in mid-task.
        busy += bool(x.stage.log.of_worker(victim.pid, at - delay / 1000))
        assert seen
    if terms < wanted:
        raise TooSoon("the run was over after %d signals" % terms)
    facts = x.check(run, cases, 240)
    assert facts.beyond == 0, "%d executions too many: a drain made work run twice (%s)\n%s" % (facts.beyond, facts, run.tail())
    assert facts.requeued == 0 and facts.dropped == 0, "a drain counted as a loss: %s\n%s" % (facts, run.tail(30))
    assert busy >= terms * x.broker.busy_share, "only %d of %d signals came in mid-task" % (busy, terms)
    return "%d signals, %d in mid-task, exit code 0 each time, the slowest left after %.1f s; %s" % (terms, busy, slowest, facts)


@fault("loss is noticed in time, tasks run elsewhere within 1 s", alone=True)
def noticed(x):
    """Within heartbeat_timeout + heartbeat_check_interval of the death, by the logs; then by the execution log."""
    timeout, check, batch = 2.0, 0.5, 10
    queue = x.queue(lease_seconds=30, heartbeat_timeout=timeout, heartbeat_interval=0.5, heartbeat_check_interval=check,
                    circuit_breaker_threshold=100, batch_size=batch)
    cases = x.cases(1500, 4000)
    workers = x.workers(queue, 3, 8)
    run = x.run(queue, cases)
    offset, lines = wall_offset(), []
    for _ in range(3 if x.full else 1):
        victim = workers.pop(0)
        x.at_work(victim)
        victim.kill()
        dead = boot_time()
        event = run.wait_event("heartbeat_timeout", timeout + check + 10, words=victim.name)
        seen = event_time(event) - offset
        at_case = x.stage.log.of_worker(victim.pid)[-1].case
        first = at_case - at_case % batch
        again = wait_until(lambda: [e for e in x.stage.log.read() if first <= e.case < first + batch and e.worker != victim.pid],
                           15, "the task of case %d runs elsewhere" % at_case)[0]
        assert seen - dead <= timeout + check, "noticed after %.2f s, allowed are %g + %g" % (seen - dead, timeout, check)
        assert again.time - seen <= 1.0, "ran elsewhere %.2f s after it was noticed" % (again.time - seen)
        lines.append("noticed after %.2f s (%g + %g allowed), ran elsewhere %.2f s later" % (seen - dead, timeout, check, again.time - seen))
        workers += x.workers(queue, 1, 8)
    facts = x.check(run, cases)
    x.proof(facts.requeued > 0, facts)
    return "%s; %s" % ("; ".join(lines), facts)


def event_time(event):
    """Seconds since 1970 of a line of a log."""
    whole, part = event["time"].rstrip("Z").split(".")
    return calendar.timegm(time.strptime(whole, "%Y-%m-%dT%H:%M:%S")) + int(part) / 1000


@fault("wall clocks 60 s apart")
def clocks(x):
    """One worker is 60 s ahead, one 60 s behind; a third dies. No lease or beat is judged by them."""
    cases, queue, shim = x.cases(900, 3000), x.queue(), preloads(x.stage.folder, "clock")
    skewed = [x.stage.worker(queue, 6, environment=dict(shim, CLOCK_SKEW_S=str(skew))) for skew in (60, -60)]
    third = x.stage.worker(queue, 6)
    run = x.run(queue, cases)
    for w, skew in zip(skewed, (60, -60)):
        off = event_time(w.wait_event("worker_ready", 20)) - time.time()
        assert abs(off - skew) < 20, "the clock of %s is off by %.0f s, not by %d: the shim does not work" % (w.name, off, skew)
        x.stage.executing(w)
    time_free = len(run.events("heartbeat_timeout", "queue_requeued"))
    assert time_free == 0, "a worker with another clock was taken for lost: %s" % run.tail()
    x.at_work(third)
    third.kill()
    facts = x.check(run, cases)
    x.proof(facts.requeued > 0 or (x.broker.redelivers and facts.beyond > 0), facts)
    lost = run.events("worker_lost")
    assert len(lost) == 1 and third.name in lost[0]["text"], "lost: %r" % [e["text"] for e in lost]
    return "workers at +60 s and -60 s, the third was killed; %s" % facts


@fault("a worker with other files")
def other_files(x):
    """It refuses with both hashes and the run goes on elsewhere; with no able worker the run ends as invalid."""
    copy = os.path.join(x.stage.folder, "other")
    shutil.copytree(os.path.join(HERE, "fixture"), copy, ignore=shutil.ignore_patterns("__pycache__"))
    with open(os.path.join(copy, "checks.lua"), "a") as f:
        f.write("-- another file\n")
    cases, queue = x.cases(600), x.queue()
    other = x.stage.worker(queue, 3, script=os.path.join(copy, "checks.lua"))
    other.wait_event("worker_ready", 20)
    run = x.run(queue, cases)
    note = run.wait_event("worker_refused", 20)["text"]
    able = x.stage.worker(queue, 3)
    begin = x.stage.executing(able).time
    facts = x.check(run, cases)
    ours = facts.report["fingerprint"]
    assert ours in note and other.name in note, "the note lacks the run's hash or the worker: %s" % note
    hashes = [w.strip("(),") for w in note.split() if len(w.strip("(),")) == 64]
    assert len(set(hashes)) == 2, "the note lacks one of the hashes: %s" % note
    assert not x.stage.log.of_worker(other.pid), "the worker with other files executed cases"
    assert facts.beyond == 0 and other.running() and able.running(), "%s" % facts
    held_up = max(e.time for e in x.stage.log.of_worker(able.pid)) - begin - cases * 0.005
    assert held_up < x.broker.held_up_s, "the refusals held up the run for %.1f s: %s" % (held_up, facts)
    able.kill()
    lines = []
    for key, seconds, words in (("global_timeout", 3, "global_timeout"), ("no_worker_seconds", 3, other.name)):
        alone = x.run(dict(queue, **{key: seconds}), cases)
        code = alone.wait(30)
        assert code == 3, "%s: exit code %d: %s" % (key, code, alone.tail())
        report = x.stage.report(alone)
        assert report["verdict"] == "invalid", report["verdict"]
        assert report["outcomes"]["candidate"]["unrun"] == cases, "cases ran on a worker with other files"
        assert any(words in r for r in report["reasons"]), "%s: the reasons do not say why: %r" % (key, report["reasons"])
        assert any(other.name in n for n in report["notes"]), "the report does not name the worker that refused: %r" % report["notes"]
        x.no_residue(alone)
        lines.append("%s: exit code %d, %s" % (key, code, report["reasons"][0]))
    return "refused: \"%s\"; %s; alone, %s" % (note[:160], facts, "; ".join(lines))


@fault("spawn_local_workers")
def spawned(x):
    """The run starts workers of its own over the queue, and leaves none behind."""
    cases, queue = x.cases(400, 2000), x.queue(spawn_local_workers=2)
    run = x.run(queue, cases, environment={"FAULTS_DELAY_MS": "3"})
    both = wait_until(lambda: {e.worker for e in x.stage.log.read()} if len({e.worker for e in x.stage.log.read()}) == 2 else None, 30,
                      lambda: "two local workers run cases; %s" % run.tail())
    children = descendants(run.pid)
    victim = sorted(both)[0]
    assert victim in children, "worker %d is no child of the run" % victim
    os.kill(victim, signal.SIGKILL)
    facts = x.check(run, cases)
    left = [p for p in children if os.path.exists("/proc/%d" % p)]
    assert not left, "processes left behind: %r" % left
    x.proof(facts.requeued > 0 or (x.broker.redelivers and facts.beyond > 0), facts)
    return "2 local workers, one killed, none left; %s" % facts


@fault("several runs at once, served fairly by shared workers")
def several(x):
    """Three runs over one queue and two workers: each gets its share, each comes out as alone."""
    cases, queue = x.cases(500, 1500), x.queue()
    x.workers(queue, 2, 3)
    names = ("slow", "slow_b", "slow_c")
    runs = [x.run(queue, cases, more=["--candidate", n]) for n in names]
    done = {n: 0 for n in names}

    def one_half():
        for n in names:
            done[n] = len({e.case for e in x.stage.log.read() if e.name == n})
        return max(done.values()) >= cases // 2

    wait_until(one_half, 60, "one of the runs is half done")
    shares = dict(done)
    if x.broker.chooses:
        assert min(shares.values()) >= max(shares.values()) // 2, "unfair: %r" % shares
    _, digest, _, _ = x.references.get(cases, x.run_seed)
    for n, run in zip(names, runs):
        code = run.wait(120)
        report = x.stage.report(run)
        check_counts(report, run.csv_file, cases)
        assert code == 0 and report["outcome_digest"] == digest, "%s: exit code %d, digest %s" % (n, code, report["outcome_digest"])
        assert report["delivery"]["requeued"] == 0 and report["delivery"]["repeats_dropped"] == 0, "%s: %r" % (n, report["delivery"])
        _, missing, beyond = executions(x.stage.log, cases, (n,))
        assert missing == 0 and beyond == 0, "%s: %d executions missing, %d too many" % (n, missing, beyond)
    total = executions(x.stage.log, cases, ("quick",))[0]
    assert total == 3 * (cases + min(20, cases)), "the baseline ran %d times in three runs of %d" % (total, cases)
    return "3 runs of %d cases; when the first was half done they had %r; 3 digests as alone" % (cases, sorted(shares.values()))


