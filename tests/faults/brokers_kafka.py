"""Kafka: brokers of one node. Tests that hurt the broker itself have one of their own; the others share one, each with topics and a group of its
own. Harm is done and looked at through librdkafka, past the engine; a second listener stands behind a proxy that can cut its connections."""
import ctypes
import os
import re
import shutil
import signal
import socket
import subprocess
import threading
import time

from brokers import Broker, Redis, end_process, free_port, wait_until
from proxy import Proxy

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
START = os.path.join(ROOT, "tests", "brokers", "kafka", "start")
PARTITIONS = 4
END, BEGINNING, NONE = -1, -2, -1001  # offsets of librdkafka


class Message(ctypes.Structure):
    _fields_ = [("err", ctypes.c_int), ("rkt", ctypes.c_void_p), ("partition", ctypes.c_int32), ("payload", ctypes.c_void_p), ("len", ctypes.c_size_t),
                ("key", ctypes.c_void_p), ("key_len", ctypes.c_size_t), ("offset", ctypes.c_int64), ("private", ctypes.c_void_p)]


class Part(ctypes.Structure):
    _fields_ = [("topic", ctypes.c_char_p), ("partition", ctypes.c_int32), ("offset", ctypes.c_int64), ("metadata", ctypes.c_void_p),
                ("metadata_size", ctypes.c_size_t), ("opaque", ctypes.c_void_p), ("err", ctypes.c_int), ("private", ctypes.c_void_p)]


class Parts(ctypes.Structure):
    _fields_ = [("cnt", ctypes.c_int), ("size", ctypes.c_int), ("elems", ctypes.POINTER(Part))]


def librdkafka():
    lib = ctypes.CDLL("librdkafka.so.1")
    for name in ("conf_new", "new", "topic_partition_list_new", "topic_partition_list_add", "consumer_poll", "DeleteTopic_new", "queue_new", "queue_poll",
                 "AdminOptions_new", "err2str"):
        getattr(lib, "rd_kafka_" + name).restype = ctypes.c_void_p
    lib.rd_kafka_topic_partition_list_new.restype = lib.rd_kafka_topic_partition_list_copy.restype = ctypes.POINTER(Parts)
    lib.rd_kafka_topic_partition_list_add.restype = ctypes.POINTER(Part)
    lib.rd_kafka_consumer_poll.restype = ctypes.POINTER(Message)
    lib.rd_kafka_err2str.restype = ctypes.c_char_p
    lib.rd_kafka_message_timestamp.restype = ctypes.c_int64
    return lib


