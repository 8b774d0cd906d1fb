"""Coordinators that are killed and resumed, by their journal."""
import os
import signal
import sqlite3

from brokers import wait_until
from programme import TooSoon, fault


def journal(x, run_id):
    return os.path.join(x.stage.folder, "runs", run_id + ".db")


def recorded(x, run_id):
    """Cases in the journal: read while it is written to."""
    db = sqlite3.connect("file:%s?mode=ro" % journal(x, run_id), uri=True, timeout=10)
    try:
        return db.execute("SELECT coalesce(sum(cases), 0) FROM rows").fetchone()[0]
    finally:
        db.close()


def kill_once(x, run, run_id, cases, share):
    """SIGKILL once a share of what was not recorded is; the coordinator after it."""
    before = recorded(x, run_id)
    goal = before + share * (cases - before)
    wait_until(lambda: recorded(x, run_id) >= goal or not run.running(), 60, lambda: "the journal grows: %s" % run.tail())
    if not run.running():
        raise TooSoon("the run was over before its coordinator was killed")
    run.kill()
    return x.stage.resume(run, run_id)


@fault("SIGKILL of the coordinator, resumed")
def killed(x):
    """At random moments of one run, some of them right after a resume; the last one ends as if nothing had happened."""
    cases, queue = x.cases(1500, 6000), x.queue()
    workers = x.workers(queue, 2, 2)
    run = x.run(queue, cases)
    name, kills, seen = x.stage.run_id(run), 20 if x.full else 4, []
    wait_until(lambda: os.path.exists(journal(x, name)), 20, "the journal is there")
    for i in range(kills):
        share = x.rng.choice((0.0, x.rng.random() * 2 / kills))
        run = kill_once(x, run, name, cases, share)
        seen.append("%.2f" % (recorded(x, name) / cases))
    facts = x.check(run, cases)
    for w in workers:
        assert w.running(), "%s ended with its coordinator: %s" % (w.name, w.tail())
    assert recorded(x, name) == cases, "%d of %d cases are recorded" % (recorded(x, name), cases)
    x.proof(any(0 < float(s) < 1 for s in seen), facts)
    return "killed with shares of %s recorded; %s" % (" ".join(seen), facts)


@fault("coordinator and workers killed together, resumed with others")
def all_killed(x):
    """As when the power of every machine but the broker's fails."""
    cases, queue = x.cases(600, 3000), x.queue()
    workers = x.workers(queue, 2, 2)
    run = x.run(queue, cases)
    name = x.stage.run_id(run)
    wait_until(lambda: os.path.exists(journal(x, name)), 20, "the journal is there")
    wait_until(lambda: recorded(x, name) > cases / 5 or not run.running(), 60, lambda: "the journal grows: %s" % run.tail())
    if not run.running():
        raise TooSoon("the run was over before it was killed")
    for p in [run] + workers:
        p.signal_all(signal.SIGKILL)
    known = recorded(x, name)
    run = x.stage.resume(run, name)
    x.workers(queue, 2)
    facts = x.check(run, cases)
    return "%d of %d cases were recorded; %s" % (known, cases, facts)


@fault("SIGINT of the coordinator, resumed")
def interrupted(x):
    """What was taken back is sent again, and what was recorded does not run again."""
    cases, queue = x.cases(600, 3000), x.queue()
    x.workers(queue, 2, 3)
    run = x.run(queue, cases)
    name = x.stage.run_id(run)
    wait_until(lambda: len(x.stage.log.read()) > 200, 20, "the run is under way")
    run.signal(signal.SIGINT)
    code = run.wait(30)
    if code == 0:
        raise TooSoon("the run was over before it was interrupted")
    assert code == 130, "exit code %d: %s" % (code, run.tail())
    assert "--resume %s" % name in run.said(), "it does not say how to resume: %s" % run.said()
    known = recorded(x, name)
    x.no_residue(run)
    run = x.stage.resume(run, name)
    facts = x.check(run, cases)
    assert facts.beyond <= 10, "%d executions too many: what was collected runs again" % facts.beyond
    return "interrupted with %d of %d cases recorded; %s" % (known, cases, facts)


@fault("a second coordinator on the same run, and on an ended one")
def second(x):
    """Refused while the first is at work; after its end there is nothing to resume."""
    cases, queue = x.cases(300), x.queue()
    x.workers(queue, 1, 3)
    run = x.run(queue, cases)
    name = x.stage.run_id(run)
    wait_until(lambda: os.path.exists(journal(x, name)), 20, "the journal is there")
    other = x.stage.resume(run, name)
    code = other.wait(20)
    if not run.running():
        raise TooSoon("the run was over before the second coordinator came")
    assert code == 4 and "another coordinator" in other.said(), "exit code %d: %s" % (code, other.said())
    other.report_file = os.path.join(x.stage.folder, "none.json")
    facts = x.check(run, cases)
    late = x.stage.resume(run, name)
    code = late.wait(20)
    assert code == 4 and "has ended" in late.said(), "exit code %d: %s" % (code, late.said())
    return "%s; then: %s" % (other.said().strip(), facts)
