"""Faults of the broker and of the way to it."""
import json
import signal
import subprocess
import time

from brokers import wait_until
from programme import TooSoon, fault


@fault("the broker restarts in mid-run")
def restarted(x):
    """Once by SIGTERM, once by SIGKILL; nothing that it had acknowledged is gone (its log is on)."""
    cases, queue = x.cases(1500, 5000), x.queue()
    workers = x.workers(queue, 3, 6)
    run = x.run(queue, cases)
    lines, heard = [], 0
    for harsh in x.broker.restarts * (2 if x.full else 1):
        wait_until(lambda: time.monotonic() > heard + 1.2, 5, "a second has passed: the log tells the same event once a second")
        x.stage.executing(workers[0])
        if not run.running():
            raise TooSoon("the run was over before the restart")
        at, lost, known = time.monotonic(), len(run.events("broker_lost")), len(run.events("broker_connected"))
        (x.broker.kill if harsh else x.broker.stop)()
        run.wait_event("broker_lost", 20, lost)
        heard = time.monotonic()
        x.broker.again()
        run.wait_event("broker_connected", 30, known)
        lines.append("%s, back after %.1f s" % ("killed" if harsh else "stopped", time.monotonic() - at))
        x.stage.executing(workers[0])
    facts = x.check(run, cases)
    x.proof(facts.reconnects >= len(lines), facts)
    assert facts.report["outcomes"]["candidate"]["lost"] == 0
    for w in workers:
        assert w.running(), "%s did not live through the restart: %s" % (w.name, w.tail())
    return "%s; %s" % ("; ".join(lines), facts)


@fault("every connection reset three times within 3 s")
def reset(x):
    """Progress resumes, not only the connection."""
    cases, queue = x.cases(1500, 5000), x.queue()
    workers = x.workers(queue, 3, 6)
    run = x.run(queue, cases)
    for w in workers:
        x.stage.executing(w)
    hit, begin = [], time.monotonic()
    for i in range(3):
        wait_until(lambda: time.monotonic() - begin >= i, 5, "the next second")
        hit.append(x.broker.reset_connections())
    took, at, before, after = time.monotonic() - begin, time.monotonic(), len(x.stage.log.read()), {}
    done = {w.name: len(x.stage.log.of_worker(w.pid)) for w in workers}
    for w in workers:
        # More than it can have held, two tasks of 10 cases and both roles: it has settled and fetched.
        wait_until(lambda: len(x.stage.log.of_worker(w.pid)) > done[w.name] + 50 or not run.running(), 15,
                   lambda: "%s goes on after the resets: %s" % (w.name, w.tail()))
        after[w.name] = time.monotonic() - at
    if not run.running():
        raise TooSoon("the run was over before the resets")
    assert len(x.stage.log.read()) > before
    facts = x.check(run, cases)
    x.proof(facts.reconnects >= 2 or (x.broker.connectionless and min(hit) > 0), facts)
    return "%r connections reset in %.1f s, every worker had settled and fetched again after %.1f s; %s" % (hit, took, max(after.values()), facts)


def halt(x, run, name):
    """Stops the coordinator, and waits for results that it cannot have read. Gives the place they came after."""
    run.signal(signal.SIGSTOP)
    mark = x.broker.results_mark(name)
    if not run.running():
        raise TooSoon("the run was over before its coordinator was stopped")
    wait_until(lambda: x.broker.results_after(name, mark) > 0, 20, "results wait for the coordinator")
    return mark


@fault("the result of one task removed from the broker by hand")
def result_removed(x):
    """The broker no longer has the task: it is sent again."""
    cases, queue = x.cases(600, 2000), x.queue(lease_seconds=2, heartbeat_timeout=1.5)
    x.workers(queue, 2, 4)
    run = x.run(queue, cases)
    name = x.stage.run_id(run)
    wait_until(lambda: len(x.stage.log.read()) > 60, 20, "work goes on")
    mark = halt(x, run, name)
    removed = x.broker.remove_result(name, mark)
    run.signal(signal.SIGCONT)
    assert removed == 1
    facts = x.check(run, cases)
    assert facts.requeued >= 1 and facts.beyond > 0, "the removed result is not missed: %s\n%s" % (facts, run.tail())
    why = run.events("queue_requeued")[-1]["text"]
    return "\"%s\"; %s" % (why, facts)