class Client:
    """What a test does with librdkafka. One thread."""

    def __init__(self, servers):
        self.lib, self.servers = librdkafka(), servers
        self.producer = self._handle(0)
        self.reader = self._handle(1, "reader")
        self.groups = {}

    def _handle(self, kind, group=None):
        conf, why = self.lib.rd_kafka_conf_new(), ctypes.create_string_buffer(300)
        settings = {"bootstrap.servers": self.servers, "log_level": "0", "reconnect.backoff.max.ms": "500"}
        if kind == 1:
            settings.update({"group.id": group, "enable.auto.commit": "false", "fetch.wait.max.ms": "10", "auto.offset.reset": "earliest",
                             "enable.partition.eof": "true"})
        for name, value in settings.items():
            code = self.lib.rd_kafka_conf_set(ctypes.c_void_p(conf), name.encode(), value.encode(), why, ctypes.c_size_t(300))
            assert code == 0, why.value
        rk = self.lib.rd_kafka_new(kind, ctypes.c_void_p(conf), why, ctypes.c_size_t(300))
        assert rk, why.value
        if kind == 1:
            self.lib.rd_kafka_poll_set_consumer(ctypes.c_void_p(rk))
        return ctypes.c_void_p(rk)

    def _list(self, topic, offsets):
        parts = self.lib.rd_kafka_topic_partition_list_new(len(offsets))
        for partition, offset in offsets.items():
            self.lib.rd_kafka_topic_partition_list_add(parts, topic.encode(), partition).contents.offset = offset
        return parts

    def _ask(self, call, rk, topic, offsets):
        """{partition: offset}; the broker may be busy with a topic that was just made."""
        end = time.monotonic() + 20
        while True:
            parts = self._list(topic, offsets)
            code = call(rk, parts, 5000)
            found = [(p.partition, p.offset, p.err) for p in parts.contents.elems[:parts.contents.cnt]]
            self.lib.rd_kafka_topic_partition_list_destroy(parts)
            code = code or next((err for _, _, err in found if err), 0)
            if code == 0:
                return {partition: offset for partition, offset, _ in found}
            assert time.monotonic() < end, "%s: %s" % (topic, self.lib.rd_kafka_err2str(code).decode())
            time.sleep(0.02)

    def offsets(self, topic, partitions, which):
        return self._ask(self.lib.rd_kafka_offsets_for_times, self.producer, topic, {p: which for p in partitions})

    def committed(self, group, topic, partitions):
        if group not in self.groups:
            self.groups[group] = self._handle(1, group)
        return self._ask(self.lib.rd_kafka_committed, self.groups[group], topic, {p: NONE for p in partitions})

    def _header(self, m, name):
        headers, value, size = ctypes.c_void_p(), ctypes.c_void_p(), ctypes.c_size_t()
        if self.lib.rd_kafka_message_headers(m, ctypes.byref(headers)) != 0:
            return None
        if self.lib.rd_kafka_header_get_last(headers, name.encode(), ctypes.byref(value), ctypes.byref(size)) != 0 or not value:
            return None
        return ctypes.string_at(value, size.value).decode(errors="replace")

    def read(self, topic, first):
        """[(headers of ours and the time, body or None)] of what is there now, from first[partition] on."""
        ends = self.offsets(topic, first, END)
        lows = self.offsets(topic, first, BEGINNING)
        todo = {p: max(low, lows[p]) for p, low in first.items()}
        todo = {p: low for p, low in todo.items() if low < ends[p]}
        out, end = [], time.monotonic() + 20
        if not todo:
            return out
        parts = self._list(topic, todo)
        self.lib.rd_kafka_assign(self.reader, parts)
        self.lib.rd_kafka_topic_partition_list_destroy(parts)
        while todo:
            assert time.monotonic() < end, "%s could not be read: %r" % (topic, todo)
            m = self.lib.rd_kafka_consumer_poll(self.reader, 100)
            if not m:
                continue
            c = m.contents
            if c.err == 0:
                body = ctypes.string_at(c.payload, c.len) if c.payload else None
                headers = {name: self._header(m, name) for name in ("kind", "run", "task", "from")}
                out.append((dict(headers, time=self.lib.rd_kafka_message_timestamp(m, ctypes.byref(ctypes.c_int()))), body))
            if c.partition in todo and (c.err == -191 or c.offset + 1 >= ends[c.partition]):  # -191: its end
                del todo[c.partition]
            self.lib.rd_kafka_message_destroy(m)
        self.lib.rd_kafka_assign(self.reader, None)
        return out

    def produce(self, topic, partition, body, headers, key=None):
        v, n = ctypes.c_int, ctypes.c_size_t
        arguments = [v(1), ctypes.c_char_p(topic.encode()), v(3), ctypes.c_int32(partition), v(7), v(2), v(4), ctypes.c_char_p(body), n(len(body or b""))]
        if key is not None:
            arguments += [v(5), ctypes.c_char_p(key), n(len(key))]
        for name, value in headers.items():
            arguments += [v(9), ctypes.c_char_p(name.encode()), ctypes.c_char_p(value), ctypes.c_ssize_t(len(value))]
        code = self.lib.rd_kafka_producev(self.producer, *arguments, v(0))
        assert code == 0, self.lib.rd_kafka_err2str(code)

    def flush(self):
        assert self.lib.rd_kafka_flush(self.producer, 20000) == 0, "what was produced is not taken"

    def delete_topic(self, topic):
        gone = ctypes.c_void_p(self.lib.rd_kafka_DeleteTopic_new(topic.encode()))
        q = ctypes.c_void_p(self.lib.rd_kafka_queue_new(self.producer))
        self.lib.rd_kafka_DeleteTopics(self.producer, (ctypes.c_void_p * 1)(gone), ctypes.c_size_t(1), None, q)
        event = ctypes.c_void_p(self.lib.rd_kafka_queue_poll(q, 20000))
        assert event, "%s is not deleted" % topic
        code = self.lib.rd_kafka_event_error(event)
        self.lib.rd_kafka_event_destroy(event)
        self.lib.rd_kafka_queue_destroy(q)
        self.lib.rd_kafka_DeleteTopic_destroy(gone)
        assert code == 0, self.lib.rd_kafka_err2str(code)

    def close(self):
        for rk in [self.reader] + list(self.groups.values()):
            self.lib.rd_kafka_destroy_flags(rk, 0x8)
        self.lib.rd_kafka_destroy_flags(self.producer, 0)


