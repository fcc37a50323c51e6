#!/usr/bin/env python3
"""What goes wrong around a server, tried on `glass serve`, one row of a Markdown table for each.

    tools/faults.py [--glass target/release/glass] [--model MODEL] [--only REGEX] [--many 300]

Every row has a server of its own. In most a witness asks for the same greedy answer before, meanwhile and afterwards: it must be
the same text each time. Status 1 if something did not behave. Linux.
"""

import argparse
import asyncio
import os
import re
import resource
import subprocess
import sys
import time

from service import ROOT, Server, ask, post, receive, reset

FAULTS = []


def fault(what, **how):
    def register(function):
        FAULTS.append((what, function, how))
        return function

    return register


class Trial:
    """A server and what the rows do to it."""

    def __init__(self, asked, **how):
        self.asked, self.how = asked, how
        self.server = self.start()

    def start(self, port=None, **how):
        return Server(self.asked.glass, self.asked.model, self.asked.options.split(), port=port, **(self.how | how)).ready()

    def request(self, tokens=64, stream=True, prompt="Once upon a time", **more):
        body = {"model": self.server.model, "prompt": prompt, "max_tokens": tokens, "temperature": 0, "stream": stream}
        return body | more

    async def say(self, **more):
        answer = await ask(self.server.port, "/v1/completions", self.request(**more))
        expect(answer.status == 200, f"status {answer.status}: {answer.body[:200]!r}")
        return answer.text()

    async def open(self, content=b""):
        reader, writer = await asyncio.open_connection("127.0.0.1", self.server.port)
        writer.write(content)
        await writer.drain()
        return reader, writer

    async def witnessed(self, trouble):
        """Runs `trouble` while a witness asks on; returns what it said and how often the witness got its answer."""
        first, count, done = await self.say(), 0, asyncio.Event()

        async def witness():
            nonlocal count
            while not done.is_set():
                expect(await self.say() == first, "another client got a different answer meanwhile")
                count += 1

        watching = asyncio.create_task(witness())
        try:
            said = await trouble()
        finally:
            done.set()
            await watching
        expect(await self.say() == first, "the answer afterwards is different")
        expect(self.server.alive(), "the server ended")
        return f"{said}; a witness got its same answer {count + 2} times"


def expect(true, said):
    if not true:
        raise AssertionError(said)


async def settled(server, before, within=15):
    """Waits until its open files are as few as before; seconds."""
    start = time.monotonic()
    while server.sockets() > before + 2:
        expect(time.monotonic() - start < within, f"{server.sockets() - before} connections are still open after {within} s")
        await asyncio.sleep(0.05)
    return time.monotonic() - start


@fault("{many} clients killed in mid-stream, 30 at a time, half of them by a reset")
async def killed(trial):
    before = trial.server.sockets()

    async def one(number):
        reader, writer = await trial.open(post("/v1/completions", trial.request(400, prompt=f"Number {number}")))
        await reader.readuntil(b"data:")
        await asyncio.sleep(0.01 * (number % 7))
        (reset if number % 2 else lambda one: one.close())(writer)

    async def trouble():
        for number in range(0, trial.asked.many, 30):
            await asyncio.gather(*map(one, range(number, min(number + 30, trial.asked.many))))
        return "all places free again"

    said = await trial.witnessed(trouble)
    return f"{said}; connections closed {await settled(trial.server, before):.1f} s after the last"


@fault("{many} clients that leave before their first token, without streaming")
async def left(trial):
    async def trouble():
        for number in range(trial.asked.many):
            _, writer = await trial.open(post("/v1/completions", trial.request(400, stream=False, prompt=f"Leaver {number}")))
            reset(writer)
            if number % 10 == 0:
                await asyncio.sleep(0.02)
        start = time.monotonic()
        await trial.say(tokens=1)
        return f"one token took {time.monotonic() - start:.2f} s right after"

    return await trial.witnessed(trouble)


