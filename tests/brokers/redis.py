"""Redis servers for tests written in Python: free ports of 127.0.0.1, a temporary folder, AOF on, stopped by process id.

    with Redis() as r:            # r.port, r.unix_path, r.folder
        r.cli("DBSIZE")
        r.kill(); r.again()
    with Redis(tls=True) as r: ...        # r.certificates: ca.crt, client.crt, client.key; need_client=True asks for one
    with Redis(config="maxmemory 10mb"): ...
    with Sentinel() as s: ...             # s.servers[0] is the master "mymaster", s.port the Sentinel's
    with Cluster() as c: ...              # c.nodes: three masters, three replicas; c.owner("{mguard:tasks}")

options() gives the connection part of a queue configuration.
"""
import ctypes
import os
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import time

READY_S = 15


def free_port():
    """A port that is free, as is its bus port; below those that the system gives to outgoing connections."""
    for _ in range(200):
        port = random.randrange(12000, 22000)
        try:
            for p in (port, port + 10000):
                with socket.socket() as s:
                    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                    s.bind(("127.0.0.1", p))
            return port
        except OSError:
            continue
    raise RuntimeError("no free port found")


def certificates(folder):
    """ca.crt, server.crt, server.key (localhost, broker.test, 127.0.0.1), client.crt, client.key."""
    new = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]

    def openssl(*args):
        subprocess.run(["openssl", *args], cwd=folder, check=True, capture_output=True)

    openssl("req", "-x509", *new, "-days", "2", "-subj", "/CN=ca", "-keyout", "ca.key", "-out", "ca.crt")
    with open(os.path.join(folder, "names"), "w", encoding="ascii") as f:
        f.write("subjectAltName=DNS:localhost,DNS:broker.test,IP:127.0.0.1\n")
    for who in ("server", "client"):
        openssl("req", *new, "-subj", "/CN=" + who, "-keyout", who + ".key", "-out", who + ".csr")
        openssl("x509", "-req", "-in", who + ".csr", "-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2",
                "-extfile", "names", "-out", who + ".crt")


def _die_with_parent():
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG


def wait_for(what, condition, limit_s=READY_S):
    end = time.monotonic() + limit_s
    while not condition():
        if time.monotonic() >= end:
            raise TimeoutError("waited %s s for %s" % (limit_s, what))
        time.sleep(0.02)


class Redis:
    def __init__(self, config="", tls=False, need_client=False, user="", password="", program="redis-server"):
        self.program, self.user, self.password = program, user, password
        self.folder = tempfile.mkdtemp(prefix="mguard-test-")
        self.unix_path = os.path.join(self.folder, "socket")
        self.certificates = self.folder if tls else ""
        self.process = None
        lines = ["bind 127.0.0.1", "dir " + self.folder]
        if tls:
            certificates(self.folder)
            lines += ["tls-%s-file %s/%s" % (name, self.folder, file) for name, file in
                      (("ca-cert", "ca.crt"), ("cert", "server.crt"), ("key", "server.key"))]
            lines.append("tls-auth-clients " + ("yes" if need_client else "no"))
        if program == "redis-server":
            lines += ["appendonly yes", "appendfsync everysec", 'save ""', "unixsocket " + self.unix_path]
        for attempt in range(5):
            self.port = free_port()
            ports = ["port 0", "tls-port %d" % self.port] if tls else ["port %d" % self.port]
            with open(os.path.join(self.folder, "conf"), "w", encoding="ascii") as f:
                f.write("\n".join(ports + lines + [config, ""]))
            try:
                self.again()
                return
            except RuntimeError:
                if attempt == 4:
                    raise

    def _accepts(self):
        if self.process.poll() is not None:
            with open(os.path.join(self.folder, "log"), encoding="utf-8", errors="replace") as f:
                raise RuntimeError("%s ended: %s" % (self.program, f.read()[-1000:]))
        with socket.socket() as s:
            return s.connect_ex(("127.0.0.1", self.port)) == 0

    def again(self):
        """Starts it, after stop or kill with the same folder, port and data."""
        with open(os.path.join(self.folder, "log"), "ab") as log:
            self.process = subprocess.Popen([self.program, os.path.join(self.folder, "conf")], stdin=subprocess.DEVNULL,
                                            stdout=log, stderr=log, preexec_fn=_die_with_parent)
        wait_for("%s on port %d" % (self.program, self.port), self._accepts)

    def _end(self, number):
        if self.process is None:
            return
        for n in (signal.SIGCONT, number):
            if self.process.poll() is None:
                self.process.send_signal(n)
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process = None

    def stop(self):
        self._end(signal.SIGTERM)

    def kill(self):
        self._end(signal.SIGKILL)

    def close(self):
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def cli(self, *args, check=True, data=None):
        """redis-cli's output without the last line end; bytes where data (for -x) is given as bytes."""
        command = ["redis-cli", "-h", "127.0.0.1", "-p", str(self.port), "-e"]
        if self.certificates:
            command += ["--tls", "--cacert", self.certificates + "/ca.crt", "--cert", self.certificates + "/client.crt",
                        "--key", self.certificates + "/client.key"]
        if self.password:
            command += ["--no-auth-warning", "--user", self.user or "default", "--pass", self.password]
        if data is not None:
            command.append("-x")
        done = subprocess.run(command + [str(a) for a in args], input=data, capture_output=True, timeout=30, check=False)
        if check and done.returncode != 0:
            raise RuntimeError("redis-cli %s: %s" % (" ".join(map(str, args)), (done.stdout + done.stderr).decode(errors="replace")))
        return done.stdout.decode(errors="replace").rstrip("\r\n")

    def drop_connections(self):
        """Resets every connection but redis-cli's; how many there were."""
        return int(self.cli("CLIENT", "KILL", "TYPE", "normal"))

    def options(self):
        o = {"host": "localhost", "port": self.port}
        if self.user:
            o["username"] = self.user
        if self.password:
            o["password"] = self.password
        if self.certificates:
            o.update(ssl=True, ssl_ca_location=self.certificates + "/ca.crt",
                     ssl_certificate_location=self.certificates + "/client.crt", ssl_key_location=self.certificates + "/client.key")
        return o


