"""A slow link: a relay for TCP connections that delays what it passes on, and limits the rate of one direction.

    relay.py --listen ADDRESS --to ADDRESS [--delay-ms N] [--rate N] PORT…

The delay is that of one direction, so a round trip takes twice as long. The rate, in bytes per second, is that of all
connections together towards --to. It prints a line when it listens. Not every kernel can delay packets (netem).

The relay imitates what a sender notices of a link: no more than a window of bytes is on the way, and a sender that is
faster than the rate has to wait. It cannot imitate packet loss and the slow start of TCP.
"""

import argparse
import os
import select
import socket
import time
from collections import deque

CHUNK = 256 * 1024
# The largest send buffer that Linux gives a connection by default (tcp_wmem), which bounds what is on the way.
WINDOW = 4 * 1024 * 1024
# Where the rate is limited, what waits in the relay delays what comes after it: a router's queue of 64 ms at 2 MB/s.
SLOW_WINDOW = 128 * 1024


class Bucket:
    """Grants bytes at a rate, and at once what 10 ms of pause have saved."""

    def __init__(self, rate):
        self.rate = rate
        self._most = max(rate / 100, 4096)
        self._bytes = self._most
        self._filled = time.monotonic()

    def available(self, now):
        self._bytes = min(self._most, self._bytes + (now - self._filled) * self.rate)
        self._filled = now
        return int(self._bytes)

    def take(self, size):
        self._bytes -= size


class Direction:
    """One direction of a connection."""

    def __init__(self, source, target, delay, opened, bucket):
        self.source, self.target = source, target
        self.delay = delay
        self.opened = opened
        self.bucket = bucket
        self.window = SLOW_WINDOW + int(bucket.rate * delay) if bucket else WINDOW
        self.waiting = deque()  # (when it is due, bytes); empty bytes end the stream
        self.size = 0
        self.has_ended = False

    def wants_to_read(self, now):
        """How many bytes it may read now."""
        if self.has_ended or self.size >= self.window:
            return 0
        granted = self.bucket.available(now) if self.bucket else CHUNK
        return min(CHUNK, granted) if granted >= 1024 else 0

    def read(self, now):
        size = self.wants_to_read(now)
        if not size:
            return
        try:
            data = self.source.recv(size)
        except BlockingIOError:
            return
        if self.bucket:
            self.bucket.take(len(data))
        self.has_ended = not data
        self.size += len(data)
        self.waiting.append((max(now, self.opened) + self.delay, memoryview(data)))

    def due(self):
        return self.waiting[0][0] if self.waiting else None

    def write(self, now):
        """Passes on what is due; False if the target must first accept what it has."""
        while self.waiting and self.waiting[0][0] <= now:
            due, data = self.waiting[0]
            if not data:
                self.target.shutdown(socket.SHUT_WR)
                self.waiting.popleft()
                return True
            try:
                sent = self.target.send(data)
            except BlockingIOError:
                return False
            self.size -= sent
            if sent < len(data):
                self.waiting[0] = (due, data[sent:])
                return False
            self.waiting.popleft()
        return True

    def is_over(self):
        return self.has_ended and not self.waiting


class Connection:
    def __init__(self, client, server, delay, bucket, now):
        self.sockets = [client, server]
        for end in self.sockets:
            end.setblocking(False)
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        # The client believes itself connected at once; on a real link, it would wait for a round trip.
        opened = now + 2 * delay
        self.directions = [
            Direction(client, server, delay, opened, bucket),
            Direction(server, client, delay, opened, None),
        ]
        self.blocked = set()

    def close(self):
        for end in self.sockets:
            end.close()


class Relay:
    def __init__(self, listen, target, ports, delay, rate):
        self.target = target
        self.delay = delay
        self.bucket = Bucket(rate) if rate else None
        self.connections = []
        self.listeners = []
        for port in ports:
            listener = socket.socket()
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if rate:
                # Accepted sockets inherit both. With the large segments and buffers of a local connection, the kernels
                # of both ends would take megabytes at once, and a sender could not notice how slow the link is.
                listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 64 * 1024)
                listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, 1448)
            listener.bind((listen, port))
            listener.listen()
            listener.setblocking(False)
            self.listeners.append(listener)

    def run(self):
        while True:
            self._wait()
            now = time.monotonic()
            for listener in self.listeners:
                self._accept(listener, now)
            for connection in list(self.connections):
                try:
                    self._serve(connection)
                    over = all(direction.is_over() for direction in connection.directions)
                except OSError:  # one end has closed: so does the other
                    over = True
                if over:
                    connection.close()
                    self.connections.remove(connection)

    def _wait(self):
        """Waits until there is something to do. select(), unlike its successors, is exact to the microsecond."""
        now = time.monotonic()
        readable, writable, due = list(self.listeners), [], []
        for connection in self.connections:
            for direction in connection.directions:
                if direction.wants_to_read(now):
                    readable.append(direction.source)
                elif self.bucket and not direction.has_ended and direction.size < direction.window:
                    due.append(now + 0.004)  # when the bucket has grown
                if direction in connection.blocked:
                    writable.append(direction.target)
                elif direction.due() is not None:
                    due.append(direction.due())
        timeout = max(0, min(due) - now) if due else None
        select.select(readable, writable, [], timeout)

    def _accept(self, listener, now):
        try:
            client, _ = listener.accept()
        except BlockingIOError:
            return
        try:
            server = socket.create_connection((self.target, listener.getsockname()[1]), timeout=5)
        except OSError:
            client.close()
            return
        self.connections.append(Connection(client, server, self.delay, self.bucket, now))

    @staticmethod
    def _serve(connection):
        for direction in connection.directions:
            direction.read(time.monotonic())
            if direction.write(time.monotonic()):
                connection.blocked.discard(direction)
            else:
                connection.blocked.add(direction)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--listen", required=True, metavar="ADDRESS")
    parser.add_argument("--to", required=True, metavar="ADDRESS")
    parser.add_argument("--delay-ms", type=float, default=0, metavar="N")
    parser.add_argument("--rate", type=int, default=0, metavar="N")
    parser.add_argument("ports", nargs="+", type=int, metavar="PORT")
    arguments = parser.parse_args()
    # A link does not get slower because the machines at its ends are busy. This needs root.
    os.nice(-10)
    relay = Relay(arguments.listen, arguments.to, arguments.ports, arguments.delay_ms / 1000, arguments.rate)
    print("listening", flush=True)
    relay.run()


if __name__ == "__main__":
    main()