@fault("50 readers that ask for 400 tokens with log-probabilities and never read")
async def slow(trial):
    async def trouble():
        held = [await trial.open(post("/v1/completions", trial.request(400, logprobs=20, prompt=f"Slow {n}"))) for n in range(50)]
        await asyncio.sleep(5)
        for _, writer in held:
            writer.close()
        return "held for 5 s"

    return await trial.witnessed(trouble)


@fault("100 half-sent heads, 100 half-sent bodies, 50 connections that say nothing")
async def half(trial):
    content = post("/v1/completions", trial.request())

    async def trouble():
        parts = [content[:40]] * 100 + [content[:-20]] * 100 + [b""] * 50
        held = [await trial.open(part) for part in parts]
        start, open_still = time.monotonic(), 250
        while time.monotonic() - start < trial.asked.wait and open_still:
            await asyncio.sleep(1)
            open_still = sum(not reader.at_eof() for reader, _ in held)
        said = f"{250 - open_still} closed by the server within {time.monotonic() - start:.0f} s"
        for _, writer in held:
            writer.close()
        return said

    return await trial.witnessed(trouble)


@fault("no HTTP, a head of 1 MB, a body of 200 MB, a length that is a lie, JSON of 100,000 brackets")
async def garbage(trial):
    async def status(content):
        reader, writer = await trial.open()
        try:
            writer.write(content)
            await asyncio.wait_for(writer.drain(), 10)
            found = await asyncio.wait_for(receive(reader), 10)
            return str(found.status)
        except (ConnectionError, asyncio.IncompleteReadError):
            return "closed"
        finally:
            writer.close()

    async def trouble():
        contents = {
            "no HTTP": b"\x16\x03\x01\x02\x00\x01\x00\r\n\r\n" * 5, "head": b"GET /health HTTP/1.1\r\nX: " + b"x" * (1 << 20) + b"\r\n\r\n",
            "body": post("/v1/completions", b" " * (200 << 20)), "length": b"POST /v1/completions HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: -5\r\n\r\n",
            "brackets": post("/v1/completions", b"[" * 100000),
        }
        found = {name: await status(content) for name, content in contents.items()}
        expect(not {code for code in found.values()} & {"200", "500"}, f"{found}")
        return ", ".join(f"{name} {code}" for name, code in found.items())

    return await trial.witnessed(trouble)


@fault("SIGTERM while 16 streams run")
async def drained(trial):
    alone = [await trial.say(tokens=400, prompt=f"Stream {number}") for number in range(16)]
    streams = [asyncio.create_task(ask(trial.server.port, "/v1/completions", trial.request(400, prompt=f"Stream {number}"))) for number in range(16)]
    await asyncio.sleep(0.15)
    expect(not all(stream.done() for stream in streams), "the answers were too fast for this trial")
    trial.server.process.terminate()
    await asyncio.sleep(0.05)
    try:
        late = str((await ask(trial.server.port, "/v1/completions", trial.request(1))).status)
    except (ConnectionError, asyncio.IncompleteReadError):
        late = "refused"
    expect(late in ("503", "refused"), f"a new request got {late}")
    found = await asyncio.gather(*streams, return_exceptions=True)
    broken = [one for one in found if isinstance(one, Exception)]
    expect(not broken, f"{len(broken)} of 16 streams broke off: {broken[:1]}")
    texts = [one.text() for one in found]
    expect(texts == alone, f"{sum(a != b for a, b in zip(texts, alone))} answers differ")
    status = await asyncio.to_thread(trial.server.process.wait, 30)
    expect(status == 0, f"status {status}")
    return f"all 16 finished with their text; a new request: {late}; exit status 0"


@fault("kill -9 under load, and a restart on the same port")
async def restarted(trial):
    first = await trial.say()
    streams = [asyncio.create_task(ask(trial.server.port, "/v1/completions", trial.request(300, prompt=f"Lost {number}"))) for number in range(16)]
    await asyncio.sleep(0.1)
    trial.server.process.kill()
    trial.server.process.wait()
    lost = sum(isinstance(one, Exception) for one in await asyncio.gather(*streams, return_exceptions=True))
    trial.server = trial.start(port=trial.server.port)
    expect(await trial.say() == first, "the answer after the restart is different")
    return f"{lost} of 16 clients saw their stream break off; ready again after {trial.server.seconds:.2f} s, the same answer"