@fault("results delivered twice")
def repeated(x):
    """The second is dropped and counted as such."""
    cases, queue = x.cases(600, 2000), x.queue()
    x.workers(queue, 2, 4)
    run = x.run(queue, cases)
    name = x.stage.run_id(run)
    wait_until(lambda: len(x.stage.log.read()) > 60, 20, "work goes on")
    copies = 0
    for _ in range(3):
        mark = halt(x, run, name)
        copies += x.broker.repeat_results(name, mark)
        run.signal(signal.SIGCONT)
        ran = len(x.stage.log.read())
        wait_until(lambda: len(x.stage.log.read()) > ran + 60 or not run.running(), 20, "the coordinator takes the results")
    facts = x.check(run, cases)
    assert facts.dropped == copies, "%d results were delivered twice, %d repeats dropped: %s" % (copies, facts.dropped, facts)
    assert facts.beyond == 0, "%s %s" % (facts, [e["text"] for e in run.events("queue_requeued")])
    return "%d copies; %s" % (copies, facts)


@fault("the lease of one task deleted by hand")
def lease_deleted(x):
    """While its worker lives: its result counts. With its holder, and the worker killed: the task is found missing and sent again."""
    cases, queue = x.cases(900, 2500), x.queue(lease_seconds=2, heartbeat_timeout=1.5)
    workers = x.workers(queue, 3, 6)
    run = x.run(queue, cases)
    name, gone = x.stage.run_id(run), []
    for victim, holder_too, dies in ((workers[0], False, False), (workers[1], True, False), (workers[2], True, True)):
        x.stage.executing(victim)
        victim.signal_all(signal.SIGSTOP)
        gone.append(x.broker.remove_leases(name, victim.name, holder_too))
        if dies:
            victim.kill()
        else:
            victim.signal_all(signal.SIGCONT)
        if gone[-1] == 0 or not run.running():
            raise TooSoon("no lease was there to be deleted")
    facts = x.check(run, cases)
    x.proof(facts.requeued > 0, facts)
    return "%r leases deleted; %s; last requeue: \"%s\"" % (gone, facts, run.events("queue_requeued")[-1]["text"])


@fault("the broker is full")
def full(x):
    """The message names the cause, the run pauses and goes on when there is room; nothing is lost."""
    cases, queue = x.cases(900, 2500), x.queue()
    workers = x.workers(queue, 2, 4)
    run = x.run(queue, cases)
    x.stage.executing(workers[0])
    x.broker.fill(True)
    named = {"broker_refused": run, "broker_trouble": workers[0]}

    def heard():
        return [e["text"] for name, p in named.items() for e in p.events(name)]

    said = wait_until(heard, 20, lambda: "coordinator or worker say why they wait: %s %s" % (run.tail(), workers[0].tail()))[0]
    for word in x.broker.full_words:
        assert word in said, "the message does not name the cause: %s" % said
    if not run.running():
        raise TooSoon("the run was over when the broker was full")
    before = len(x.stage.log.read())
    time_out = time.monotonic() + 1.5
    wait_until(lambda: time.monotonic() > time_out, 5, "the run has paused for a while")
    assert run.running(), "the run ended while the broker was full: %s" % run.tail()
    x.broker.fill(False)
    wait_until(lambda: len(x.stage.log.read()) > before + 20, 20, "work goes on when there is room")
    facts = x.check(run, cases)
    assert facts.beyond == 0, "%s %s" % (facts, [e["text"] for e in run.events("queue_requeued")])
    return "\"%s\"; %s" % (said, facts)


@fault("the queue is deleted in mid-run")
def queue_deleted(x):
    """It is made again, and what waited there is found missing and sent again."""
    cases, queue = x.cases(900, 2500), x.queue(lease_seconds=2, heartbeat_timeout=1.5, inflight_factor=20)
    workers = x.workers(queue, 3, 6)
    run = x.run(queue, cases)
    for w in workers:
        x.stage.executing(w)
    for _ in range(3 if x.full else 1):
        wait_until(lambda: x.broker.delete_queue() or not run.running(), 30, lambda: "the queue is made again: %s" % run.tail(), 0.05)
        if not run.running():
            raise TooSoon("the run was over before the queue was deleted")
        x.stage.executing(workers[0])
    facts = x.check(run, cases)
    x.proof(facts.requeued > 0, facts)
    return "last requeue: \"%s\"; %s" % (run.events("queue_requeued")[-1]["text"], facts)


