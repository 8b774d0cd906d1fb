"""SQS: the stand-in fauxqs behind a proxy of ours. The service itself never restarts; what goes away and comes back is the way to it."""
import json
import os
import subprocess
import urllib.error
import urllib.parse
import urllib.request

from brokers import Broker, Unsupported, free_port
from proxy import Proxy

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
HERE = os.path.join(ROOT, "tests", "brokers", "sqs")


def stand_ins():
    """The folder of the stand-ins, or None."""
    found = subprocess.run([os.path.join(ROOT, "scripts", "sqs-stand-ins"), "where"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    return found.stdout.strip() if found.returncode == 0 else None


class Sqs(Broker):
    name = "sqs"
    fifo = False
    redelivers = connectionless = True
    short = "plain run|SIGKILL of a random"

    def __init__(self, folder):
        super().__init__(folder)
        self.server = self.proxy = None
        self.links = []

    def _launch(self, argv, log):
        with open(os.path.join(self.folder, log), "ab") as errors:
            process = subprocess.Popen(["setpriv", "--pdeathsig", "KILL"] + argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=errors,
                                       start_new_session=True)
        line = process.stdout.readline()
        assert line.strip().isdigit(), "%s did not start, see %s" % (argv[0], os.path.join(self.folder, log))
        return process, int(line)

    def start(self, **how):
        if how:
            raise Unsupported("sqs: the stand-in has neither passwords nor TLS")
        self.port = free_port()
        self.server, self.upstream = self._launch(["node", os.path.join(HERE, "fauxqs_server.mjs"), os.path.join(stand_ins(), "npm"),
                                                   "127.0.0.1:%d" % self.port], "fauxqs.log")
        self.proxy = Proxy()
        self.links = [self.proxy.link("127.0.0.1", self.upstream, self.port)]
        name = "tasks.fifo" if self.fifo else "tasks"
        self.queue = self.call("CreateQueue", QueueName=name, Attributes={"FifoQueue": "true"} if self.fifo else {})["QueueUrl"]

    def again(self):
        for link in self.links:
            link.open()

    def stop(self):
        for link in self.links:
            link.shut()

    kill = stop

    def close(self):
        if self.proxy is not None:
            self.proxy.close()
            self.proxy = None
        if self.server is not None:
            self.server.kill()
            self.server.wait(20)
            self.server.stdout.close()
            self.server = None

    def config(self, **more):
        return dict({"backend": "sqs", "queue_url": self.queue, "endpoint_url": "http://127.0.0.1:%d" % self.port, "region": "us-east-1",
                     "aws_access_key_id": "AKIATESTTESTTESTTEST", "aws_secret_access_key": "nobody looks at it"}, **more)

    def way(self, _proxy, _number):
        self.links.append(self.proxy.link("127.0.0.1", self.upstream))
        return self.links[-1]

    def through(self, config, port):
        return dict(config, endpoint_url="http://127.0.0.1:%d" % port)

    def call(self, action, **wish):
        """Past the proxy."""
        request = urllib.request.Request("http://127.0.0.1:%d/" % self.upstream, json.dumps(wish).encode(),
                                         {"Content-Type": "application/x-amz-json-1.0", "X-Amz-Target": "AmazonSQS." + action})
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(request, timeout=30) as reply:
            return json.loads(reply.read() or b"{}")

    def beside(self, suffix):
        base, _, name = self.queue.rpartition("/")
        return "%s/%s-%s" % (base, name.replace(".fifo", ""), suffix)

    def count(self, queue):
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible", "ApproximateNumberOfMessagesDelayed"]
        try:
            found = self.call("GetQueueAttributes", QueueUrl=queue, AttributeNames=names)["Attributes"]
        except urllib.error.HTTPError:
            return 0
        return sum(int(found[n]) for n in names)

    # --- harm ---

    def reset_connections(self):
        return sum(link.reset() for link in self.links)

    def residue(self, run):
        counts = {"tasks": self.count(self.queue), "results": self.count(self.beside("results-" + run))}
        return {place: n for place, n in counts.items() if n > 0}

    def dead_letters(self, run):
        queue, found = self.beside("dead.fifo" if self.fifo else "dead"), {}
        for _ in range(3 + self.count(queue) // 10):
            try:
                reply = self.call("ReceiveMessage", QueueUrl=queue, MaxNumberOfMessages=10, VisibilityTimeout=1)
            except urllib.error.HTTPError:
                break
            for message in reply.get("Messages") or []:
                head = dict(word.split("=", 1) for word in message["Body"].split("\n")[0].split(" ")[1:])
                if urllib.parse.unquote(head.get("r", "")) == run:
                    found[urllib.parse.unquote(head["t"])] = True
        return list(found)


class SqsFifo(Sqs):
    name = "sqs-fifo"
    fifo = True
