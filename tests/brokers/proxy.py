"""A TCP proxy that stands between programs and a broker and disturbs what passes. No part of it knows a protocol.

Each program has a link of its own: a port here that leads to the broker. A link can reset its connections, leave them half open,
hold everything back (a blackhole: nothing is lost, nothing passes until it is lifted, and whoever connects gets no answer), delay
each byte, or let only so many bytes a second through. Links are used from any thread; one thread moves the bytes.
"""
import collections
import selectors
import socket
import struct
import threading
import time

CHUNK = 65536
HELD_MAX = 1 << 20  # a direction that holds more reads no further: the sender feels it as a full network
FOR_EVER = 3600.0


def _abort(s):
    """The other side gets a reset, not an orderly end."""
    try:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    except OSError:
        pass
    s.close()


class _Pipe:
    """One direction: what came from the source and when it may go on."""

    def __init__(self, source, sink):
        self.source, self.sink = source, sink
        self.held, self.size = collections.deque(), 0
        self.ended = self.passed_on = False  # the source has ended; the sink was told
        self.allowed, self.counted_at = 0.0, time.monotonic()

    def wants_bytes(self):
        return not self.ended and self.size < HELD_MAX

    def due(self, link, now):
        """Seconds until something may be written."""
        if not self.held:
            return FOR_EVER
        wait = max(0.0, self.held[0][0] - now)
        if link.bytes_a_second and self.allowed < 1:
            wait = max(wait, (1 - self.allowed) / link.bytes_a_second)
        return wait

    def take(self, link, now):
        data = self.source.recv(CHUNK)
        link.bytes += len(data)
        if data:
            self.held.append([now + link.delay_s, data])
            self.size += len(data)
        else:
            self.ended = True

    def give(self, link, now):
        rate = link.bytes_a_second
        if rate:
            self.allowed = min(max(1.0, rate / 10), self.allowed + (now - self.counted_at) * rate)
        self.counted_at = now
        while self.held and self.held[0][0] <= now:
            first = self.held[0]
            piece = first[1][:int(self.allowed)] if rate else first[1]
            if not piece:
                return
            sent = self.sink.send(piece)
            self.allowed -= sent
            self.size -= sent
            if sent < len(first[1]):
                first[1] = first[1][sent:]
                return
            self.held.popleft()
        if self.ended and not self.held and not self.passed_on:
            self.passed_on = True
            self.sink.shutdown(socket.SHUT_WR)


class _Connection:
    def __init__(self, client, server):
        self.client, self.server = client, server
        self.up, self.down = _Pipe(client, server), _Pipe(server, client)
        self.left_alone = None  # of a half open connection: the side that knows nothing

    def close(self, abort):
        for s in (self.client, self.server):
            (_abort if abort else socket.socket.close)(s)

    def wanted(self, link):
        """{socket: events}"""
        if self.left_alone is not None:
            return {self.left_alone: selectors.EVENT_READ}
        out = {}
        if link.blackhole:
            return out
        now = time.monotonic()
        for p in (self.up, self.down):
            if p.wants_bytes():
                out[p.source] = out.get(p.source, 0) | selectors.EVENT_READ
            if p.held and p.due(link, now) <= 0:
                out[p.sink] = out.get(p.sink, 0) | selectors.EVENT_WRITE
        return out

    def move(self, link, ready, now):
        """False once it is over."""
        try:
            if self.left_alone is not None:
                return not ready or self.left_alone.recv(CHUNK) != b""
            if link.blackhole:
                return True
            for p in (self.up, self.down):
                if ready.get(p.source, 0) & selectors.EVENT_READ and p.wants_bytes():
                    p.take(link, now)
                p.give(link, now)
            return not (self.up.passed_on and self.down.passed_on)
        except BlockingIOError:
            return True
        except OSError:
            return False

    def half_open(self, keep):
        gone = self.server if keep is self.client else self.client
        self.left_alone = keep
        _abort(gone)


