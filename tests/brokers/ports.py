"""Free ports of 127.0.0.1 for the servers of tests. As a program it prints one.

They lie below those that the system gives to outgoing connections: a client that tries again and again to reach a server that
is down might otherwise get the server's own port, talk to itself, and keep the server from coming back.
"""
import random
import socket


def free_port():
    """A port that is free, as is the one 10000 above it (a Redis cluster's bus)."""
    chance = random.SystemRandom()
    for _ in range(200):
        port = chance.randrange(12000, 22000)
        try:
            for p in (port, port + 10000):
                with socket.socket() as s:
                    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                    s.bind(("127.0.0.1", p))
            return port
        except OSError:
            continue
    raise RuntimeError("no free port found")


if __name__ == "__main__":
    print(free_port())