@fault("a full disk under its log (standard error is /dev/full)", error="/dev/full")
async def full(trial):
    async def trouble():
        for _ in range(20):
            await ask(trial.server.port, "/v1/completions", {"nonsense": 1})
        return "20 wrong requests answered"

    return await trial.witnessed(trouble)


@fault("its log's reader gone (standard error is a closed pipe)", error="pipe")
async def pipe(trial):
    async def trouble():
        for _ in range(20):
            await ask(trial.server.port, "/v1/completions", {"nonsense": 1})
        return "20 wrong requests answered"

    return await trial.witnessed(trouble)


@fault("more connections than it may have files (limit 256, 400 connections)", files=256)
async def crowded(trial):
    first, before = await trial.say(), trial.server.sockets()
    held = [await trial.open() for _ in range(400)]
    await asyncio.sleep(1)
    expect(trial.server.alive(), "the server ended")
    for _, writer in held:
        writer.close()
    seconds = await settled(trial.server, before)
    expect(await trial.say() == first, "the answer afterwards is different")
    return f"it lives; {seconds:.1f} s after they left it answers as before"


@fault("64 clients against a queue that holds fewer, all at once, 8 times")
async def queue(trial):
    async def one(number):
        answer = await ask(trial.server.port, "/v1/completions", trial.request(32, prompt=f"Crowd {number % 64}"))
        if answer.status == 429:
            expect(b"retry-after:" in answer.headers, "429 without Retry-After")
            return "429"
        expect(answer.status == 200, f"status {answer.status}")
        return answer.text()

    found = await asyncio.gather(*map(one, range(512)))
    texts = {}
    for number, text in enumerate(found):
        if text != "429":
            expect(texts.setdefault(number % 64, text) == text, "the same prompt got two answers")
    return f"{512 - found.count('429')} answered, {found.count('429')} times 429 with Retry-After, one text for each prompt"


def streams(how):
    """Standard error and limits of a server."""
    error = how.get("error")
    if error == "/dev/full":
        return {"error": os.open(error, os.O_WRONLY)}
    if error == "pipe":
        read, write = os.pipe()
        os.close(read)
        return {"error": write}
    if "files" in how:
        return {"preexec_fn": lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (how["files"], how["files"]))}
    return {"error": subprocess.DEVNULL}


def attempt(asked, what, function, how):
    """A row of the table; whether it behaved."""
    trial, start = None, time.monotonic()
    try:
        trial = Trial(asked, **streams(how))
        said, good = asyncio.run(function(trial)), True
    except Exception as error:
        said, good = f"{type(error).__name__}: {error}"[:400], False
    finally:
        if trial and trial.server.alive() and trial.server.stop() is None:
            said, good = f"{said}; it did not end on SIGTERM", False
    print(f"| {what.format(many=asked.many)} | {'' if good else '**wrong:** '}{said} | {time.monotonic() - start:.0f} s |", flush=True)
    return good


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--glass", default=ROOT / "target" / "release" / "glass")
    parser.add_argument("--model", help="default: the model inside the program")
    parser.add_argument("--options", default="", help="more options for `glass serve`, as one argument")
    parser.add_argument("--only", default="")
    parser.add_argument("--many", type=int, default=300)
    parser.add_argument("--wait", type=int, default=40, help="seconds to wait for the server to give up on half a request")
    asked = parser.parse_args()
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(4096, most) if most > 0 else 4096, most))
    print("| what was tried | what happened | time |\n|---|---|---|")
    good = [attempt(asked, *one) for one in FAULTS if re.search(asked.only, one[0] + one[1].__name__)]
    sys.exit(0 if all(good) else 1)


if __name__ == "__main__":
    main()
