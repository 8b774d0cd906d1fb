"""Plays what gives credentials on AWS: a container's endpoint, an instance's metadata (IMDSv2 alone) and STS, on a free port of 127.0.0.1.

Prints its port. `POST /_set` takes JSON: {"token": that the container's endpoint wants as Authorization, or web identity as its token (null: any),
"key", "secret", "session": what is given, "seconds": how long it lasts (null: for ever), "status": of the answers to who asks for credentials,
"role": whether the instance has one}. `POST /_seen` answers [[method, path, what it was asked with], ...].
"""
import http.server
import json
import threading
import time
import urllib.parse

METADATA_TOKEN = "of-this-instance-alone"
ROLES = "/latest/meta-data/iam/security-credentials/"
now = {"token": None, "key": "AKIAONE", "secret": "secret-one", "session": "session-one", "seconds": 3600, "status": 200, "role": True}
seen, lock = [], threading.Lock()


def expiration():
    return None if now["seconds"] is None else time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + now["seconds"]))


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def answer(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
        with lock:
            status, text = self.told(body)
        data = text.encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    do_GET = do_POST = do_PUT = answer

    def told(self, body):
        if self.path == "/_set":
            now.update(json.loads(body))
            return 200, ""
        if self.path == "/_seen":
            return 200, json.dumps(seen)
        ask = self.headers.get("Authorization") or self.headers.get("X-aws-ec2-metadata-token") or ""
        form = {k: v[0] for k, v in urllib.parse.parse_qs(body).items()}
        seen.append([self.command, self.path, form.get("WebIdentityToken", ask)])
        if form:
            return self.sts(form)
        if self.path == "/latest/api/token":
            return (200, METADATA_TOKEN) if self.command == "PUT" and self.headers.get("X-aws-ec2-metadata-token-ttl-seconds") else (400, "")
        if self.path.startswith(ROLES):
            if ask != METADATA_TOKEN:
                return 401, ""
            if not now["role"]:
                return 404, ""
            return (200, "a-role") if self.path == ROLES else (now["status"], self.credentials())
        if now["token"] is not None and ask != now["token"]:
            return 401, json.dumps({"message": "the token is not the one"})
        return now["status"], self.credentials()

    def credentials(self):
        out = {"Code": "Success", "AccessKeyId": now["key"], "SecretAccessKey": now["secret"], "Token": now["session"], "Expiration": expiration()}
        return json.dumps({k: v for k, v in out.items() if v is not None})

    def sts(self, form):
        if form["Action"] != "AssumeRoleWithWebIdentity" or (now["token"] is not None and form["WebIdentityToken"] != now["token"]):
            return 400, "<ErrorResponse><Error><Code>InvalidIdentityToken</Code><Message>no</Message></Error></ErrorResponse>"
        return now["status"], "".join("<%s>%s</%s>" % (name, value, name) for name, value in (
            ("AccessKeyId", now["key"]), ("SecretAccessKey", now["secret"]), ("SessionToken", now["session"]), ("Expiration", expiration())))

    def log_message(self, *_):
        pass


def main():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    print(server.server_address[1], flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
