#!/usr/bin/env python3
"""Receivers for the tests: an OpenTelemetry collector and a webhook, over HTTP. Prints its port on the first line.

collector.py MODE FOLDER [SECONDS|TIMES]
  collect        answers 200; every body goes to FOLDER/NNNN.json, its headers to FOLDER/NNNN.headers
  slow SECONDS   the same after so long
  fail TIMES     answers 503 so many times first
  refuse         answers 400
"""
import http.server
import pathlib
import sys
import threading
import time

mode, folder = sys.argv[1], pathlib.Path(sys.argv[2])
amount = float(sys.argv[3]) if len(sys.argv) > 3 else 0
lock = threading.Lock()
count = 0


class Receiver(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        global count
        body = self.rfile.read(int(self.headers["Content-Length"]))
        with lock:
            count += 1
            n = count
        status = 503 if mode == "fail" and n <= amount else 400 if mode == "refuse" else 200
        if mode == "slow":
            time.sleep(amount)
        head = f"{self.command} {self.path} {status}\n" + "".join(f"{k.lower()}: {v}\n" for k, v in self.headers.items())
        (folder / f"{n:04}.headers").write_text(head)
        part = folder / f"{n:04}.part"
        part.write_bytes(body)
        part.rename(folder / f"{n:04}.json")
        try:
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"{}")
        except OSError:
            pass  # a sender that had no more patience

    def log_message(self, *_):
        pass


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
server.daemon_threads = True
print(server.server_address[1], flush=True)
server.serve_forever()
