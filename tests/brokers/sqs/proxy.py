"""A proxy before a stand-in for SQS that does harm by chance. `proxy.py PORT UPSTREAM_PORT [SEED]`; PORT 0: a free one. Prints its port once it serves.

POST /proxy {"fail_entries": 3, ...} sets what is to go wrong and answers what was seen; an empty object changes nothing:
  fail_entries  so many entries of each batch are refused for now and not passed on, never all of them
  fault, throttle, cut_before, cut_after, late, repeat   chances from 0 to 1: 500 · 503 · the connection is cut before or after the call was made ·
                the answer comes late_seconds late · a receive brings a message that was handed out before once more
  only          a pattern: the actions that this is for
  skew_seconds  the proxy's clock runs so much ahead: it refuses requests whose date is more than five minutes from it, and its Date says its time
  expired       a list of access keys whose token has ended
  deny          a pattern: these actions are refused with AccessDenied
  limit         answers ReceiveMessage with OverLimit
  reset         true: every connection is cut, once
"""
import calendar
import email.utils
import http.client
import json
import random
import re
import socket
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

LOCK = threading.Lock()
HARM = {"fail_entries": 0, "fault": 0, "throttle": 0, "cut_before": 0, "cut_after": 0, "late": 0, "late_seconds": 7, "repeat": 0, "only": "",
        "skew_seconds": 0, "expired": [], "deny": "", "limit": False}
SEEN = {"actions": {}, "harm": {}, "keys": {}, "unsigned": 0}
OPEN = set()
BEFORE = []  # messages that were handed out
RNG = random.Random()
UPSTREAM = 0