@fault("tasks are gone, and a message that nobody takes stays")
def gone_beside_a_stranger(x):
    """The queue is never empty, and what is out fills the coordinator's bound; it is sent again all the same."""
    cases, queue = x.cases(900, 2500), x.queue(lease_seconds=2, heartbeat_timeout=1.5)
    workers = x.workers(queue, 2, 4)
    run = x.run(queue, cases)
    name = x.stage.run_id(run)
    for w in workers:
        x.stage.executing(w)
    for p in [run] + workers:
        p.signal_all(signal.SIGKILL)
    for p in [run] + workers:
        p.popen.wait(20)
    assert x.broker.delete_queue()
    run = x.stage.resume(run, name)
    wait_until(lambda: x.broker.strange_task(name), 30, lambda: "the queue is made again: %s" % run.tail(), 0.005)
    workers = x.workers(queue, 2)
    x.residue_s = 90  # the stranger is given back for up to 60 s
    facts = x.check(run, cases)
    x.proof(facts.requeued > 0 and any(w.events("bad_message") for w in workers), facts)
    return "last requeue: \"%s\"; %s" % (run.events("queue_requeued")[-1]["text"], facts)


@fault("SIGSTOP beyond the time limit of the broker")
def held_too_long(x):
    """It takes back what the worker holds; the worker finds that out when it goes on, and works on."""
    if x.broker.hold_limit_s is None:
        raise x.unsupported("lets a worker hold a task as long as it likes, or by its lease")
    cases, queue = x.cases(1800, 4000), x.queue(heartbeat_timeout=1, heartbeat_interval=0.3)
    workers = x.workers(queue, 3, 8)
    run = x.run(queue, cases, more=["--timeout-ms", "10000"])
    lines = []
    for _ in range(2 if x.full else 1):
        victim = x.rng.choice(workers)
        x.at_work(victim)
        victim.signal_all(signal.SIGSTOP)
        at, known = time.monotonic(), len(run.events("worker_lost"))
        run.wait_event("worker_lost", 20, known)
        wait_until(lambda: time.monotonic() - at > 2 * x.broker.hold_limit_s + 1, 20, "the limit has passed")
        victim.signal_all(signal.SIGCONT)
        if not run.running():
            raise TooSoon("the run was over before the worker went on")
        x.stage.executing(victim, 30)
        lines.append("stopped for %.1f s" % (time.monotonic() - at))
    facts = x.check(run, cases)
    x.proof(facts.requeued > 0 or (x.broker.redelivers and facts.beyond > 0), facts)
    for w in workers:
        assert w.running(), "%s ended: %s" % (w.name, w.tail())
    return "%s; %s" % ("; ".join(lines), facts)


@fault("what workers hold is counted")
def held_is_counted(x):
    """By the broker's own management, as mguard queue depth shows it."""
    cases, telling = x.cases(200), x.broker.telling_config()
    x.workers(x.queue(), 1, 60)
    run, counts = x.run(x.queue(), cases), []

    def held():
        if not run.running():
            raise TooSoon("the run was over before the broker counted what is held")
        argv = [x.stage.mguard, "queue", "depth", "--json", "--timeout", "20", "--backend", telling["backend"], "--queue-config", json.dumps(telling)]
        done = subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=60)
        assert done.returncode == 0, done.stderr
        counts.append(json.loads(done.stdout)["in_flight"])
        return counts[-1] > 0

    wait_until(held, 60, lambda: "tasks in flight: %r" % counts, 0.5)
    return "in flight: %r; %s" % (counts, x.check(run, cases))


