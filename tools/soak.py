#!/usr/bin/env python3
"""An hour of mixed load against `glass serve`: no crash, no hang, no wrong answer, no leak.

    tools/soak.py [--minutes 60] [--glass target/release/glass] [--model MODEL] [--workers 12] [--options "…"]

Clients stream, wait, leave in mid-stream, read slowly, send half a body, ask wrongly, fill the context, give schemas, look inside and
ask for embeddings, at random. What they ask repeats, and every answer must be the one that was given first; every twenty seconds
a fixed set of greedy and seeded requests is compared too. Memory after ten minutes (a sixth of shorter runs) and at the end
must be within 2 %. Status 1 if something was not as it should be. Linux.
"""

import argparse
import asyncio
import json
import random
import sys
import time
from collections import Counter
from statistics import median

from service import PATIENCE, ROOT, Server, ask, post, reset

THINGS = ["dog", "cat", "ball", "hat", "kite", "frog", "boat", "cake", "moon", "fish", "tree", "duck"]
SCHEMA = {
    "type": "object", "required": ["name", "age"], "additionalProperties": False,
    "properties": {"name": {"enum": ["Tom", "Lily"]}, "age": {"type": "integer", "minimum": 1, "maximum": 9}},
}
LOOK = {"sites": ["block.3.attention.pattern"], "positions": "last", "lens": 3}


class Soak:
    def __init__(self, asked, server):
        self.asked, self.server, self.port = asked, server, server.port
        self.first, self.wrong, self.counts, self.memory = {}, [], Counter(), []
        self.end, self.context = float("inf"), server.get("/v1/models")["data"][0].get("context", 512)

    def chat(self, thing, **more):
        messages = [{"role": "user", "content": f"Tell me a story about a {thing}."}]
        return "/v1/chat/completions", {"model": self.server.model, "messages": messages, "max_tokens": 48} | more

    def complete(self, prompt, **more):
        return "/v1/completions", {"model": self.server.model, "prompt": prompt, "max_tokens": 48, "temperature": 0} | more

    def compare(self, key, said):
        """The same request must have the same answer as the first time."""
        if self.first.setdefault(key, said) != said:
            self.wrong.append(f"{key}: {said!r}, at first {self.first[key]!r}"[:600])

    async def answered(self, kind, path, body, status=200):
        """An answer that must have this status."""
        answer = await ask(self.port, path, body)
        self.counts[f"{kind} {answer.status}"] += 1
        if answer.status not in (status, 429):
            self.wrong.append(f"{kind}: status {answer.status}: {answer.body[:200]!r}")
        return answer if answer.status == status else None

    async def known(self, kind, path, body):
        """An answer that may have been given before; streaming or not must not change it."""
        answer = await self.answered(kind, path, body)
        if answer:
            self.compare(json.dumps({key: value for key, value in body.items() if key != "stream"}), answer.text())

    # What clients do. ---------------------------------------------------------------------------------------------------

    async def streamed(self, dice):
        await self.known("streamed", *self.drawn(dice, stream=True))

    async def whole(self, dice):
        await self.known("whole", *self.drawn(dice))

    def drawn(self, dice, **more):
        thing = dice.choice(THINGS)
        if dice.random() < 0.5:
            return self.chat(thing, temperature=1, seed=dice.randrange(4), **more)
        return self.complete(f"Once there was a {thing}", **more)

    async def leaving(self, dice):
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        writer.write(post(*self.complete(f"A {dice.choice(THINGS)}", stream=dice.random() < 0.7, max_tokens=300)))
        await asyncio.sleep(dice.random())
        (reset if dice.random() < 0.5 else lambda one: one.close())(writer)
        self.counts["left in mid-stream"] += 1

    async def slow(self, dice):
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port, limit=1024)
        writer.write(post(*self.chat(dice.choice(THINGS), stream=True, max_tokens=200, temperature=0)))
        for _ in range(dice.randrange(1, 20)):
            if not await asyncio.wait_for(reader.read(64), PATIENCE):
                break
            await asyncio.sleep(0.3)
        writer.close()
        self.counts["slow reader"] += 1

    async def half(self, dice):
        _, writer = await asyncio.open_connection("127.0.0.1", self.port)
        content = post(*self.complete("Half a body"))
        writer.write(content[: dice.randrange(1, len(content))])
        await asyncio.sleep(dice.random() * 2)
        writer.close()
        self.counts["half a request"] += 1

    async def mistaken(self, dice):
        path, body = self.chat("dog")
        wrong = [{"temperature": -1}, {"nonsense": 1}, {"messages": []}, {"max_tokens": "many"}, {"top_p": 3}, {"n": -2}]
        await self.answered("wrong", path, body | dice.choice(wrong), status=400)

    async def broken(self, dice):
        await self.answered("not JSON", "/v1/completions", dice.choice([b"{", b"\xff\xfe", b"[]", b'{"prompt": "a" "b"}']), status=400)

    async def full(self, dice):
        await self.known("full context", *self.complete([dice.randrange(2, 200)] * (self.context - 24), max_tokens=8, stream=dice.random() < 0.5))

    async def too_long(self, dice):
        await self.answered("too long", *self.complete([dice.randrange(2, 200)] * (self.context + dice.randrange(1, 3000))), status=400)

    async def schema(self, dice):
        form = {"type": "json_schema", "json_schema": {"name": "one", "schema": SCHEMA, "strict": True}}
        answer = await self.answered("schema", *self.chat(dice.choice(THINGS), response_format=form, temperature=1, max_tokens=120))
        if answer and answer.json()["choices"][0]["finish_reason"] == "stop":
            found = json.loads(answer.text())
            if found["name"] not in ("Tom", "Lily") or found["age"] not in range(1, 10):
                self.wrong.append(f"schema: {found}")

    async def look(self, dice):
        body = {"prompt": f"The {dice.choice(THINGS)} ran", "look": LOOK, "max_tokens": dice.choice([0, 8]), "temperature": 0}
        answer = await self.answered("look", "/v1/look", body)
        if answer:
            self.compare(json.dumps(body), json.dumps([answer.json()["look"], answer.json()["next"]]))

    async def watched(self, dice):
        await self.known("watched", *self.complete(f"Once there was a {dice.choice(THINGS)}", look=LOOK))

    async def embedding(self, dice):
        body = {"model": self.server.model, "input": [f"A {dice.choice(THINGS)}", "another"], "encoding_format": "float"}
        answer = await self.answered("embeddings", "/v1/embeddings", body)
        if answer:
            self.compare(json.dumps(body), json.dumps(answer.json()["data"]))

    async def scored(self, dice):
        body = self.complete(f"The {dice.choice(THINGS)} sat on a chair.", echo=True, logprobs=2, max_tokens=1)
        answer = await self.answered("scored", *body)
        if answer:
            self.compare(json.dumps(body), json.dumps(answer.json()["choices"][0]["logprobs"]))

    # The run. -----------------------------------------------------------------------------------------------------------

    async def worker(self, number):
        dice = random.Random(number)
        acts = {
            self.streamed: 8, self.whole: 5, self.leaving: 4, self.slow: 2, self.half: 2, self.mistaken: 2, self.broken: 1, self.full: 1,
            self.too_long: 1, self.schema: 2, self.look: 1, self.watched: 1, self.embedding: 1, self.scored: 1,
        }
        if self.asked.without:
            acts = {act: weight for act, weight in acts.items() if act.__name__ not in self.asked.without.split(",")}
        while time.monotonic() < self.end and self.server.alive():
            act, = dice.choices(list(acts), list(acts.values()))
            try:
                await act(dice)
            except TimeoutError:
                self.wrong.append(f"{act.__name__}: it hangs: no answer after {PATIENCE} s")
            except (OSError, ValueError, KeyError, asyncio.IncompleteReadError) as error:
                if act.__name__ not in ("leaving", "slow", "half"):
                    self.wrong.append(f"{act.__name__}: {type(error).__name__}: {error}"[:300])

    async def fixed(self):
        """Greedy and seeded requests, one after another."""
        for thing in THINGS[:4]:
            await self.known("fixed", *self.complete(f"Once there was a {thing}"))
            await self.known("fixed", *self.chat(thing, temperature=1, seed=3, stream=thing < "d"))
            await self.known("fixed", *self.chat(thing, temperature=0, stop=["\n\n"]))

    async def watch(self):
        start = time.monotonic()
        while time.monotonic() < self.end and self.server.alive():
            self.memory.append((time.monotonic() - start, self.server.resident()))
            if len(self.memory) % 10 == 1:
                await self.fixed()
            if len(self.memory) % 60 == 0:
                print(f"{self.memory[-1][0] / 60:5.1f} min  {self.memory[-1][1] / 1e6:.1f} MB  {sum(self.counts.values())} requests  "
                      f"{len(self.wrong)} wrong", flush=True)
            await asyncio.sleep(2)

    async def run(self):
        await self.fixed()
        self.end = time.monotonic() + 60 * self.asked.minutes
        await asyncio.gather(self.watch(), *map(self.worker, range(self.asked.workers)))
        if self.server.alive():
            await self.fixed()

    def around(self, second):
        """The median of a minute's samples (less in short runs) before this second."""
        span = min(60, 10 * self.asked.minutes)
        return median(memory for at, memory in self.memory if second - span <= at <= second + 2)