class Sentinel:
    def __init__(self):
        fast = "repl-diskless-sync-delay 0"
        self.servers = [Redis(fast)]
        self.servers.append(Redis("replicaof 127.0.0.1 %d\n%s" % (self.servers[0].port, fast)))
        wait_for("the replica", lambda: "master_link_status:up" in self.servers[1].cli("INFO", "replication"))
        self.sentinel = Redis("sentinel monitor mymaster 127.0.0.1 %d 1\nsentinel down-after-milliseconds mymaster 500\n"
                              "sentinel failover-timeout mymaster 3000" % self.servers[0].port, program="redis-sentinel")
        self.port = self.sentinel.port
        wait_for("the sentinel", lambda: "slaves=1" in self.sentinel.cli("INFO", "sentinel"))

    def options(self):
        return {"sentinels": ["127.0.0.1:%d" % self.port], "sentinel_master": "mymaster"}

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for r in [self.sentinel] + self.servers:
            r.close()


class Cluster:
    RANGES = ((0, 5460), (5461, 10922), (10923, 16383))

    def __init__(self):
        self.nodes = [Redis("cluster-enabled yes\ncluster-node-timeout 1000\ncluster-config-file nodes\n"
                            "repl-diskless-sync-delay 0\ncluster-allow-replica-migration no") for _ in range(6)]
        for i, node in enumerate(self.nodes):
            node.cli("CLUSTER", "SET-CONFIG-EPOCH", i + 1)
            if i < 3:
                node.cli("CLUSTER", "ADDSLOTSRANGE", *self.RANGES[i])
            if i > 0:
                node.cli("CLUSTER", "MEET", "127.0.0.1", self.nodes[0].port)
        for node in self.nodes:
            wait_for("nodes to meet", lambda n=node: n.cli("CLUSTER", "NODES").count("connected") >= 6)
        for master, replica in zip(self.nodes[:3], self.nodes[3:]):
            replica.cli("CLUSTER", "REPLICATE", master.cli("CLUSTER", "MYID"))
        for i, node in enumerate(self.nodes):
            wait_for("a healthy cluster", lambda n=node: "cluster_state:ok" in n.cli("CLUSTER", "INFO")
                     and n.cli("CLUSTER", "NODES").count("slave") == 3)
            if i >= 3:
                wait_for("replicas", lambda n=node: "master_link_status:up" in n.cli("INFO", "replication"))

    def owner(self, key):
        """The running node that has the key's slot, or None."""
        for node in self.nodes:
            if node.process is None:
                continue
            slot = int(node.cli("CLUSTER", "KEYSLOT", key))
            for line in node.cli("CLUSTER", "NODES").splitlines():
                words = line.split()
                if "myself,master" not in words[2]:
                    continue
                for word in words[8:]:
                    first, _, last = word.partition("-")
                    if first.isdigit() and int(first) <= slot <= int(last or first):
                        return node
        return None

    def options(self):
        return {"cluster": True, "hosts": ["127.0.0.1:%d" % n.port for n in self.nodes]}

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for node in self.nodes:
            node.close()
