#!/usr/bin/python3
"""The proxy against an echo server. Ends with `N passed, N failed`."""
import os
import socket
import sys
import threading
import time
import traceback

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "faults"))  # which knows where the proxy is
from brokers import wait_until  # noqa: E402
from proxy import Proxy  # noqa: E402

LONG_S = 20  # the end of a wait for what must come
QUIET_S = 0.3  # how long nothing must come


class Echo:
    """Gives back what it gets; keeps what it saw of the ends of its connections."""

    def __init__(self):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.address = self.listener.getsockname()
        self.got, self.ends = b"", []
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                s, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(s,), daemon=True).start()

    def _serve(self, s):
        try:
            while data := s.recv(65536):
                self.got += data
                s.sendall(data)
            self.ends.append("closed")
        except ConnectionResetError:
            self.ends.append("reset")
        except OSError as e:
            self.ends.append(repr(e))
        finally:
            s.close()


class Scene:
    def __init__(self):
        self.echo, self.proxy = Echo(), Proxy()
        self.link = self.proxy.link(*self.echo.address)
        self.clients = []

    def client(self):
        s = socket.create_connection(("127.0.0.1", self.link.port), LONG_S)
        self.clients.append(s)
        return s

    def close(self):
        for s in self.clients:
            s.close()
        self.proxy.close()
        self.echo.listener.close()


def ask(s, data):
    s.sendall(data)
    return read(s, len(data))


def read(s, n):
    out = b""
    while len(out) < n:
        piece = s.recv(n - len(out))
        assert piece, "the connection ended after %d of %d bytes" % (len(out), n)
        out += piece
    return out


def silent(s):
    s.settimeout(QUIET_S)
    try:
        got = s.recv(1)
        raise AssertionError("%r came where nothing may come" % got)
    except socket.timeout:
        pass
    finally:
        s.settimeout(LONG_S)


def passes_bytes(x):
    data = os.urandom(3000000)
    s = x.client()
    sender = threading.Thread(target=s.sendall, args=(data,))
    sender.start()
    assert read(s, len(data)) == data, "other bytes came back"
    sender.join(LONG_S)
    s.shutdown(socket.SHUT_WR)
    assert s.recv(1) == b"", "the end does not come through"
    wait_until(lambda: x.echo.ends == ["closed"], LONG_S, lambda: "an orderly end: %r" % x.echo.ends)
    assert x.link.bytes == 2 * len(data) and x.link.accepted == 1


def resets(x):
    a, b = x.client(), x.client()
    assert ask(a, b"a") == b"a" and ask(b, b"b") == b"b"
    assert x.link.reset() == 2
    for s in (a, b):
        try:
            assert False, "%r after a reset" % s.recv(1)
        except ConnectionResetError:
            pass
    wait_until(lambda: x.echo.ends == ["reset", "reset"], LONG_S, lambda: "two resets: %r" % x.echo.ends)
    assert ask(x.client(), b"again") == b"again"


def blackhole(x):
    s = x.client()
    assert ask(s, b"before") == b"before"
    assert x.link.disturb(blackhole=True) == 1
    s.sendall(b"within")
    late = x.client()
    late.sendall(b"late")
    silent(s)
    silent(late)
    assert x.echo.got == b"before", "%r came through a blackhole" % x.echo.got
    wait_until(lambda: x.link.held() == len(b"within" + b"late"), LONG_S, lambda: "%d bytes are held" % x.link.held())
    x.link.clear()
    assert read(s, 6) == b"within" and read(late, 4) == b"late"


def latency(x):
    s = x.client()
    assert ask(s, b"fast") == b"fast"
    x.link.disturb(delay_s=0.2)
    begin = time.monotonic()
    assert ask(s, b"slow") == b"slow"
    took = time.monotonic() - begin
    assert took >= 0.39, "there and back took %.3f s with 0.2 s of delay each way" % took
    x.link.disturb(delay_s=3600)
    s.sendall(b"held")
    wait_until(lambda: x.link.held() == 4, LONG_S, "the bytes are held")
    x.link.clear()
    assert read(s, 4) == b"held", "what was delayed goes on when the delay is lifted"


def bandwidth(x):
    s = x.client()
    assert ask(s, b"x" * 50000) == b"x" * 50000
    x.link.disturb(bytes_a_second=100000)
    begin = time.monotonic()
    assert ask(s, b"y" * 60000) == b"y" * 60000
    took = time.monotonic() - begin
    assert took >= 0.45, "60,000 bytes took %.3f s at 100,000 bytes a second" % took
    x.link.disturb(bytes_a_second=5)
    assert ask(s, b"z" * 2) == b"z" * 2, "the smallest rates pass something"


def half_open(x):
    s = x.client()
    assert ask(s, b"one") == b"one"
    assert x.link.half_open(broker_knows=True) == 1
    wait_until(lambda: x.echo.ends == ["reset"], LONG_S, lambda: "the server is told: %r" % x.echo.ends)
    s.sendall(b"to nobody")
    silent(s)
    assert x.echo.got == b"one"
    other = x.client()
    assert ask(other, b"two") == b"two", "a new connection passes"
    assert x.link.half_open(broker_knows=False) == 1
    try:
        assert False, "%r after a reset" % other.recv(1)
    except ConnectionResetError:
        pass
    assert x.echo.ends == ["reset"], "the server was told of the second: %r" % x.echo.ends
    s.close()
    wait_until(lambda: len(x.link.connections) == 1, LONG_S, "a half open connection goes when its last side leaves")


def nobody_there(x):
    x.echo.listener.shutdown(socket.SHUT_RDWR)
    x.echo.listener.close()
    try:
        assert x.client().recv(1) != b"", "an orderly end where nobody listens"
    except ConnectionResetError:
        pass
    assert x.link.refused == 1


def shut_and_open(x):
    s = x.client()
    assert ask(s, b"one") == b"one"
    assert x.link.shut() == 1
    try:
        assert False, "%r after the end" % s.recv(1)
    except ConnectionResetError:
        pass
    try:
        x.client()
        assert False, "somebody listens"
    except ConnectionRefusedError:
        pass
    port = x.link.port
    x.link.open()
    assert x.link.port == port and ask(x.client(), b"two") == b"two"


def main():
    passed = failed = 0
    for test in (passes_bytes, resets, blackhole, latency, bandwidth, half_open, nobody_there, shut_and_open):
        scene = Scene()
        try:
            test(scene)
            passed += 1
        except Exception:
            failed += 1
            print("[FAILED] %s\n%s" % (test.__name__, traceback.format_exc()), flush=True)
        finally:
            scene.close()
    print("%d passed, %d failed" % (passed, failed))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