class Node:
    """A broker; it dies with the thread that started it."""

    def __init__(self, folder, secure=False, lines=(), ways=1):
        self.folder, self.lines = folder, list(lines)
        os.makedirs(folder, exist_ok=True)
        self.port, self.controller = free_port(), free_port()
        self.secure_port = free_port() if secure else 0
        self.proxy = Proxy()
        self.links = [self.proxy.link("127.0.0.1", free_port()) for _ in range(ways)]
        self.process = None
        listeners = {"PLAIN": (self.port, self.port), "CONTROLLER": (self.controller, None)}
        listeners.update({"CUT%d" % i: (link.target[1], link.port) for i, link in enumerate(self.links)})
        if secure:
            listeners["SECURE"] = (self.secure_port, self.secure_port)
            shutil.copy(os.path.join(folder, "cert.pem"), os.path.join(folder, "ca.crt"))
            shutil.copy(os.path.join(folder, "cert.pem"), os.path.join(folder, "server.crt"))
            shutil.copy(os.path.join(folder, "key.pem"), os.path.join(folder, "server.key"))
        self.lines += ["listeners=" + ",".join("%s://127.0.0.1:%d" % (name, p[0]) for name, p in listeners.items()),
                       "advertised.listeners=" + ",".join("%s://127.0.0.1:%d" % (name, p[1]) for name, p in listeners.items() if p[1]),
                       "listener.security.protocol.map=" + ",".join("%s:%s" % (name, "SASL_SSL" if name == "SECURE" else "PLAINTEXT") for name in listeners)]

    def up(self):
        argv = ["setpriv", "--pdeathsig", "KILL", START, self.folder, str(self.port), str(self.controller), str(self.secure_port)] + self.lines
        with open(os.path.join(self.folder, "log"), "ab") as log:
            self.process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)

        def listens():
            assert self.process.poll() is None, "the broker ended with %r, see %s/log" % (self.process.returncode, self.folder)
            try:
                for port in (self.port, self.secure_port):
                    if port:
                        socket.create_connection(("127.0.0.1", port), 5).close()
                return True
            except OSError:
                return False

        wait_until(listens, 120, "the broker in %s listens" % self.folder, 0.05)

    def down(self, number):
        if self.process is None:
            return
        end_process(self.process, number)
        self.process = None

    def end(self):
        self.down(signal.SIGKILL)
        self.proxy.close()