def report(soak, asked):
    """Prints everything; whether all was well."""
    for kind, count in sorted(soak.counts.items()):
        print(f"{count:8}  {kind}")
    crashed = not soak.server.alive()
    status = soak.server.process.poll() if crashed else soak.server.stop()
    if crashed or status != 0:
        soak.wrong.append(f"the server {'crashed' if crashed else 'was told to stop'}: status {status}")
    last = soak.memory[-1][0]
    early, late = soak.around(min(600, last / 6)), soak.around(last)
    growth = late / early - 1
    print(f"memory: {early / 1e6:.1f} MB after {min(600, last / 6) / 60:.1f} min, {late / 1e6:.1f} MB at the end ({growth:+.1%}), "
          f"at most {max(memory for _, memory in soak.memory) / 1e6:.1f} MB")
    for wrong in soak.wrong[:20]:
        print(f"WRONG  {wrong}")
    print(f"{len(soak.wrong)} wrong, {len(soak.first)} different requests, {last / 60:.1f} minutes")
    return not soak.wrong and abs(growth) <= 0.02


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--glass", default=ROOT / "target" / "release" / "glass")
    parser.add_argument("--model", help="default: the model inside the program")
    parser.add_argument("--workers", type=int, default=12)
    parser.add_argument("--options", default="", help="more options for `glass serve`, as one argument")
    parser.add_argument("--without", default="", help="kinds of requests left out: look,schema,…")
    asked = parser.parse_args()
    server = Server(asked.glass, asked.model, asked.options.split()).ready()
    try:
        soak = Soak(asked, server)
        asyncio.run(soak.run())
        good = report(soak, asked)
    finally:
        if server.alive():
            server.process.kill()
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    main()
