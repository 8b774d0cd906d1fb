"""Redis in company: a master with a replica under a Sentinel, and a cluster of three masters with a replica each.

stop and kill end the master that has the queue, and wait until another has taken over; again brings the old one back as a replica.
"""
import os
import signal
import subprocess

from brokers import Redis, Resp, free_port, wait_until


class Node:
    def __init__(self, folder, lines, sentinel=False):
        self.port, self.folder = free_port(), folder
        self.sentinel, self.process = sentinel, None
        os.makedirs(folder)
        with open(os.path.join(folder, "node.conf"), "w") as f:
            f.write("\n".join(["port %d" % self.port, "bind 127.0.0.1", "dir %s" % folder, "daemonize no"] + lines) + "\n")

    def start(self):
        argv = ["setpriv", "--pdeathsig", "KILL", "redis-server", os.path.join(self.folder, "node.conf")]
        with open(os.path.join(self.folder, "log"), "ab") as log:
            self.process = subprocess.Popen(argv + (["--sentinel"] if self.sentinel else []), stdin=subprocess.DEVNULL, stdout=log,
                                            stderr=log, start_new_session=True)
        wait_until(lambda: self.ask("PING") == b"PONG", 20, "the server in %s answers" % self.folder)

    def ask(self, *words):
        """None where it does not answer."""
        try:
            c = Resp(self.port, timeout=5)
        except OSError:
            return None
        try:
            return c(*words)
        except (OSError, RuntimeError):
            return None
        finally:
            c.close()

    def running(self):
        return self.process is not None and self.process.poll() is None

    def end(self, number):
        if self.running():
            self.process.send_signal(number)
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait(20)


class Group(Redis):
    """What sentinel and cluster have in common. Sub-classes say which node is in charge."""

    only = "plain|SIGKILL of a random|restarts"
    restarts = (True,)
    data = ["appendonly yes", "appendfsync everysec", 'save ""', "maxmemory-policy noeviction", "repl-diskless-sync-delay 0"]

    def __init__(self, folder):
        super().__init__(folder)
        self.nodes, self.fallen = [], None

    def add(self, name, lines, sentinel=False):
        node = Node(os.path.join(self.folder, name), lines, sentinel)
        self.nodes.append(node)
        node.start()
        return node

    def in_charge(self):
        """The node that has the queue; None where nobody says."""
        raise NotImplementedError

    def node_of(self, port):
        found = [n for n in self.nodes if n.port == port and n.running()]
        return found[0] if found and b"role:master" in (found[0].ask("INFO", "replication") or b"") else None

    def connect(self):
        if self.client is not None:
            self.client.close()
        self.client = Resp(wait_until(self.in_charge, 30, "a master is in charge").port)

    def residue(self, run):
        self.connect()  # a master that became a replica has closed its connections
        return super().residue(run)

    def replicated(self, replicas):
        def in_step():
            return all(b"master_link_status:up" in (r.ask("INFO", "replication") or b"") for r in replicas)

        wait_until(in_step, 30, "the replicas are in step", 0.05)

    def _end(self, number):
        self.replicated([n for n in self.nodes if n.running() and not n.sentinel and self.node_of(n.port) is None])
        self.fallen = self.in_charge()
        assert self.fallen is not None, "no master is in charge"
        if self.client is not None:
            self.client.close()
            self.client = None
        self.fallen.end(number)
        wait_until(lambda: self.in_charge() not in (None, self.fallen), 30, "another master takes over", 0.02)

    def again(self):
        self.fallen.start()
        self.connect()

    def close(self):
        if self.client is not None:
            self.client.close()
        for n in self.nodes:
            n.end(signal.SIGKILL)


class RedisSentinel(Group):
    name = "redis-sentinel"

    def start(self):
        master = self.add("first", self.data)
        replica = self.add("second", self.data + ["replicaof 127.0.0.1 %d" % master.port])
        self.replicated([replica])
        self.sentinel = self.add("sentinel", ["sentinel monitor queue 127.0.0.1 %d 1" % master.port,
                                              "sentinel down-after-milliseconds queue 2000", "sentinel failover-timeout queue 10000"], True)
        wait_until(lambda: len(self.sentinel.ask("SENTINEL", "REPLICAS", "queue") or []) == 1, 20, "the sentinel knows the replica")
        self.connect()

    def in_charge(self):
        at = self.sentinel.ask("SENTINEL", "GET-MASTER-ADDR-BY-NAME", "queue")
        return self.node_of(int(at[1])) if at else None

    def config(self, **more):
        connection = {"sentinels": ["127.0.0.1:%d" % self.sentinel.port], "sentinel_master": "queue"}
        return dict({"backend": "redis", "connection": connection}, **more)


class RedisCluster(Group):
    name = "redis-cluster"

    def start(self):
        lines = self.data + ["cluster-enabled yes", "cluster-node-timeout 1000", "cluster-replica-validity-factor 0"]
        buses = [free_port() for _ in range(6)]
        nodes = [self.add("node-%d" % i, lines + ["cluster-port %d" % bus]) for i, bus in enumerate(buses)]
        for i, first in enumerate((0, 5461, 10923)):
            nodes[i].ask("CLUSTER", "ADDSLOTSRANGE", first, (5460, 10922, 16383)[i])
        for n, bus in zip(nodes[1:], buses[1:]):
            nodes[0].ask("CLUSTER", "MEET", "127.0.0.1", n.port, bus)
        wait_until(lambda: all((n.ask("CLUSTER", "NODES") or b"").count(b"\n") == 6 for n in nodes), 30, "all nodes know each other", 0.05)
        for i, n in enumerate(nodes[3:]):
            master = nodes[i].ask("CLUSTER", "MYID")
            wait_until(lambda: n.ask("CLUSTER", "REPLICATE", master) == b"OK", 20, "a replica follows its master", 0.05)
        self.replicated(nodes[3:])
        wait_until(lambda: all(b"cluster_state:ok" in (n.ask("CLUSTER", "INFO") or b"") for n in nodes), 30, "the cluster is healthy", 0.05)
        self.connect()

    def in_charge(self):
        for n in self.nodes:
            slots = n.ask("CLUSTER", "SLOTS") if n.running() else None
            slot = n.ask("CLUSTER", "KEYSLOT", self.key("active")) if slots else None
            for s in slots or []:
                if slot is not None and s[0] <= slot <= s[1]:
                    return self.node_of(int(s[2][1]))
        return None

    def config(self, **more):
        connection = {"hosts": ["127.0.0.1:%d" % n.port for n in self.nodes[:3]], "cluster": True}
        return dict({"backend": "redis", "connection": connection}, **more)
