"""A proxy before a stand-in for SQS and S3 that knows their protocol: it refuses entries, fails and cuts calls, repeats messages, shifts the clock.

In Python: `Disturber("127.0.0.1", port)`, `set(status=..., ...)`, `close()`. As a program: `disturber.py UPSTREAM_PORT` prints its port; then
`POST /_disturb` with the same settings as JSON, and `GET /_seen` for what passed. What can be set (0, "" or an empty list: not):

failed_entries  so many entries of each batch, but one, chosen by chance, are not passed on and told as Failed[] of an answer 200
faults          {"500": p, "503": p}: the answer of so many calls
cut             share of calls whose connection is cut, before or after the stand-in had them
cut_answers     {action: n}: the next n answers are cut
empty_answers   {action: n}: the next n are not passed on; their answer has nothing in it
delayed, delay_s  share of the answers that come so much later
repeated        share of received messages that somebody gets once more
date_shift_s    added to the Date of answers; calls signed by another clock are refused, as the service does
ended_keys      access keys whose credentials have ended
errors          {action: [status, code, message]}
attributes      {name: value} put into the answers of GetQueueAttributes
"""
import calendar
import email.utils
import http.client
import http.server
import json
import random
import socket
import struct
import sys
import threading
import time

NOTHING = {"failed_entries": 0, "faults": {}, "cut": 0.0, "cut_answers": {}, "empty_answers": {}, "delayed": 0.0, "delay_s": 0.0, "repeated": 0.0,
           "date_shift_s": 0, "ended_keys": [], "errors": {}, "attributes": {}}
S3 = {"PUT": "PutObject", "GET": "GetObject", "DELETE": "DeleteObject"}
SKEW_S = 300  # that the service puts up with
ATTEMPTS_S = 300


class _Cut(Exception):
    pass