class Kafka(Broker):
    name = "kafka"
    chooses = False
    busy_share = 0.25  # between partitions they have nothing to do
    redelivers = True  # what a member of the group held, once its session has ended
    connectionless = True  # librdkafka connects again by itself
    hold_limit_s = 2
    held_up_s = 20  # partitions change hands each time that it tries again
    kill_every_s = 3  # each costs a session's time, in which nobody has the partitions: faster, and a group of three would never settle
    # The others are for the full form: sessions take their time to end.
    short = "plain|SIGKILL of a random|SIGKILL of the coordinator|spawn_local|several runs|every connection reset|the queue is deleted|restarts"
    own = "restarts|wrong connections|stays away"  # these get a broker of their own

    shared, lock, count = None, threading.Lock(), 0

    @classmethod
    def prepare(cls, folder):
        cls.shared = Node(os.path.join(folder, "node"))
        cls.shared.up()

    @classmethod
    def finish(cls):
        if cls.shared is not None:
            cls.shared.end()

    def __init__(self, folder):
        super().__init__(folder)
        self.node, self.mine, self.client, self.topic = None, False, None, ""

    def start(self, password=None, tls=False):
        with Kafka.lock:
            Kafka.count += 1
            self.topic = "test-%d" % Kafka.count
        if self.client is not None:
            self.client.close()
        self.mine = bool(password or tls or re.search(self.own, self.test))
        if self.mine:
            folder = os.path.join(self.folder, self.topic)
            os.makedirs(folder)
            if tls:
                self.folder, base = folder, self.folder
                Redis._certificate(self)
                self.folder = base
            self.node = Node(folder, secure=tls, ways=self.ways)
            self.node.up()
        else:
            self.node = self.shared
        self.client = Client("127.0.0.1:%d" % self.node.port)

    def again(self):
        self.node.up()

    def stop(self):
        if self.node is not None:
            self.node.down(signal.SIGTERM)

    def kill(self):
        self.node.down(signal.SIGKILL)

    def close(self):
        if self.client is not None:
            self.client.close()
        if self.node is not None and self.mine:
            self.node.end()

    def config(self, **more):
        port = self.node.links[0].port if "connection reset" in self.test else self.node.port
        # What no beat has named comes to others when the session ends: where that is measured it ends before the silence is noticed.
        session_ms = 1200 if "noticed in time" in self.test else 2000
        return dict({"backend": "kafka", "bootstrap_servers": "127.0.0.1:%d" % port, "topic": self.topic, "consumer_group": self.topic + "-workers",
                     "partitions": PARTITIONS, "session_timeout_ms": session_ms}, **more)

    def secure_config(self, **more):
        return self.config(bootstrap_servers="localhost:%d" % self.node.secure_port, security_protocol="sasl_ssl", sasl_mechanism="PLAIN",
                           sasl_username="tester", sasl_password="secret", ssl_ca_location=os.path.join(self.node.folder, "ca.crt"), **more)

    def way(self, _proxy, number):
        return self.node.links[number]

    def through(self, config, port):
        return dict(config, bootstrap_servers="127.0.0.1:%d" % port)

    # --- harm ---

    def reset_connections(self):
        return sum(link.reset() for link in self.node.links)

    def delete_queue(self):
        """The topic of tasks, with all that waits there."""
        self.client.delete_topic(self.topic)
        return True

    def _unsettled(self, group, topic, partitions):
        done = self.client.committed(group, topic, partitions)
        return self.client.read(topic, {p: max(0, offset) for p, offset in done.items()})

    def _results_partition(self, run):
        h = 2166136261
        for c in run.encode():
            h = (h ^ c) * 16777619 & 0xffffffff
        return 1 + h % (PARTITIONS - 1)

    def residue(self, run):
        """Results that came after the end of their run are nobody's: they go with the topic's retention."""
        tasks = [h for h, _ in self._unsettled(self.topic + "-workers", self.topic, range(PARTITIONS)) if h["run"] == run]
        results = [h for h, _ in self._unsettled("%s-workers.%s" % (self.topic, run), self.topic + "_results", [self._results_partition(run)])
                   if h["run"] == run and h["kind"] == "result"]
        if results:
            said = [h for h, _ in self.client.read(self.topic + "_results", {0: 0}) if h["kind"] == "control" and h["from"] == run]
            results = [h for h in results if not said or h["time"] <= said[-1]["time"]]
        return {place: len(found) for place, found in (("tasks", tasks), ("results", results)) if found}

    def dead_letters(self, run):
        newest = {h["task"]: body for h, body in self.client.read(self.topic + "_dead", {0: 0}) if h["run"] == run}
        return [task for task, body in newest.items() if body is not None]

    def spoil(self, run, rng):
        c, count, unreadable = self.client, {}, []
        tasks = [body for h, body in c.read(self.topic, {p: 0 for p in range(PARTITIONS)}) if h["run"] == run and body and not (h["task"] or "9:").startswith("9:")]
        notes = [body for h, body in c.read(self.topic + "_results", {0: 0}) if h["kind"] == "beat" and not (h["from"] or "spoilt").startswith("spoilt")]
        if not tasks or not notes:
            return None
        results, mine = self.topic + "_results", self._results_partition(run)
        for kind, bad in Redis._variants(self, tasks[-1], rng).items():
            task = "9:spoilt %s %d" % (kind, rng.randrange(10 ** 9))
            c.produce(self.topic, rng.randrange(PARTITIONS), bad, {"run": run.encode(), "task": task.encode(), "attempt": b"1"})
            count["tasks"] = count.get("tasks", 0) + 1
            if kind in ("garbage", "text", "empty", "zeros", "wrong MAC", "unsigned") or kind.startswith("truncated"):
                unreadable.append(task)
        for kind, bad in Redis._variants(self, notes[-1], rng).items():
            c.produce(results, mine, bad, {"kind": b"result", "run": run.encode(), "task": b"9:x", "attempt": b"1"})
            for place in ("beat", "control"):
                c.produce(results, 0, bad, {"kind": place.encode(), "run": run.encode() if place == "control" else b"", "from": b"spoilt " + kind.encode(),
                                            "ttl": b"60000"})
                count[place] = count.get(place, 0) + 1
            count["results"] = count.get("results", 0) + 1
        for headers in ({}, {"kind": b"result"}, {"kind": b"result", "run": b"\xff\0\xff"}, {"kind": b"nobody knows", "run": run.encode()},
                        {"kind": b"beat", "run": b"", "from": b"spoilt", "ttl": b"for ever"}, {"kind": b"hello", "run": b"x"}):
            for partition in (0, mine):
                c.produce(results, partition, rng.randbytes(40), headers)
        for headers in ({"run": run.encode(), "attempt": b"many"}, {"task": b"9:no run"}, {"run": b"\xff\0\xff", "task": rng.randbytes(20)}, {}):
            c.produce(self.topic, rng.randrange(PARTITIONS), rng.randbytes(40), headers)
        c.produce(self.topic, 0, None, {"run": run.encode(), "task": b"9:no body"})
        count["odd headers"] = 17
        c.flush()
        return unreadable, count

    def wrong_configs(self):
        tls = {k: v for k, v in self.secure_config().items() if k not in ("topic", "consumer_group")}
        plain = "127.0.0.1:%d" % self.node.port
        return [
            ("wrong password", dict(tls, sasl_password="wrong"), ("password",), False),
            ("certificate of a stranger", {k: v for k, v in tls.items() if k != "ssl_ca_location"}, ("TLS", "certificate"), False),
            ("TLS to a plain port", dict(tls, bootstrap_servers=plain), ("TLS",), False),
            ("plain to a TLS port", {"backend": "kafka", "bootstrap_servers": tls["bootstrap_servers"]}, ("localhost",), True),
            ("unknown host", {"backend": "kafka", "bootstrap_servers": "no-such-host.invalid:9092"}, ("no-such-host.invalid",), True),
            ("nobody listens", {"backend": "kafka", "bootstrap_servers": "127.0.0.1:%d" % free_port()}, ("127.0.0.1",), True),
        ]


def missing():
    try:
        librdkafka()
    except OSError:
        return "librdkafka is not installed"
    with open(os.path.join(os.path.dirname(START), "pom.xml")) as f:
        version = re.search(r"kafka_2\.13</artifactId>\s*<version>(.*?)</version>", f.read()).group(1)
    cache = os.environ.get("MGUARD_CACHE") or os.path.join(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"), "mguard")
    if not os.path.exists(os.path.join(cache, "kafka-" + version, "complete")) or shutil.which("java") is None:
        return "the Kafka broker is not installed: make test-deps"
    return None
