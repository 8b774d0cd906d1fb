"""SQS, S3 and STS of moto on a free port of 127.0.0.1, with signatures and policies checked.

`moto_server.py KEY SECRET [POLICY_FILE]`: the user KEY may do all, or what the policy says; so may the role arn:aws:iam::123456789012:role/mguard-tests,
which anybody may take. There is a bucket mguard-spill. Prints its port once it serves. What the real service
does and moto does not: calls come one after the other, a long poll whose client has gone takes no message, and sending or receiving one message does
not cost a look at all that are there.
"""
import functools
import json
import logging
import socket
import sys
import threading
import time

from flask import request
from moto import settings
from moto.core import DEFAULT_ACCOUNT_ID
from moto.iam.models import iam_backends
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
from moto.s3.models import s3_backends
from moto.sqs import models
from moto.sqs.models import Queue, SQSBackend
from werkzeug.serving import make_server

POLL_EVERY = 0.02


def locked(name, lock):
    plain = getattr(SQSBackend, name)

    @functools.wraps(plain)
    def call(*args, **named):
        with lock:
            return plain(*args, **named)

    setattr(SQSBackend, name, call)


def client_has_gone():
    connection = request.environ.get("werkzeug.socket")
    try:
        return connection is not None and connection.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT) == b""
    except BlockingIOError:
        return False
    except OSError:
        return True


def one_after_the_other():
    lock = threading.RLock()
    for name in ("send_message", "send_message_batch", "delete_message", "delete_message_batch", "change_message_visibility",
                 "change_message_visibility_batch", "create_queue", "delete_queue", "get_queue_attributes"):
        locked(name, lock)
    plain = SQSBackend.receive_message

    def receive(self, queue_name, count, wait, visibility, names=None):
        end = time.monotonic() + wait
        while True:
            with lock:
                got = plain(self, queue_name, count, 0, visibility, names)
            if got or time.monotonic() >= end or client_has_gone():
                return got
            time.sleep(POLL_EVERY)

    SQSBackend.receive_message = receive


def quick():
    models.unix_time, models.unix_time_millis = time.time, lambda: time.time() * 1000
    all_attributes, plain, here = Queue.attributes.fget, SQSBackend.send_message, threading.local()

    def attributes(self):
        if getattr(here, "sending", False):
            return {"ContentBasedDeduplication": str(getattr(self, "content_based_deduplication", False)).lower()}
        return all_attributes(self)

    def send(*args, **named):
        here.sending = True
        try:
            return plain(*args, **named)
        finally:
            here.sending = False

    def young(self, queue_name, message):
        return message.sent_timestamp / 1000 + self.get_queue(queue_name).message_retention_period > time.time()

    Queue.attributes, SQSBackend.send_message = property(attributes), send
    SQSBackend.is_message_valid_based_on_retention_period = young


def user(key, secret, policy):
    iam = iam_backends[DEFAULT_ACCOUNT_ID]["aws"]
    iam.create_user("us-east-1", "tests")
    iam.put_user_policy("tests", "tests", policy)
    made = iam.create_access_key("tests")
    made.access_key_id, made.secret_access_key = key, secret
    trust = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "sts:AssumeRole"}]}
    iam.create_role("mguard-tests", json.dumps(trust), "/", None, "", [], 3600)
    iam.put_role_policy("mguard-tests", "tests", policy)
    s3_backends[DEFAULT_ACCOUNT_ID]["aws"].create_bucket("mguard-spill", "us-east-1")


class Quiet(MotoRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_request(self, *_):
        pass


def main():
    key, secret = sys.argv[1:3]
    policy = '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}'
    if len(sys.argv) > 3:
        with open(sys.argv[3], encoding="utf-8") as f:
            policy = json.dumps(json.load(f))
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    quick()
    one_after_the_other()
    user(key, secret, policy)
    settings.INITIAL_NO_AUTH_ACTION_COUNT = 0
    server = make_server("127.0.0.1", 0, DomainDispatcherApplication(create_backend_app), threaded=True, request_handler=Quiet)
    server.daemon_threads = True
    print(server.server_port, flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
