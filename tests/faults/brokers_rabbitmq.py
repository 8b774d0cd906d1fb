"""RabbitMQ: private nodes with the management plugin, which does the harm. Tests that hurt the node itself have one of their own; the others share
one, each in a virtual host of its own."""
import base64
import json
import os
import re
import shutil
import signal
import subprocess
import threading
import urllib.error
import urllib.parse
import urllib.request

from brokers import Broker, Redis, end_process, free_port, wait_until

PROGRAMS = "/usr/lib/rabbitmq/bin/"  # those in /usr/sbin change the user
QUEUE = "mguard_tasks"
SHELL = ('F = fun G() -> case io:get_line("") of eof -> halt(); L -> {ok, T, _} = erl_scan:string(L), {ok, E} = erl_parse:parse_exprs(T), '
         '{value, V, _} = erl_eval:exprs(E, []), io:format("~0p~n", [V]), G() end end, F().')


class Node:
    """A node and its epmd; both die with the thread that started them."""

    def __init__(self, folder, password="guest", lines=(), erlang=""):
        self.folder, self.password = folder, password
        os.makedirs(folder, exist_ok=True)
        self.port, self.tls_port, self.web_port, self.epmd_port, self.dist_port = (free_port() for _ in range(5))
        self.user = "guest" if password == "guest" else "mguard"
        self.process = self.epmd = self.shell = None
        config = ["listeners.tcp.1 = 127.0.0.1:%d" % self.port, "management.tcp.ip = 127.0.0.1", "management.tcp.port = %d" % self.web_port,
                  "default_user = %s" % self.user, "default_pass = %s" % password, "log.console = false", "log.file.level = warning",
                  "disk_free_limit.absolute = 10MB", "vm_memory_high_watermark.absolute = 1GB", "collect_statistics_interval = 250"] + list(lines)
        with open(os.path.join(folder, "rabbitmq.conf"), "w") as f:
            f.write("\n".join(config) + "\n")
        with open(os.path.join(folder, "plugins"), "w") as f:
            f.write("[rabbitmq_management].\n")
        self.environment = dict(
            os.environ, HOME=folder, ERL_EPMD_PORT=str(self.epmd_port), ERL_EPMD_ADDRESS="127.0.0.1", RABBITMQ_NODENAME="mg%d@localhost" % self.port,
            RABBITMQ_DIST_PORT=str(self.dist_port), RABBITMQ_CONF_ENV_FILE=os.path.join(folder, "env"),
            RABBITMQ_CONFIG_FILE=os.path.join(folder, "rabbitmq"), RABBITMQ_MNESIA_BASE=os.path.join(folder, "data"),
            RABBITMQ_LOG_BASE=os.path.join(folder, "logs"), RABBITMQ_ENABLED_PLUGINS_FILE=os.path.join(folder, "plugins"),
            RABBITMQ_PID_FILE=os.path.join(folder, "pid"), RABBITMQ_ALLOW_INPUT="1",
            RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS="-noinput -setcookie mguard +S 2:2 +sbwt none -kernel inet_dist_use_interface {127,0,0,1} "
                                                "-rabbit quorum_tick_interval 250 " + erlang)

    def _launch(self, argv, log):
        with open(os.path.join(self.folder, log), "ab") as out:
            return subprocess.Popen(["setpriv", "--pdeathsig", "KILL"] + argv, env=self.environment, stdin=subprocess.DEVNULL, stdout=out, stderr=out,
                                    start_new_session=True)

    def up(self):
        if self.epmd is None:
            self.epmd = self._launch(["epmd", "-port", str(self.epmd_port), "-address", "127.0.0.1"], "epmd.log")
        self.process = self._launch([PROGRAMS + "rabbitmq-server"], "log")

        def answers():
            assert self.process.poll() is None, "the node ended with %r, see %s/log" % (self.process.returncode, self.folder)
            try:
                return self.api("GET", "/api/overview").get("listeners")
            except (OSError, ValueError, AssertionError):
                return None

        wait_until(answers, 120, "the node in %s answers" % self.folder, 0.1)

    def down(self, number):
        if self.process is None:
            return
        end_process(self.process, number)
        self.process = None

    def end(self):
        self.down(signal.SIGKILL)
        if self.shell is not None:
            self.shell.kill()
            self.shell.wait(20)
            self.shell = None
        if self.epmd is not None:
            self.epmd.kill()
            self.epmd.wait(20)
            self.epmd = None

    def api(self, method, path, body=None):
        request = urllib.request.Request("http://127.0.0.1:%d%s" % (self.web_port, path), None if body is None else json.dumps(body).encode(),
                                         {"Content-Type": "application/json"}, method=method)
        request.add_header("Authorization", "Basic " + base64.b64encode(("%s:%s" % (self.user, self.password)).encode()).decode())
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(request, timeout=30) as reply:
            return json.loads(reply.read() or b"{}")

    def eval(self, erlang):
        """One line to a shell beside the node, where N is the node; rabbitmqctl does the same and takes seconds to start."""
        if self.shell is None:
            argv = ["setpriv", "--pdeathsig", "KILL", "erl", "-noshell", "-hidden", "-sname", "shell%d@localhost" % self.port, "-setcookie", "mguard", "-eval", SHELL]
            self.shell = subprocess.Popen(argv, env=self.environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True)
        self.shell.stdin.write("N = mg%d@localhost, %s.\n" % (self.port, erlang))
        self.shell.stdin.flush()
        answer = self.shell.stdout.readline().strip()
        assert answer and "badrpc" not in answer, "%s: %s" % (erlang, answer)
        return answer


