"""Real brokers that the fault tests start, disturb and stop. One class a broker.

A broker offers: start, stop, kill, again (the same data on the same port), config (its part of --queue-config), and the ways of
harm below. A way that it does not have raises Unsupported, and the test is reported as skipped with that reason.
"""
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "brokers"))
from ports import free_port  # noqa: E402


class Unsupported(Exception):
    pass


def end_process(process, number):
    """Sends the signal and waits; what does not go within 30 s is killed."""
    process.send_signal(number)
    try:
        process.wait(30)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait(30)


def wait_until(check, seconds, what, every=0.005):
    """The first true value of check; AssertionError once the time is over."""
    end = time.monotonic() + seconds
    while True:
        value = check()
        if value:
            return value
        assert time.monotonic() < end, "not within %g s: %s" % (seconds, what() if callable(what) else what)
        time.sleep(every)


class Broker:
    name = ""
    only = ""  # a pattern: the tests that are run with it
    short = ""  # the same in the short form
    test = ""  # the name of the one that it is for
    full_words = ("full", "maxmemory")  # of the message about a broker that takes nothing more
    hold_limit_s = None  # how long the broker lets a worker hold a task, where the test "the time limit of the broker" runs
    restarts = (False, True)  # of one run: by SIGKILL or politely
    chooses = True  # among runs; a first-in-first-out queue serves who came first
    kill_every_s = 1  # in the test that kills workers again and again
    held_up_s = 4  # the longest that a worker which refuses tasks may hold up a run
    busy_share = 0.75  # of workers told to stop at random moments, that are to be in mid-task
    redelivers = False  # hands out by itself what a vanished worker held
    connectionless = False  # a connection that is cut costs a call and nothing else
    ways = 1  # to it through a proxy, where it has to know them before it starts

    def __init__(self, folder):
        self.folder = folder
        os.makedirs(folder, exist_ok=True)

    # Life.
    def start(self, **how):
        raise NotImplementedError

    def stop(self):
        raise NotImplementedError

    def kill(self):
        raise NotImplementedError

    def again(self):
        raise NotImplementedError

    def close(self):
        """Ends all that it started."""
        self.stop()

    def config(self, **more):
        raise NotImplementedError

    def secure_config(self, **more):
        """The same over TLS, with its certificate verified; after start(tls=True)."""
        raise Unsupported("%s: has no TLS here" % self.name)

    def address(self):
        """Host and port that a proxy leads to."""
        raise Unsupported("%s: cannot be reached through a proxy" % self.name)

    def way(self, proxy, _number):
        """A link of the proxy that leads to it. The number: of the way, from 0 to ways - 1."""
        return proxy.link(*self.address())

    def through(self, config, port):
        """The configuration of a program that goes by this port of 127.0.0.1."""
        raise Unsupported("%s: cannot be reached through a proxy" % self.name)

    @classmethod
    def prepare(cls, folder):
        """Before the first test."""

    @classmethod
    def finish(cls):
        """After the last."""

    # Harm, each with a count of what was hit.
    def reset_connections(self):
        raise Unsupported("%s: connections cannot be reset" % self.name)

    def results_mark(self, run):
        """The place behind the newest result."""
        raise Unsupported("%s: results cannot be counted" % self.name)

    def results_after(self, run, mark):
        """How many came after the mark and cannot have reached a coordinator that stands still since then."""
        raise Unsupported("%s: results cannot be counted" % self.name)

    def settles(self, sent):
        """Of a call to the system, as strace shows it: names of the results that it settles."""
        raise Unsupported("%s: settling cannot be told from other calls" % self.name)

    def lose_writes(self, meanwhile):
        """What was written while `meanwhile` ran is gone, though it was acknowledged."""
        raise Unsupported("%s: acknowledged writes cannot be lost" % self.name)

    def evict(self, rng):
        """As if memory had run out: keys are gone. Gives their names."""
        raise Unsupported("%s: evicts nothing" % self.name)

    def remove_result(self, run, mark):
        raise Unsupported("%s: a result cannot be removed by hand" % self.name)

    def repeat_results(self, run, mark):
        raise Unsupported("%s: results cannot be delivered twice by hand" % self.name)

    def remove_leases(self, run, worker, holder_too):
        raise Unsupported("%s: a lease cannot be deleted by hand" % self.name)

    def strange_task(self, run):
        """A task of the run, as a later version might send it: every worker gives it back. False: there is no queue."""
        raise Unsupported("%s: a task cannot be pushed by hand" % self.name)

    def spoil(self, run, rng):
        """Pushes garbage of every kind wherever a client could write it. None where there is nothing yet to be spoilt; else the ids of
        tasks that nobody can read, and a count of messages a place."""
        raise Unsupported("%s: garbage cannot be pushed" % self.name)

    def residue(self, run):
        """Unsettled messages of the run, tasks and results: {place: count} of places that are not empty."""
        raise Unsupported("%s: what a run left cannot be counted" % self.name)

    def dead_letters(self, run):
        """Ids of its dead letters."""
        raise Unsupported("%s: dead letters cannot be listed" % self.name)

    def where_is(self, run, task):
        """For messages: in which state the broker has the task."""
        return "unknown"

    def telling_config(self):
        """One with which the broker tells how many tasks workers hold."""
        raise Unsupported("%s: what workers hold is counted by its own tests" % self.name)

    def delete_queue(self):
        """Whether there was one."""
        raise Unsupported("%s: has no queue to be deleted" % self.name)

    def fill(self, full):
        raise Unsupported("%s: has no limit that can be reached" % self.name)

    def wrong_configs(self):
        """[(what, config, words that the message must have, whether it may be retried)]"""
        raise Unsupported("%s: no wrong configuration is known" % self.name)


