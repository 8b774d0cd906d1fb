"""Messages that nobody should have sent."""
from brokers import wait_until
from programme import TooSoon, fault


@fault("garbage, truncated, bit-flipped, oversized and wrongly signed messages on every key")
def garbage(x):
    """With signing keys. No process falls, nothing of it is counted, each bad task ends among the dead letters or goes back."""
    cases, queue = x.cases(1200, 4000), x.queue()
    x.stage.environment["MGUARD_SIGNING_KEY"] = "k1:the-first-secret,k0:an-older-one"
    workers = x.workers(queue, 3, 6)
    run = x.run(queue, cases)
    name = x.stage.run_id(run)
    x.stage.executing(workers[0])
    rounds, unreadable = [], []
    for _ in range(3 if x.full else 2):
        spoilt = wait_until(lambda: x.broker.spoil(name, x.rng) if run.running() else ([], {}), 20, "messages to be spoilt", 0.001)
        if not spoilt[0]:
            raise TooSoon("the run was over before the garbage came")
        unreadable += spoilt[0]
        rounds.append(spoilt[1])
        x.stage.executing(workers[0])

    def not_dead():
        return sorted(set(unreadable) - set(x.broker.dead_letters(name)))

    wait_until(lambda: not not_dead(), 20, lambda: "not among the dead letters, though nobody can read them: %r\n%s" % (
        [(task, x.broker.where_is(name, task)) for task in not_dead()], workers[0].tail()))
    if not run.running():
        raise TooSoon("the run was over before all of the garbage was met")
    facts = x.check(run, cases)
    for w in workers:
        assert w.running(), "%s fell: %s" % (w.name, w.tail())
    bad = sum(len(w.events("bad_message")) for w in workers)
    dropped = len(run.events("message_dropped", "result_dropped", "beat_dropped"))
    x.proof(bad > 0 and dropped > 0, facts)
    assert len(run.events("worker_joined")) == 3, "strangers joined: %r" % [e["text"] for e in run.events("worker_joined")]
    return "%d times %r pushed; %d tasks that nobody can read became dead letters; workers logged %d, the coordinator %d; %s" % (
        len(rounds), rounds[0], len(unreadable), bad, dropped, facts)