class Link:
    """One port that leads to the target. Its counters only grow."""

    def __init__(self, proxy, target, port):
        self.proxy, self.target, self.port = proxy, target, port
        self._listen()
        self.connections = []
        self.blackhole, self.delay_s, self.bytes_a_second = False, 0.0, 0
        self.bytes = self.accepted = self.refused = 0

    def _listen(self):
        self.listener = socket.create_server(("127.0.0.1", self.port), backlog=64)
        self.listener.setblocking(False)
        self.port = self.listener.getsockname()[1]

    def _accept(self):
        try:
            client, _ = self.listener.accept()
        except OSError:
            return
        try:
            server = socket.create_connection(self.target, 2)
        except OSError:
            self.refused += 1
            _abort(client)
            return
        for s in (client, server):
            s.setblocking(False)
            s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.accepted += 1
        self.connections.append(_Connection(client, server))

    def _whole(self):
        return [c for c in self.connections if c.left_alone is None]

    def connected(self):
        with self.proxy.lock:
            return len(self._whole())

    # Harm. Each gives how many connections it met.

    def reset(self):
        with self.proxy.changing():
            hit = self._whole()
            for c in hit:
                c.close(True)
            self.connections = [c for c in self.connections if c not in hit]
        return len(hit)

    def half_open(self, broker_knows):
        """One side gets a reset, the other is told nothing and hears nothing: the program where broker_knows, else the broker."""
        with self.proxy.changing():
            hit = self._whole()
            for c in hit:
                c.half_open(c.client if broker_knows else c.server)
        return len(hit)

    def shut(self):
        """As if the broker had ended: nobody listens, until open."""
        with self.proxy.changing():
            self.listener.close()
        return self.reset()

    def open(self):
        with self.proxy.changing():
            self._listen()

    def disturb(self, blackhole=False, delay_s=0.0, bytes_a_second=0):
        """Until clear."""
        with self.proxy.changing():
            self.blackhole, self.delay_s, self.bytes_a_second = blackhole, delay_s, bytes_a_second
            return len(self._whole())

    def clear(self):
        with self.proxy.changing():
            self.blackhole, self.delay_s, self.bytes_a_second = False, 0.0, 0
            for c in self.connections:
                for p in (c.up, c.down):
                    for entry in p.held:
                        entry[0] = 0.0

    def held(self):
        """Bytes under way: held here, and waiting to be read."""
        with self.proxy.lock:
            total = 0
            for c in self._whole():
                total += c.up.size + c.down.size
                for s in (c.client, c.server):
                    try:
                        total += len(s.recv(CHUNK, socket.MSG_PEEK))
                    except OSError:
                        pass
            return total

    def close(self):
        with self.proxy.changing():
            self.proxy.links.remove(self)
            self.listener.close()
            for c in self.connections:
                c.close(True)


class Proxy:
    def __init__(self):
        self.lock = threading.Lock()
        self.links, self.ending = [], False
        self._wake_in, self._wake_out = socket.socketpair()
        self._wake_in.setblocking(False)
        self._wake_out.setblocking(False)
        self.thread = threading.Thread(target=self._work, name="proxy", daemon=True)
        self.thread.start()

    def link(self, host, port, at=0):
        """A new way to the port of the host; at: its own port, or a free one."""
        with self.changing():
            link = Link(self, (host, port), at)
            self.links.append(link)
        return link

    def changing(self):
        return _Changing(self)

    def wake(self):
        try:
            self._wake_out.send(b"x")
        except BlockingIOError:
            pass

    def close(self):
        for link in list(self.links):
            link.close()
        with self.changing():
            self.ending = True
        self.thread.join(10)
        self._wake_in.close()
        self._wake_out.close()

    def _wanted(self):
        """({socket: events}, seconds until bytes that are held may go on)"""
        out, wait, now = {self._wake_in: selectors.EVENT_READ}, 1.0, time.monotonic()
        for link in self.links:
            if link.listener.fileno() >= 0:
                out[link.listener] = selectors.EVENT_READ
            for c in link.connections:
                out.update(c.wanted(link))
                if c.left_alone is None and not link.blackhole:
                    wait = min([wait] + [d for d in (p.due(link, now) for p in (c.up, c.down)) if d > 0])
        return out, wait

    def _work(self):
        while True:
            with self.lock:
                if self.ending:
                    return
                wanted, wait = self._wanted()
            with selectors.DefaultSelector() as selector:
                for s, events in wanted.items():
                    try:
                        selector.register(s, events)
                    except (ValueError, OSError):  # closed since
                        continue
                ready = {key.fileobj: events for key, events in selector.select(wait)}
            with self.lock:
                self._move(ready)

    def _move(self, ready):
        if self._wake_in in ready:
            try:
                self._wake_in.recv(4096)
            except BlockingIOError:
                pass
        now = time.monotonic()
        for link in self.links:
            if link.listener in ready:
                link._accept()
            for c in list(link.connections):
                mine = {s: ready[s] for s in (c.client, c.server) if s in ready}
                if not c.move(link, mine, now):
                    link.connections.remove(c)
                    c.close(not (c.up.passed_on and c.down.passed_on))


class _Changing:
    """The lock, and the loop looks again afterwards."""

    def __init__(self, proxy):
        self.proxy = proxy

    def __enter__(self):
        self.proxy.lock.acquire()

    def __exit__(self, *_):
        self.proxy.lock.release()
        self.proxy.wake()