class Memory(Broker):
    """No broker: the run is its own worker."""

    name = "memory"

    def start(self):
        pass

    def stop(self):
        pass

    def config(self, **more):
        return dict({"backend": "memory"}, **more)

    def residue(self, run):
        return {}


class Resp:
    """A raw connection to Redis."""

    def __init__(self, port, password=None, timeout=10):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout)
        self.file = self.socket.makefile("rb")
        if password:
            self("AUTH", password)

    def __call__(self, *words):
        out = b"*%d\r\n" % len(words)
        for w in words:
            w = w if isinstance(w, bytes) else str(w).encode()
            out += b"$%d\r\n%s\r\n" % (len(w), w)
        self.socket.sendall(out)
        return self._reply()

    def _reply(self):
        line = self.file.readline()
        if not line.endswith(b"\r\n"):
            raise ConnectionError("redis closed the connection")
        kind, rest = line[:1], line[1:-2]
        if kind == b"-":
            raise RuntimeError(rest.decode())
        if kind == b":":
            return int(rest)
        if kind == b"+":
            return rest
        if kind == b"$":
            n = int(rest)
            return None if n < 0 else self.file.read(n + 2)[:-2]
        n = int(rest)
        return None if n < 0 else [self._reply() for _ in range(n)]

    def close(self):
        self.file.close()
        self.socket.close()