def count(where, what):
    with LOCK:
        SEEN[where][what] = SEEN[where].get(what, 0) + 1


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    upstream = None

    def setup(self):
        super().setup()
        with LOCK:
            OPEN.add(self.connection)

    def finish(self):
        with LOCK:
            OPEN.discard(self.connection)
        try:
            super().finish()
        except OSError:
            pass

    def log_message(self, *_):
        pass

    def date_time_string(self, timestamp=None):
        return email.utils.formatdate(time.time() + HARM["skew_seconds"], usegmt=True)

    def handle_expect_100(self):
        return True

    def answer(self, status, body, headers=()):
        self.send_response_only(status)
        self.send_header("Date", self.date_time_string())
        for name, value in headers:
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def refuse(self, status, code, text):
        count("harm", code)
        self.answer(status, json.dumps({"__type": "com.amazonaws.sqs#" + code, "message": text}).encode())

    def cut(self, why):
        count("harm", why)
        self.close_connection = True
        try:
            self.connection.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass

    def control(self, body):
        wish = json.loads(body or b"{}")
        with LOCK:
            reset = list(OPEN - {self.connection}) if wish.pop("reset", False) else []
            HARM.update(wish)
            text = json.dumps(dict(SEEN, reset=len(reset))).encode()
        for connection in reset:
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
        self.answer(200, text)

    def pass_on(self, body):
        headers = {k: v for k, v in self.headers.items() if k.lower() not in ("content-length", "connection", "expect")}
        for attempt in range(2):
            if self.upstream is None:
                self.upstream = http.client.HTTPConnection("127.0.0.1", UPSTREAM, timeout=60)
            try:
                self.upstream.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
                for k, v in headers.items():
                    self.upstream.putheader(k, v)
                self.upstream.putheader("Content-Length", str(len(body)))
                self.upstream.endheaders(body)
                r = self.upstream.getresponse()
                return r.status, r.read(), [(k, v) for k, v in r.getheaders() if k.lower() in ("content-type", "x-amzn-requestid", "x-amzn-query-error", "etag")]
            except (OSError, http.client.HTTPException):
                self.upstream.close()
                self.upstream = None
                if attempt == 1:
                    raise

    def refused_by_signature(self):
        signed = re.search(r"Credential=([^/]+)/", self.headers.get("Authorization", ""))
        if signed is None:
            SEEN["unsigned"] += 1
            return False
        count("keys", signed.group(1))
        at = calendar.timegm(time.strptime(self.headers["X-Amz-Date"], "%Y%m%dT%H%M%SZ"))
        if abs(at - time.time() - HARM["skew_seconds"]) > 300:
            self.refuse(403, "InvalidSignatureException", "Signature expired: the date of the request is too far from now")
            return True
        if signed.group(1) in HARM["expired"]:
            self.refuse(403, "ExpiredToken", "The security token included in the request is expired")
            return True
        return False

    def take_entries(self, action, wish):
        """Takes entries out that are to fail; the ids."""
        entries = wish.get("Entries", [])
        n = min(HARM["fail_entries"], len(entries) - 1)
        if n <= 0 or not re.search(HARM["only"], action):
            return []
        gone = RNG.sample(range(len(entries)), n)
        wish["Entries"] = [e for i, e in enumerate(entries) if i not in gone]
        return [entries[i]["Id"] for i in gone]

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.path == "/proxy":
            self.control(body)
            return
        action = self.headers.get("X-Amz-Target", "S3." + self.command).split(".")[-1]
        count("actions", action)
        if self.refused_by_signature():
            return
        if HARM["deny"] and re.search(HARM["deny"], action):
            self.refuse(400, "AccessDeniedException", "not authorized to perform: sqs:%s" % action)
            return
        if HARM["limit"] and action == "ReceiveMessage":
            self.refuse(403, "OverLimit", "Too many messages in flight")
            return
        chance = RNG.random() if re.search(HARM["only"], action) else 2
        for kind in ("fault", "throttle", "cut_before", "cut_after", "late"):
            if 0 <= chance < HARM[kind]:
                break
            chance -= HARM[kind]
        else:
            kind = None
        if kind == "fault":
            return self.refuse(500, "InternalFailure", "by chance")
        if kind == "throttle":
            return self.refuse(503, "RequestThrottled", "by chance")
        if kind == "cut_before":
            return self.cut(kind)
        wish = json.loads(body) if HARM["fail_entries"] and action.endswith("Batch") else {}
        failed = self.take_entries(action, wish)
        try:
            status, text, headers = self.pass_on(json.dumps(wish).encode() if failed else body)
        except (OSError, http.client.HTTPException):
            return self.cut("upstream")
        if failed and status == 200:
            count("harm", "fail_entries")
            reply = json.loads(text)
            reply.setdefault("Failed", []).extend({"Id": i, "Code": "InternalError", "Message": "by chance", "SenderFault": False} for i in failed)
            text = json.dumps(reply).encode()
        if action == "ReceiveMessage" and status == 200 and HARM["repeat"] > 0:
            text = self.again(json.loads(body), text)
        if kind == "cut_after":
            return self.cut(kind)
        if kind == "late":
            count("harm", kind)
            time.sleep(HARM["late_seconds"])
        try:
            self.answer(status, text, headers)
        except OSError:
            self.close_connection = True

    def again(self, wish, text):
        reply = json.loads(text)
        queue = wish.get("QueueUrl")
        with LOCK:
            old = [m for q, m in BEFORE if q == queue]
            BEFORE.extend((queue, m) for m in reply.get("Messages") or [])
            del BEFORE[:-200]
        if old and wish.get("VisibilityTimeout") and len(reply.get("Messages") or []) < 10 and RNG.random() < HARM["repeat"]:
            count("harm", "repeat")
            reply["Messages"] = (reply.get("Messages") or []) + [RNG.choice(old)]
            return json.dumps(reply).encode()
        return text

    do_GET = do_PUT = do_DELETE = do_POST


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, *_):
        pass


def main():
    global UPSTREAM
    UPSTREAM = int(sys.argv[2])
    RNG.seed(int(sys.argv[3]) if len(sys.argv) > 3 else None)
    server = Server(("127.0.0.1", int(sys.argv[1])), Handler)
    print(server.server_port, flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
