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
    rounds = []
    for _ in range(3 if x.full else 2):
        spoilt = wait_until(lambda: x.broker.spoil(name, x.rng) if run.running() else {}, 20, "messages to be spoilt", 0.001)
        if not spoilt:
            raise TooSoon("the run was over before the garbage came")
        rounds.append(spoilt)
        x.stage.executing(workers[0])
    facts = x.check(run, cases)
    for w in workers:
        assert w.running(), "%s fell: %s" % (w.name, w.tail())
    bad = sum(len(w.events("bad_message")) for w in workers)
    dropped = len(run.events("message_dropped", "result_dropped", "beat_dropped"))
    x.proof(bad > 0 and dropped > 0, facts)
    return "%r pushed; workers logged %d, the coordinator %d; %s" % (rounds[0], bad, dropped, facts)