class Redis(Broker):
    name = "redis"

    def __init__(self, folder):
        super().__init__(folder)
        self.process = None
        self.client = None
        self.settings = {}

    def start(self, password=None, tls=False):
        self.port, self.password, self.tls_port = free_port(), password, None
        lines = ["port %d" % self.port, "bind 127.0.0.1", "dir %s" % self.folder, "appendonly yes", "appendfsync everysec",
                 'save ""', "maxmemory-policy noeviction", "daemonize no", "loglevel notice"]
        if password:
            lines.append("requirepass %s" % password)
        if tls:
            self.tls_port = free_port()
            self._certificate()
            lines += ["tls-port %d" % self.tls_port, "tls-cert-file %s/cert.pem" % self.folder,
                      "tls-key-file %s/key.pem" % self.folder, "tls-ca-cert-file %s/cert.pem" % self.folder,
                      "tls-auth-clients no"]
        with open(os.path.join(self.folder, "redis.conf"), "w") as f:
            f.write("\n".join(lines) + "\n")
        self.again()

    def _certificate(self):
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
                        "-keyout", "key.pem", "-out", "cert.pem", "-subj", "/CN=localhost",
                        "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"],
                       cwd=self.folder, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=60)

    def again(self, append_only=True):
        argv = ["setpriv", "--pdeathsig", "KILL", "redis-server", os.path.join(self.folder, "redis.conf")]
        with open(os.path.join(self.folder, "redis.log"), "ab") as log:
            self.process = subprocess.Popen(argv + ([] if append_only else ["--appendonly", "no"]),
                                            stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)

        def answers():
            assert self.process.poll() is None, "redis-server ended with %r, see %s/redis.log" % (self.process.returncode, self.folder)
            try:
                self.client = Resp(self.port, self.password)
                return self.client("PING") == b"PONG"
            except (OSError, RuntimeError):
                return False

        wait_until(answers, 20, "redis-server answers")

    def _end(self, number):
        if self.process is None:
            return
        if self.client is not None:
            self.client.close()
            self.client = None
        if self.process.poll() is None:
            self.process.send_signal(number)
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait(20)
        self.process = None

    def stop(self):
        self._end(signal.SIGTERM)

    def kill(self):
        self._end(signal.SIGKILL)

    def config(self, **more):
        c = {"backend": "redis", "connection": {"host": "127.0.0.1", "port": self.port}}
        if self.password:
            c["connection"]["password"] = self.password
        c.update(more)
        return c

    def secure_config(self, **more):
        c = self.config(**more)
        c["connection"].update(port=self.tls_port, ssl=True, ssl_ca_location=os.path.join(self.folder, "cert.pem"))
        return c

    def address(self):
        return "127.0.0.1", self.port

    def through(self, config, port):
        return dict(config, connection=dict(config["connection"], port=port))

    # --- harm ---

    def key(self, name, run=None):
        return "{mguard:mguard_tasks}:" + name + (":" + run if run else "")

    def reset_connections(self):
        return self.client("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")

    def results_mark(self, run):
        key = self.key("results", run)
        if not self.client("EXISTS", key):
            return b"0-0"
        fields = self.client("XINFO", "STREAM", key)
        return dict(zip(fields[::2], fields[1::2]))[b"last-generated-id"]

    def _unread(self, run, mark):
        """The first that came went to the read that waited, and so did others of the same script, with the same time."""
        entries = self.client("XRANGE", self.key("results", run), b"(" + mark, "+")
        first = entries[0][0].split(b"-")[0] if entries else b""
        return [e for e in entries if e[0].split(b"-")[0] != first]

    def results_after(self, run, mark):
        return len(self._unread(run, mark))

    def settles(self, sent):
        return re.findall(r"\d{13}-\d+", sent.split("XDEL", 1)[1].split("\\r\\n*")[0]) if "XDEL" in sent else []

    def lose_writes(self, meanwhile):
        """What a failover to a replica that was behind does: the data of an earlier time takes the place of the present."""
        self.client("SAVE")
        files = [os.path.join(self.folder, name) for name in ("dump.rdb", "dump.old")]
        shutil.copy(files[0], files[1])
        meanwhile()
        self.kill()
        shutil.rmtree(os.path.join(self.folder, "appendonlydir"))
        os.replace(files[1], files[0])
        self.again(append_only=False)
        self.client("CONFIG", "SET", "appendonly", "yes")

    def evict(self, rng):
        """A random key, as allkeys-random takes them; a real limit would take all at once here, where the data are so few."""
        key = rng.choice(sorted(self.client("KEYS", "{mguard:mguard_tasks}:*")) or [b"none"])
        return [key.decode()] if self.client("UNLINK", key) else []

    def remove_result(self, run, mark):
        return self.client("XDEL", self.key("results", run), self._unread(run, mark)[-1][0])

    def repeat_results(self, run, mark):
        entries = self._unread(run, mark)
        for _, fields in entries:
            self.client("XADD", self.key("results", run), "*", *fields)
        return len(entries)

    def remove_leases(self, run, worker, holder_too):
        gone = 0
        held = self.client("HGETALL", self.key("holders", run))
        for task, holder in zip(held[::2], held[1::2]):
            if worker.encode() not in holder:
                continue
            gone += self.client("ZREM", self.key("leases", run), task)
            if holder_too:
                self.client("HDEL", self.key("holders", run), task)
        return gone

    def residue(self, run):
        sizes = (("HLEN", "tasks"), ("LLEN", "pending"), ("HLEN", "holders"), ("ZCARD", "leases"), ("XLEN", "results"))
        counts = {key: self.client(command, self.key(key, run)) for command, key in sizes}
        return {key: n for key, n in counts.items() if n > 0}

    def dead_letters(self, run):
        return [i.decode() for i in self.client("HKEYS", self.key("dead", run))]

    def where_is(self, run, task):
        places = [kind for kind in ("tasks", "holders", "done", "dead") if self.client("HEXISTS", self.key(kind, run), task)]
        places += ["leases"] if self.client("ZSCORE", self.key("leases", run), task) else []
        places += ["pending"] if task.encode() in self.client("LRANGE", self.key("pending", run), 0, -1) else []
        return places + (["delayed"] if self.client("ZSCORE", self.key("delayed"), run + "\n" + task) else [])

    def fill(self, full):
        self.client("CONFIG", "SET", "maxmemory", self._used() // 2 if full else 0)

    def _used(self):
        return int([x for x in self.client("INFO", "memory").split(b"\r\n") if x.startswith(b"used_memory:")][0].split(b":")[1])

    def _variants(self, whole, rng):
        """What can be wrong with a message, each with a name."""
        out = {"empty": b"", "garbage": b"\x01\x00" + rng.randbytes(300), "text": b"\x01\x00hello, this is no message",
               "zeros": b"\0" * 100, "newer": b"\x63" + whole[1:],
               "oversized": b"\x01\x00" + b"\xc6\xff\xff\xff\xff" + rng.randbytes(200000),
               "declares much": b"\x01\x01" + bytes.fromhex("04224d186c40ffffffffffffff7f00") + rng.randbytes(100)}
        for n in (1, 2, len(whole) // 3, len(whole) - 1):
            out["truncated to %d" % n] = whole[:n]
        for i in range(8):
            at = rng.randrange(len(whole))
            out["bit %d of byte %d" % (i, at)] = whole[:at] + bytes([whole[at] ^ 1 << i]) + whole[at + 1:]
        if len(whole) > 40 and whole[1] & 2:
            end = 3 + whole[2]
            out["wrong MAC"] = whole[:end] + rng.randbytes(32) + whole[end + 32:]
            out["unsigned"] = whole[:1] + bytes([whole[1] & ~2]) + whole[end + 32:]
            out["unknown key"] = whole[:3] + b"?" * whole[2] + whole[end:]
        return out

    def spoil(self, run, rng):
        c, count, unreadable = self.client, {}, []
        tasks = c("HGETALL", self.key("tasks", run))
        results = c("XRANGE", self.key("results", run), "-", "+")
        beats = c("HGETALL", self.key("beats"))
        spoilt = ("9:", "8:", "spoilt")  # by an earlier call
        whole = [record for task, record in zip(tasks[::2], tasks[1::2]) if not task.decode().startswith(spoilt)]
        fields = [f for f in (dict(zip(entry[1][::2], entry[1][1::2])) for entry in results) if f.get(b"b", b"").startswith(b"\x01")]
        beat = [body for name, body in zip(beats[::2], beats[1::2]) if not name.decode().startswith(spoilt)]
        if not whole or not fields or not beat:
            return None
        head, frame = whole[0].split(b"|", 1)
        fields, beat = fields[0], beat[0]
        end = str(int(time.time() * 1000) + 600000)
        for kind, bad in self._variants(frame, rng).items():
            task = "9:spoilt %s %d" % (kind, rng.randrange(10 ** 9))
            c("HSET", self.key("tasks", run), task, head + b"|" + bad)
            c("RPUSH", self.key("pending", run), task, "nobody knows " + kind)
            count["tasks"] = count.get("tasks", 0) + 1
            if kind in ("garbage", "text", "empty", "zeros", "wrong MAC", "unsigned") or kind.startswith("truncated"):
                unreadable.append(task)
        for bad in self._variants(fields[b"b"], rng).values():
            c("XADD", self.key("results", run), "*", "t", fields[b"t"], "b", bad)
            count["results"] = count.get("results", 0) + 1
        c("XADD", self.key("results", run), "*", "other", "fields")
        for place in ("beats", "controls"):
            for kind, bad in self._variants(beat, rng).items():
                c("HSET", self.key(place), "spoilt " + kind, bad)
                c("ZADD", self.key(place.rstrip("s") + "-ends"), end, "spoilt " + kind)
                count[place] = count.get(place, 0) + 1
        c("ZADD", self.key("delayed"), 1, "no line break", 2, run + "\nnobody", 3, rng.randbytes(50))
        c("ZADD", self.key("active"), 1, "no-such-run", 2, rng.randbytes(20))
        c("ZREM", self.key("active"), run)  # as it is for a moment whenever its list is empty, while garbage fills the list
        c("ZADD", self.key("runs"), end, "no-such-run", end, rng.randbytes(20))
        c("ZADD", self.key("quarantine"), end, "nobody", 5, rng.randbytes(20))
        c("XADD", self.key("wake"), "*", "x", rng.randbytes(100))
        c("HSET", self.key("holders", run), "8:ghost", "no token", "8:ghost2", b"token\nworker")
        c("ZADD", self.key("leases", run), 1, "8:ghost", 2, "8:ghost2", 3, "8:ghost3")
        c("HSET", self.key("tasks", run), "8:no record", "", "8:half a record", "12|")
        c("RPUSH", self.key("pending", run), "8:no record", "8:half a record", "")
        c("HSET", self.key("dead", run), "8:dead", rng.randbytes(50))
        c("HSET", self.key("why", run), "8:other", rng.randbytes(50))
        c("ZADD", self.key("dead-order", run), 1, "8:dead", 2, "8:nothing")
        c("HSET", self.key("done", run), "8:x", rng.randbytes(10))
        count["other keys"] = 12
        return unreadable, count

    def wrong_configs(self):
        here = {"host": "127.0.0.1", "port": self.port, "password": self.password}
        tls = dict(here, port=self.tls_port)
        return [
            ("wrong password", {"backend": "redis", "connection": dict(here, password="wrong")}, ("password",), False),
            ("no password", {"backend": "redis", "connection": {"host": "127.0.0.1", "port": self.port}}, ("password",), False),
            ("TLS to a plain port", {"backend": "redis", "connection": dict(here, ssl=True, ssl_verify=False)}, ("TLS", "plain"), False),
            ("plain to a TLS port", {"backend": "redis", "connection": tls}, ("TLS",), None),
            ("certificate of a stranger", {"backend": "redis", "connection": dict(tls, ssl=True)}, ("certificate",), None),
            ("unknown host", {"backend": "redis", "connection": dict(here, host="no-such-host.invalid")}, ("no-such-host.invalid",), True),
            ("nobody listens", {"backend": "redis", "connection": dict(here, port=free_port())}, ("127.0.0.1",), True),
        ]


def known():
    """Every broker by its name."""
    from brokers_kafka import Kafka
    from brokers_rabbitmq import RabbitMQ
    from brokers_redis import RedisCluster, RedisSentinel
    from brokers_sqs import Sqs, SqsFifo

    return {b.name: b for b in (Redis, RedisSentinel, RedisCluster, RabbitMQ, Kafka, Sqs, SqsFifo)}


def missing(name):
    """Why this machine cannot run the broker; None where it can."""
    if name.startswith("redis") and shutil.which("redis-server") is None:
        return "redis-server is not installed"
    if name == "rabbitmq":
        from brokers_rabbitmq import missing as rabbitmq_missing

        return rabbitmq_missing()
    if name == "kafka":
        from brokers_kafka import missing as kafka_missing

        return kafka_missing()
    if name.startswith("sqs"):
        from brokers_sqs import stand_ins

        return None if stand_ins() is not None else "the stand-ins for SQS are not installed: make test-deps"
    return None