@fault("wrong connections")
def wrong(x):
    """Password, TLS and plain mixed up, unknown host, closed port: coordinator and worker name the cause."""
    x.broker.stop()
    x.broker.start(password="right", tls=True)
    lines = []
    for what, config, words, again in x.broker.wrong_configs():
        started = [x.run(config, 100), x.stage.worker(config)]
        for p in started:
            def heard():
                texts = [e.get("text", "") for e in p.events()] + [p.said()]
                return [t for t in texts if all(w in t for w in words)]

            wait_until(heard, 20, lambda: "%s, %s: a message with %r; %s" % (what, p.name, words, p.tail()))
            if again or (again is None and p.running()):
                p.signal(signal.SIGTERM)
                code = p.wait(20)
            else:
                code = p.wait(20)
                assert code in (4, 5), "%s, %s: exit code %d: %s" % (what, p.name, code, p.tail())
            said = [line for line in heard()[-1].split("\n") if words[0] in line][0].strip()
        lines.append("%s: \"%s\" (exit code %d)" % (what, said[-170:], code))
    x.workers(x.broker.config(), 1)  # over the plain port, while the run speaks TLS
    facts = x.check(x.run(x.broker.secure_config(), 600), 600)
    return "; ".join(lines) + "; and right, with password and TLS: %s" % facts


@fault("a run abandoned by its coordinator")
def abandoned(x):
    """SIGKILL of the coordinator. What it left holds up nobody: the next run on the same queue and workers comes out right."""
    cases, queue = x.cases(600, 2000), x.queue()
    workers = x.workers(queue, 2, 3)
    first = x.run(queue, cases, more=["--candidate", "slow_b"])
    x.stage.executing(workers[0])
    run_id = x.stage.run_id(first)
    first.kill()
    left = x.broker.residue(run_id)
    if not left:
        raise TooSoon("the run had left nothing")
    before = len(x.stage.log.read())
    facts = x.check(x.run(queue, cases), cases, names=("slow",))
    assert len(x.stage.log.read()) > before
    for w in workers:
        assert w.running(), "%s ended with its coordinator: %s" % (w.name, w.tail())
    return "%r left by the first run; %s" % (left, facts)


@fault("SIGTERM of the coordinator in mid-run")
def told_to_stop(x):
    """It collects what is in flight, leaves nothing on the broker, and the outcomes add up; the workers serve the next run."""
    cases, queue = x.cases(600, 2000), x.queue()
    workers = x.workers(queue, 2, 4)
    run = x.run(queue, cases)
    for w in workers:
        x.stage.executing(w)
    wait_until(lambda: len(x.stage.log.read()) > 200, 20, "the run is under way")
    run.signal(signal.SIGTERM)
    at = time.monotonic()
    code = run.wait(20)
    took = time.monotonic() - at
    assert code == 130, "exit code %d: %s" % (code, run.tail())
    report = x.stage.report(run)
    outcomes = report["outcomes"]["candidate"]
    assert sum(outcomes.values()) == cases and outcomes["unrun"] > 0 and outcomes["lost"] == 0, "%r" % outcomes
    ran = {e.case for e in x.stage.log.read() if e.name == "slow"}
    assert len(ran) == cases - outcomes["unrun"], "%d cases ran, %d were counted: what was in flight is not collected\n%s" % (
        len(ran), cases - outcomes["unrun"], run.tail())
    x.no_residue(run)
    x.stage.log.forget()
    facts = x.check(x.run(queue, cases), cases)
    return "ended after %.1f s with %d of %d cases, all that ran; next run: %s" % (took, len(ran), cases, facts)


@fault("the broker stays away")
def away(x):
    """The coordinator gives up after its patience, with exit code 5, having said why; workers wait for ever and serve the next run."""
    cases, queue = x.cases(900, 2500), x.queue(broker_patience_seconds=2)
    workers = x.workers(queue, 2, 4)
    run = x.run(queue, cases)
    for w in workers:
        x.stage.executing(w)
    at = time.monotonic()
    (x.broker.kill if True in x.broker.restarts else x.broker.stop)()
    code = run.wait(30)
    if code == 0:
        raise TooSoon("the run was over before the broker fell")
    took = time.monotonic() - at
    assert code == 5, "exit code %d: %s" % (code, run.tail())
    assert took > 1.5, "it gave up after %.1f s, its patience is 2 s" % took
    said = [line for line in run.said().split("\n") if line.startswith("mguard")][-1]
    x.broker.again()
    x.stage.log.forget()
    facts = x.check(x.run(queue, cases), cases)
    for w in workers:
        assert w.running(), "%s did not live through it: %s" % (w.name, w.tail())
    return "gave up after %.1f s: \"%s\" (exit code %d); next run: %s" % (took, said, code, facts)
