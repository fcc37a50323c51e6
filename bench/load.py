"""Clients of a streaming completions server: raw sockets in one thread, since they share the cores with the server.

While answers arrive, bytes are only kept with their times; they are read after the clock has stopped.
"""

import gc
import json
import selectors
import socket
import time

END = b"\r\n0\r\n\r\n"
# Seconds without a byte after which a server counts as hanging.
SILENCE = 120


def request(body, path="/v1/completions"):
    """The bytes of a POST."""
    content = json.dumps(body).encode()
    head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: {len(content)}\r\n\r\n"
    return head.encode() + content


class Answer:
    """What came back to one request, with the time of every piece."""

    def __init__(self, started, client):
        self.started, self.client = started, client
        self.pieces, self.failure = [], None

    def read(self):
        """Events and their times; text, tokens and usage from them."""
        self.events, self.text, self.usage, self.finish = [], "", {}, None
        if self.failure:
            return self
        raw, times = b"", []
        for at, piece in self.pieces:
            raw += piece
            times.append((len(raw), at))
        head, _, body = raw.partition(b"\r\n\r\n")
        if b" 200 " not in head[:16] or b"chunked" not in head.lower():
            self.failure = f"{head[:32].decode(errors='replace')} … {body[:200].decode(errors='replace')}"
            return self
        for end, data in events(body, len(head) + 4):
            while times[0][0] < end:
                times.pop(0)
            self.event(times[0][1], data)
        return self

    def event(self, at, data):
        if data == b"[DONE]":
            return
        found = json.loads(data)
        if found.get("error"):
            self.failure = str(found["error"])[:200]
        self.usage = found.get("usage") or self.usage
        for choice in found.get("choices", []):
            self.finish = choice.get("finish_reason") or self.finish
            if choice.get("text"):
                self.text += choice["text"]
                self.events.append(at)

    @property
    def first(self):
        """Seconds to the first token."""
        return self.events[0] - self.started

    def gaps(self, since=0.0, until=float("inf")):
        """Seconds between tokens, of those that ended in this span."""
        return [b - a for a, b in zip(self.events, self.events[1:]) if since < b <= until]


def events(body, offset):
    """Where each event of a chunked stream ends, and its data."""
    at, held = 0, b""
    while True:
        size, found, _ = body[at:].partition(b"\r\n")
        length = int(size.partition(b";")[0], 16) if found else 0
        if not length:
            return
        at += len(size) + 2
        held += body[at:at + length]
        at += length + 2
        while b"\n\n" in held:
            event, _, held = held.partition(b"\n\n")
            if event.startswith(b"data:"):
                yield offset + at, event[5:].strip()


class Client:
    """One connection, which sends its requests one after another."""

    def __init__(self, number, port, requests, clock, watcher):
        self.number, self.port, self.waiting, self.clock = number, port, list(reversed(requests)), clock
        self.watcher, self.answers = watcher, 0

    def connect(self):
        self.socket = socket.create_connection(("127.0.0.1", self.port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.setblocking(False)
        self.watcher.register(self.socket, selectors.EVENT_READ, self)

    def send(self):
        """Starts the next request; the requests here are far smaller than a socket's buffer."""
        self.content = self.waiting.pop()
        self.answer = Answer(self.clock(), self.number)
        self.tail = b""
        try:
            self.socket.sendall(self.content)
        except ConnectionError:
            self.again()
        return self.answer

    def again(self):
        """Sends the request over a new connection: the server has closed the old one after the last answer."""
        self.watcher.unregister(self.socket)
        self.socket.close()
        self.connect()
        self.socket.sendall(self.content)

    def receive(self):
        """Whether the answer is complete."""
        try:
            piece = self.socket.recv(1 << 18)
        except ConnectionError:
            piece = b""
        if not piece:
            if self.answers and not self.answer.pieces:
                self.answers = 0
                self.again()
                return False
            self.answer.failure = "the server closed the connection"
            return True
        self.answer.pieces.append((self.clock(), piece))
        self.tail = (self.tail + piece)[-len(END):] if len(piece) < len(END) else piece[-len(END):]
        done = self.tail == END or (len(self.answer.pieces) < 3 and self.whole())
        self.answers += done
        return done

    def whole(self):
        """Whether an answer with a length, which is an error, has arrived."""
        head, found, body = b"".join(piece for _, piece in self.answer.pieces).partition(b"\r\n\r\n")
        at = head.lower().find(b"content-length:")
        return bool(found) and at >= 0 and len(body) >= int(head[at + 15:].split(b"\r\n")[0])


class Round:
    """All answers of a round, its wall time and the CPU time of the clients."""

    def __init__(self, answers, seconds, cpu):
        self.answers, self.seconds, self.cpu = [answer.read() for answer in answers], seconds, cpu
        self.failures = [answer.failure for answer in self.answers if answer.failure]
        self.good = [answer for answer in self.answers if not answer.failure and answer.events]
        self.tokens = sum(answer.usage.get("completion_tokens", 0) for answer in self.good)


def drive(port, work, until=None):
    """Sends every client's requests: `work` is a list of lists of bytes. `until(answers)` may end the round early."""
    clock, watcher, answers = time.perf_counter, selectors.DefaultSelector(), []
    clients = [Client(number, port, requests, clock, watcher) for number, requests in enumerate(work)]
    for client in clients:
        client.connect()
    gc.collect()
    gc.disable()
    cpu, start = time.process_time(), clock()
    answers += [client.send() for client in clients]
    busy = len(clients)
    while busy:
        ready = watcher.select(SILENCE)
        if not ready:
            for key in watcher.get_map().values():
                key.data.answer.failure = f"no byte for {SILENCE} s"
            break
        for key, _ in ready:
            client = key.data
            if not client.receive():
                continue
            if client.waiting and not client.answer.failure and not (until and until(client)):
                answers.append(client.send())
            else:
                watcher.unregister(client.socket)
                busy -= 1
    seconds, cpu = clock() - start, time.process_time() - cpu
    gc.enable()
    for client in clients:
        client.socket.close()
    return Round(answers, seconds, cpu)
