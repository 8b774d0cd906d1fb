"""Coordinators that are killed and resumed, by their journal."""
import os
import re
import shutil
import signal
import sqlite3

from brokers import Unsupported, wait_until
from processes import preloads
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
        share = 0.0 if i % 3 == 2 else (0.1 + x.rng.random()) * 2 / kills
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
    cases, queue = x.cases(900), x.queue()
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


def trace_lines(file):
    """(thread, call, file named by its descriptor, text) of each call when it ended, or of a send when it began."""
    begun = {}
    with open(file, errors="replace") as f:
        for line in f:
            m = re.match(r"(\d+) +(?:<\.\.\. )?(\w+)(?: resumed>|\()(.*)", line)
            if not m:
                continue
            thread, call, text = m.groups()
            if "unfinished ..." in line:
                begun[thread] = text
                if call == "sendto":
                    yield call, text
                continue
            known = begun.pop(thread, "") if "resumed>" in line else ""
            if call != "sendto" or "resumed>" not in line:
                yield call, known + text


@fault("what is on the disk when a result is settled", alone=True)
def settled(x):
    """Under strace: between the arrival of a result and its settling its record is written to the log and synced, each one."""
    if shutil.which("strace") is None:
        raise Unsupported("strace is not installed")
    file = os.path.join(x.stage.folder, "trace")
    cases, queue = 60, x.queue(batch_size=5, compress=False)
    strace = ["strace", "-f", "-y", "-s", "200000", "-e", "trace=recvfrom,sendto,pwrite64,fdatasync,fsync", "-o", file]
    run = x.run(queue, cases, under=strace)
    run.wait_event("run_eval_start", 30)
    x.workers(queue, 2, 20)
    code = run.wait(120)
    if "ptrace" in run.said():
        raise Unsupported("strace may not trace here: %s" % run.said()[:200])
    assert code in (0, 2), "exit code %d: %s" % (code, run.tail())
    calls = list(trace_lines(file))
    settles = [(i, name) for i, (call, text) in enumerate(calls) if call == "sendto" for name in x.broker.settles(text)]
    assert len(settles) >= cases / 5, "only %d results were settled" % len(settles)
    for at, name in settles:
        came = next(i for i, (call, text) in enumerate(calls) if call == "recvfrom" and name in text)
        after = [(call, text.split(">", 1)[0]) for call, text in calls[came:at]]
        written = next((i for i, (call, where) in enumerate(after) if call == "pwrite64" and where.endswith(".db-wal")), None)
        assert written is not None, "result %s is settled before anything was written to the log" % name
        synced = [call for call, where in after[written:] if call in ("fdatasync", "fsync") and where.endswith(".db-wal")]
        assert synced, "result %s is settled before the log was synced" % name
    facts = x.check(run, cases, exit_code=code, same_digest=True)
    return "%d results in %d settling calls, each synced before; %s" % (len(settles), len({at for at, _ in settles}), facts)


@fault("the broker loses acknowledged writes")
def rolled_back(x):
    """A failover to a replica that was behind: tasks and results that were acknowledged are gone, others are there again."""
    cases, queue = x.cases(900, 3000), x.queue()
    workers = x.workers(queue, 3, 5)
    run = x.run(queue, cases)
    name, lines = x.stage.run_id(run), []
    for _ in range(3 if x.full else 2):
        x.stage.executing(workers[0])
        before, ran = recorded(x, name), len(x.stage.log.read())
        x.broker.lose_writes(lambda: wait_until(lambda: len(x.stage.log.read()) > ran + 150 or not run.running(), 30, "work goes on"))
        if not run.running():
            raise TooSoon("the run was over before the writes were lost")
        lines.append(recorded(x, name) - before)
    facts = x.check(run, cases)
    x.proof(facts.requeued > 0 or facts.dropped > 0, facts)
    assert recorded(x, name) == cases
    return "%s cases were recorded between the copies and the falls; %s" % (" ".join(map(str, lines)), facts)


@fault("the broker evicts keys")
def evicted(x):
    """Whatever keys of the run are gone, what is missing is sent again."""
    cases, queue = x.cases(900, 3000), x.queue()
    workers = x.workers(queue, 3, 5)
    run = x.run(queue, cases)
    name, gone = x.stage.run_id(run), []
    for _ in range(40 if x.full else 12):
        ran = len(x.stage.log.read())
        gone += x.broker.evict(x.rng)
        wait_until(lambda: len(x.stage.log.read()) > ran + 60 or not run.running(), 30, lambda: "work goes on without %r: %s" % (gone, run.tail()))
    facts = x.check(run, cases)
    x.proof(facts.requeued > 0 or facts.dropped > 0, facts)
    assert recorded(x, name) == cases
    return "%d keys evicted, %s; %s" % (len(gone), " ".join(sorted({re.sub(r".*}:|:.*", "", key) or key for key in gone})), facts)


@fault("the disk of the journal is full")
def disk_full(x):
    """The run ends with exit code 5 and no report, having said why; with room again it is resumed. Nothing was settled meanwhile."""
    full = os.path.join(x.stage.folder, "full")
    cases, queue = x.cases(600, 3000), x.queue()
    x.workers(queue, 2, 4)
    run = x.run(queue, cases, environment=dict(preloads(x.stage.folder, "full"), FULL_WHEN=full))
    name = x.stage.run_id(run)
    wait_until(lambda: os.path.exists(journal(x, name)) and recorded(x, name) > 50 or not run.running(), 60, lambda: "the journal grows: %s" % run.tail())
    open(full, "w").close()
    code = run.wait(30)
    if code in (0, 2):
        raise TooSoon("the run was over before the disk was full")
    assert code == 5, "exit code %d: %s" % (code, run.tail())
    said = [line for line in run.said().split("\n") if "disk is full" in line]
    assert said, "it does not say why: %s" % run.said()
    assert not os.path.exists(run.report_file), "there is a report of a run whose journal could not be written"
    known = recorded(x, name)
    refused = x.stage.resume(run, name, run.environment)
    code = refused.wait(20)
    assert code == 5 and "disk is full" in refused.said(), "resumed on a full disk, exit code %d: %s" % (code, refused.said())
    os.remove(full)
    facts = x.check(x.stage.resume(run, name), cases)
    assert recorded(x, name) == cases
    return "\"%s\", %d of %d cases recorded; %s" % (said[-1], known, cases, facts)