class RabbitMQ(Broker):
    name = "rabbitmq"
    chooses = False
    redelivers = True  # at once, where it sees the connection go
    restarts = (False,)  # a quorum queue of some seconds takes no more messages after a crash: RabbitMQ 3.10
    # The others are for the full form: nodes are slow to start.
    short = "plain|SIGKILL of a random|spawn_local|several runs|kills its worker|every connection reset|the queue is deleted|restarts|full"
    own = "restarts|full|wrong connections|stays away|time limit of the broker"  # these get a node of their own
    full_words = ("takes no messages", "memory")
    hold_limit_s = 2

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
        self.node, self.mine, self.vhost = None, False, "/"

    def start(self, password=None, tls=False, hold_limit=False):
        lines = []
        if tls:
            Redis._certificate(self)
            files = {"cacertfile": "cert.pem", "certfile": "cert.pem", "keyfile": "key.pem"}
            lines = ["ssl_options.%s = %s" % (k, os.path.join(self.folder, f)) for k, f in files.items()]
            lines += ["ssl_options.verify = verify_none", "ssl_options.fail_if_no_peer_cert = false"]
        with RabbitMQ.lock:
            RabbitMQ.count += 1
            number = RabbitMQ.count
        self.mine = bool(password or tls or hold_limit or re.search(self.own, self.test))
        if not self.mine:
            self.node, self.vhost = self.shared, "test-%d" % number
            self.node.api("PUT", "/api/vhosts/" + self.vhost)
            self.node.api("PUT", "/api/permissions/%s/%s" % (self.vhost, self.node.user), {"configure": ".*", "write": ".*", "read": ".*"})
            return
        erlang = "-rabbit consumer_timeout %d -rabbit channel_tick_interval 500" % (self.hold_limit_s * 1000) if "time limit" in self.test else ""
        self.node = Node(os.path.join(self.folder, "node-%d" % number), password or "guest", lines, erlang)
        if tls:
            with open(os.path.join(self.node.folder, "rabbitmq.conf"), "a") as f:
                f.write("listeners.ssl.1 = 127.0.0.1:%d\n" % self.node.tls_port)
        self.node.up()

    def again(self):
        self.node.up()

    def stop(self):
        if self.node is not None:
            self.node.down(signal.SIGTERM)

    def kill(self):
        self.node.down(signal.SIGKILL)

    def close(self):
        if self.node is not None and self.mine:
            self.node.end()
        elif self.node is not None:
            self.node.api("DELETE", "/api/vhosts/" + self.vhost)

    def config(self, **more):
        c = {"host": "127.0.0.1", "port": self.node.port, "virtual_host": self.vhost, "username": self.node.user, "password": self.node.password}
        return dict({"backend": "rabbitmq", "connection": c, "queue_name": QUEUE}, **more)

    def secure_config(self, **more):
        c = self.config(**more)
        c["connection"].update(port=self.node.tls_port, ssl=True, ssl_ca_location=os.path.join(self.folder, "cert.pem"))
        return c

    def address(self):
        return "127.0.0.1", self.node.port

    def through(self, config, port):
        return dict(config, connection=dict(config["connection"], port=port))

    def telling_config(self):
        return self.config(management_url="http://%s:%s@127.0.0.1:%d/" % (self.node.user, self.node.password, self.node.web_port))

    # --- harm ---

    def _at(self, kind, name="", rest=""):
        return "/api/%s/%s%s%s" % (kind, urllib.parse.quote(self.vhost, ""), "/" + urllib.parse.quote(name, "") if name else "", rest)

    def reset_connections(self):
        return int(self.node.eval(
            'length([rpc:call(N, rabbit_networking, close_connection, [P, "for a test"]) || P <- rpc:call(N, rabbit_networking, connections, []), '
            'rpc:call(N, rabbit_networking, connection_info, [P, [vhost]]) =:= [{vhost, <<"%s">>}]])' % self.vhost))

    def delete_queue(self):
        """Of tasks, with all that waits there. False where it is not made again yet."""
        try:
            self.node.api("DELETE", self._at("queues", QUEUE))
        except urllib.error.HTTPError as e:
            if e.code != 404:
                raise
            return False
        return True

    def _queues(self):
        return self.node.api("GET", self._at("queues"))

    def _get(self, queue, count=1000):
        """(headers, body) of what waits there; it goes back."""
        try:
            found = self.node.api("POST", self._at("queues", queue, "/get"), {"count": count, "ackmode": "ack_requeue_true", "encoding": "base64"})
        except urllib.error.HTTPError:
            return []
        return [(m["properties"].get("headers") or {}, base64.b64decode(m["payload"])) for m in found]

    def residue(self, run):
        queues = {q["name"]: q.get("messages") or 0 for q in self._queues()}  # the numbers are some seconds old
        results = "%s.results.%s" % (QUEUE, run)
        left = {results: "is there still"} if results in queues else {}
        for name in queues:
            if name == QUEUE or name.startswith(QUEUE + ".retry."):
                waiting = sum(h.get("run") == run for h, _ in self._get(name))
                if waiting or queues[name]:
                    left[name] = waiting or queues[name]
        return left

    def dead_letters(self, run):
        return [h["task"] for h, _ in self._get(QUEUE + ".dead") if h.get("run") == run]

    def fill(self, full):
        self.node.eval("rpc:call(N, vm_memory_monitor, set_vm_memory_high_watermark, [%s])" % ("0.00001" if full else "{absolute, 1 bsl 30}"))

    def _publish(self, exchange, key, body, **properties):
        properties.setdefault("headers", {})
        how = {"properties": properties, "routing_key": key, "payload": base64.b64encode(body).decode(), "payload_encoding": "base64"}
        return self.node.api("POST", self._at("exchanges", exchange or "amq.default", "/publish"), how)["routed"]

    def strange_task(self, run):
        try:
            return self._publish("", QUEUE, b"\x63\0of a later version", headers={"run": run, "task": "9:strange", "attempt": 1})
        except urllib.error.HTTPError:
            return False  # while it is made

    def spoil(self, run, rng):
        tap, count, unreadable = "tap", {}, []
        self.node.api("PUT", self._at("queues", tap), {"auto_delete": False, "durable": False, "arguments": {"x-max-length": 100}})
        self.node.api("POST", "/api/bindings/%s/e/%s.beats/q/%s" % (urllib.parse.quote(self.vhost, ""), QUEUE, tap), {"routing_key": ""})
        beats = [body for h, body in self._get(tap, 100) if str(h.get("from", 7)) != "7" and not str(h["from"]).startswith("spoilt")]
        whole = [body for h, body in self._get(QUEUE, 20) if h.get("run") == run and not h["task"].startswith("9:")]
        if not whole or not beats:
            return None
        for kind, bad in Redis._variants(self, whole[0], rng).items():
            task = "9:spoilt %s %d" % (kind, rng.randrange(10 ** 9))
            self._publish("", QUEUE, bad, headers={"run": run, "task": task, "attempt": 1})
            count["tasks"] = count.get("tasks", 0) + 1
            if kind in ("garbage", "text", "empty", "zeros", "wrong MAC", "unsigned") or kind.startswith("truncated"):
                unreadable.append(task)
        for kind, bad in Redis._variants(self, beats[0], rng).items():
            self._publish("", "%s.results.%s" % (QUEUE, run), bad, headers={"run": run, "task": "9:x", "attempt": 1})
            for place in ("beats", "controls"):
                self._publish("%s.%s" % (QUEUE, place), "", bad, headers={"from": "spoilt " + kind}, expiration="60000")
                count[place] = count.get(place, 0) + 1
            count["results"] = count.get("results", 0) + 1
        for place in ("beats", "controls"):
            self._publish("%s.%s" % (QUEUE, place), "delay", b"x", headers={"from": "no such queue"}, expiration="60000")
            self._publish("%s.%s" % (QUEUE, place), "nobody", b"", headers={"from": 7, "else": False})
        return unreadable, count

    def wrong_configs(self):
        node = self.node
        here = {"host": "127.0.0.1", "port": node.port, "virtual_host": "/", "username": node.user, "password": node.password}
        tls = dict(here, port=node.tls_port)
        node.api("PUT", "/api/vhosts/closed")
        node.api("PUT", "/api/users/poor", {"password": "poor", "tags": ""})

        def one(what, connection, words, again, **more):
            return what, dict({"backend": "rabbitmq", "connection": connection}, **more), words, again

        return [
            one("wrong password", dict(here, password="wrong"), ("password",), False),
            one("no such virtual host", dict(here, virtual_host="nowhere"), ("nowhere", "virtual_host"), False),
            one("no permission", dict(here, virtual_host="closed", username="poor", password="poor"), ("closed", "permissions"), False),
            one("TLS to a plain port", dict(here, ssl=True, ssl_verify=False), ("TLS", "plain"), False),
            one("plain to a TLS port", tls, ("TLS",), None),
            one("certificate of a stranger", dict(tls, ssl=True), ("certificate",), None),
            one("unknown host", dict(here, host="no-such-host.invalid"), ("no-such-host.invalid",), True),
            one("nobody listens", dict(here, port=free_port()), ("127.0.0.1",), True),
        ]


def missing():
    return None if shutil.which("rabbitmq-server") and os.path.exists(PROGRAMS + "rabbitmq-server") else "rabbitmq-server is not installed"