class Disturber:
    def __init__(self, host, port, own_port=0, seed=None):
        self.upstream = (host, port)
        self.lock = threading.Lock()
        self.how = dict(NOTHING)
        self.rng = random.Random(seed)
        self.actions, self.hits, self.attempts = {}, {}, {}  # (service, action) or what was done -> how often
        self.once_more = {}  # queue -> messages
        self.local = threading.local()
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True
            timeout = 120

            def handle_one_request(self):
                try:
                    super().handle_one_request()
                except (_Cut, OSError):
                    self.close_connection = True

            def answer(self):
                outer.answer(self)

            do_GET = do_POST = do_PUT = do_DELETE = answer

            def log_message(self, *_):
                pass

        class Server(http.server.ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 64

            def handle_error(self, *_):
                pass

        self.server = Server(("127.0.0.1", own_port), Handler)
        self.port = self.server.server_address[1]
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        self.thread.start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()

    def set(self, **how):
        """What is not named stays as it is."""
        unknown = set(how) - set(NOTHING)
        assert not unknown, "unknown: %r" % unknown
        with self.lock:
            self.how.update(how)

    def calm(self):
        self.set(**NOTHING)

    def seen(self):
        with self.lock:
            return {"actions": {"%s:%s" % k: n for k, n in sorted(self.actions.items())}, "hits": dict(self.hits),
                    "attempts": {k: v[0] for k, v in self.attempts.items()}}

    # --- one request ---

    def answer(self, h):
        body = h.rfile.read(int(h.headers.get("Content-Length") or 0))
        if h.path.startswith("/_"):
            if h.path == "/_disturb":
                self.set(**json.loads(body))
            self.send(h, 200, json.dumps(self.seen()).encode())
            return
        target = h.headers.get("X-Amz-Target")
        service = "sqs" if target else "sts" if h.path == "/" else "s3"
        action = target.split(".")[-1] if target else S3.get(h.command, h.command)
        with self.lock:
            key = (service, action)
            self.actions[key] = self.actions.get(key, 0) + 1
            how, dice = dict(self.how), [self.rng.random() for _ in range(4)]
            refusal = self.refusal(h, how, action)
            cut_answer = self.count_down(how["cut_answers"], action)
            empty = self.count_down(how["empty_answers"], action)
        if refusal is None and empty:
            refusal = 200, "", ""
        if refusal is None:
            share = dice[0]
            for status, p in how["faults"].items():
                if share < p:
                    refusal = int(status), "ServiceUnavailable" if status == "503" else "InternalFailure", "by the test"
                    break
                share -= p
        if refusal is not None:
            self.hit("%d %s" % refusal[:2])
            text = {} if refusal[0] == 200 else {"__type": "com.amazonaws.sqs#" + refusal[1], "message": refusal[2]}
            self.send(h, refusal[0], json.dumps(text).encode(), how["date_shift_s"])
            return
        if dice[1] < how["cut"] / 2:
            self.cut(h)
        wish = json.loads(body) if target and body else {}
        status, headers, reply = self.ask(h, service, action, wish, body, how)
        if cut_answer or dice[1] < how["cut"]:
            self.cut(h)
        if dice[2] < how["delayed"]:
            self.hit("delayed")
            time.sleep(how["delay_s"])
        self.send(h, status, reply, how["date_shift_s"], headers)

    def count_down(self, counts, action):
        if counts.get(action, 0) <= 0:
            return False
        counts[action] -= 1
        return True

    def refusal(self, h, how, action):
        authorization = h.headers.get("Authorization", "")
        for key in how["ended_keys"]:
            if "Credential=%s/" % key in authorization:
                return 403, "ExpiredTokenException", "The security token included in the request is expired"
        if action in how["errors"]:
            return tuple(how["errors"][action])
        stamp = h.headers.get("X-Amz-Date")
        if stamp and how["date_shift_s"]:
            signed = calendar.timegm(time.strptime(stamp, "%Y%m%dT%H%M%SZ"))
            if abs(signed - time.time() - how["date_shift_s"]) > SKEW_S:
                return 403, "InvalidSignatureException", "Signature expired: %s is now earlier than the service's clock" % stamp
        return None

    def hit(self, what, n=1):
        with self.lock:
            self.hits[what] = self.hits.get(what, 0) + n

    def cut(self, h):
        self.hit("cut")
        h.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        raise _Cut

    # --- upstream, and what is done to requests and answers ---

    def ask(self, h, service, action, wish, body, how):
        queue, attempt = wish.get("QueueUrl", ""), wish.get("ReceiveRequestAttemptId")
        if attempt:
            with self.lock:
                known = self.attempts.get(attempt)
                self.attempts[attempt] = ((known[0] if known else 0) + 1, known[1] if known else None, time.monotonic())
            if known and known[1] is not None and time.monotonic() - known[2] < ATTEMPTS_S:
                self.hit("asked again")
                return known[1]
        refused = []
        if how["failed_entries"] and len(wish.get("Entries") or []) > 1:
            with self.lock:
                refused = self.rng.sample(wish["Entries"], min(how["failed_entries"], len(wish["Entries"]) - 1))
            left = [e for e in wish["Entries"] if e not in refused]
            self.hit("failed entries", len(refused))
            body = json.dumps(dict(wish, Entries=left)).encode()
        status, headers, reply = self.upstream_ask(h, body)
        if status == 200 and service == "sqs":
            if refused:
                reply = self.with_failed(json.loads(reply), refused)
            if action == "ReceiveMessage" and how["repeated"]:
                reply = self.repeat(queue, json.loads(reply or b"{}"), int(wish.get("MaxNumberOfMessages", 1)), how["repeated"])
            if action == "GetQueueAttributes" and how["attributes"]:
                answer = json.loads(reply)
                answer.setdefault("Attributes", {}).update(how["attributes"])
                reply = json.dumps(answer).encode()
        if attempt and status == 200:
            with self.lock:
                self.attempts[attempt] = (self.attempts[attempt][0], (status, headers, reply), time.monotonic())
        return status, headers, reply

    def with_failed(self, answer, refused):
        answer["Failed"] = answer.get("Failed", []) + [
            {"Id": e["Id"], "SenderFault": False, "Code": "InternalError", "Message": "by the test"} for e in refused]
        answer.setdefault("Successful", [])
        return json.dumps(answer).encode()

    def repeat(self, queue, answer, most, share):
        with self.lock:
            messages, waiting = answer.get("Messages") or [], self.once_more.setdefault(queue, [])
            while waiting and len(messages) < most:
                messages.append(waiting.pop())
                self.hits["repeated"] = self.hits.get("repeated", 0) + 1
            waiting += [m for m in messages if self.rng.random() < share]
        if messages:
            answer["Messages"] = messages
        return json.dumps(answer).encode()

    def upstream_ask(self, h, body):
        headers = {k: v for k, v in h.headers.items() if k.lower() not in ("connection", "content-length", "expect", "accept-encoding")}
        for fresh in (False, True):
            connection = getattr(self.local, "connection", None)
            if connection is None or fresh:
                connection = self.local.connection = http.client.HTTPConnection(*self.upstream, timeout=60)
                connection.connect()
                connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            try:
                connection.request(h.command, h.path, body, headers)
                r = connection.getresponse()
                return r.status, dict(r.getheaders()), r.read()
            except (http.client.RemoteDisconnected, ConnectionError, http.client.CannotSendRequest):
                connection.close()  # the stand-in ends connections that rest
                if fresh:
                    raise
        raise AssertionError

    def send(self, h, status, body, shift_s=0, headers=None):
        kept = {k: v for k, v in (headers or {}).items() if k.lower() in ("content-type", "etag", "x-amzn-requestid")}
        kept.setdefault("Content-Type", "application/x-amz-json-1.0")
        kept["Date"] = email.utils.formatdate(time.time() + shift_s, usegmt=True)
        kept["Content-Length"] = str(len(body))
        lines = ["HTTP/1.1 %d -" % status] + ["%s: %s" % item for item in kept.items()]
        h.wfile.write("\r\n".join(lines).encode() + b"\r\n\r\n" + body)


def main():
    d = Disturber("127.0.0.1", int(sys.argv[1]), seed=int(sys.argv[2]) if len(sys.argv) > 2 else None)
    print(d.port, flush=True)
    d.thread.join()


if __name__ == "__main__":
    main()
