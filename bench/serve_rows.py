"""The rows of bench/serve.py: load, a shared prefix, a long prompt beside streams, a watched client beside others."""

import random
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import median, quantiles

from common import PAUSE
from load import drive, request

PROMPT, ANSWER = 65, 64
PREFIX, ENDING, SHORT = 512, 16, 16
LOOK = {"sites": ["block.3.attention.pattern", "block.5.mlp.active"], "positions": "last", "lens": 5}


@dataclass
class Model:
    name: str
    path: Path
    context: int
    ids: range
    ends: list
    requests: dict

    def prompt(self, tokens, *seed):
        """Ids that only this seed gives."""
        return random.Random(f"{self.name} {seed}").choices(self.ids, k=tokens)

    def body(self, server, prompt, answer=ANSWER, **more):
        """A request both servers take; the end of text is made impossible, so that every answer has its full length."""
        body = {
            "model": server.model, "prompt": prompt, "max_tokens": answer, "temperature": 0, "stream": True,
            "stream_options": {"include_usage": True}, "logit_bias": {str(end): -100 for end in self.ends},
        }
        return request(body | more)


def milliseconds(seconds):
    """Median and 99th percentile."""
    if len(seconds) < 2:
        return {"median": None, "p99": None}
    return {"median": round(1000 * median(seconds), 2), "p99": round(1000 * quantiles(seconds, n=100)[98], 2)}


def spread(values):
    return {"median": round(median(values), 2), "least": round(min(values), 2), "most": round(max(values), 2)}


def in_turns(sides, rounds, work):
    """Rounds of every side, in turns; the first is not counted. `sides`: name to server; `work(server, name, round)`: its requests."""
    taken = {name: [] for name in sides}
    for number in range(1 + rounds):
        for name, server in sides.items():
            with server:
                done = drive(server.port, work(server, name, number))
            time.sleep(PAUSE)
            if number or done.failures:
                taken[name].append(done)
    return taken


def summary(rounds, answer):
    """What is measured of a side."""
    good = [one for done in rounds for one in done.good]
    short = sum(one.usage.get("completion_tokens") != answer for one in good)
    events = sum(len(one.events) for one in good)
    return {
        "tokens/s": spread([done.tokens / done.seconds for done in rounds]),
        "requests/s": spread([len(done.good) / done.seconds for done in rounds]),
        "first token ms": milliseconds([one.first for one in good]),
        "between tokens ms": milliseconds([gap for one in good for gap in one.gaps()]),
        "failures": sum(len(done.failures) for done in rounds) + short,
        "tokens an event": round(sum(done.tokens for done in rounds) / max(events, 1), 3),
        "cores of clients": round(sum(done.cpu for done in rounds) / sum(done.seconds for done in rounds), 3),
    } | complaints(rounds)


def complaints(rounds):
    """The first thing that went wrong."""
    said = [failure for done in rounds for failure in done.failures]
    return {"failed with": said[0]} if said else {}


def loads(starter, model, asked):
    """1, 4, 16 and 64 clients."""
    found, texts = {}, {}
    for clients in asked.clients:
        with starter() as started:
            sides, flash = pair(started, model, asked, clients)
            taken = in_turns(sides, asked.rounds, plain(model, clients, requests_of(model, clients, asked), "timed"))
            row = {name: summary(rounds, ANSWER) for name, rounds in taken.items()}
            for name, server in sides.items():
                row[name] |= {"peak MB": server.peak()} | same_text(model, server, clients, texts.setdefault(name, {}))
            found[f"{clients} clients"] = {"sides": row, "flash attention": flash} | ratios(row)
            show_load(model, clients, found[f"{clients} clients"])
    return found


def requests_of(model, clients, asked):
    count = model.requests.get(clients, max(1, 128 // clients))
    return max(1, count // 3) if asked.quick else count


def plain(model, clients, count, kind):
    """Every client's requests, each with a prompt of its own."""
    def work(server, _name, number):
        return [
            [model.body(server, model.prompt(PROMPT, kind, number, client, index)) for index in range(count)]
            for client in range(clients)
        ]

    return work


def pair(started, model, asked, clients):
    """Glass, and llama.cpp with the flash attention that is faster at this load, by two rounds of each."""
    settings = {f"llama.cpp fa {flash}": started.llama(clients, 256, flash) for flash in ("on", "off")}
    count = max(1, requests_of(model, clients, asked) // 2)
    tried = in_turns(settings, 1 if asked.quick else 2, plain(model, clients, count, "flash"))
    rates = {name: round(median(done.tokens / done.seconds for done in rounds), 1) for name, rounds in tried.items()}
    best = max(rates, key=rates.get)
    for name, server in settings.items():
        if name != best:
            server.close()
            started.open.remove(server)
    return {"glass": started.glass(clients), best: settings[best]}, rates


def same_text(model, server, clients, before):
    """How many of 16 prompts' answers differ from those with one client; each twice, so that caches are warm the second time."""
    prompts = [model.prompt(PROMPT, "same", index) for index in range(16)]
    whose = [[index for index in range(16) if index % clients == client] or [client % 16] for client in range(clients)]
    differ, compared = 0, 0
    for _ in range(2):
        with server:
            done = drive(server.port, [[model.body(server, prompts[index]) for index in mine] for mine in whose])
        left = {client: list(mine) for client, mine in enumerate(whose)}
        for one in done.answers:
            text = before.setdefault(left[one.client].pop(0), one.text)
            differ, compared = differ + (text != one.text or bool(one.failure)), compared + 1
    return {"texts that differ": differ, "of": compared}


def ratios(row):
    """Glass by llama.cpp."""
    ours, theirs = row["glass"], next(side for name, side in row.items() if name != "glass")
    return {
        "rate ratio": round(ours["tokens/s"]["median"] / max(theirs["tokens/s"]["median"], 0.01), 2),
        "first token ratio": over(ours["first token ms"]["median"], theirs["first token ms"]["median"]),
    }


def over(ours, theirs):
    return round(ours / theirs, 2) if ours and theirs else None


def show_load(model, clients, found):
    print(f"\n{model.name}, {clients} clients: {found['rate ratio']} x the rate, {found['first token ratio']} x the time to the first token; "
          f"tried: {found['flash attention']}")
    for name, side in found["sides"].items():
        first, between = side["first token ms"], side["between tokens ms"]
        print(f"  {name:16} {side['tokens/s']['median']:9.1f} tokens/s  {side['requests/s']['median']:7.2f} requests/s  "
              f"first {first['median']} / {first['p99']} ms  between {between['median']} / {between['p99']} ms  {side['peak MB']} MB  "
              f"{side['failures']} failed  {side['texts that differ']} of {side['of']} texts differ  clients took {side['cores of clients']} cores",
              flush=True)
        if "failed with" in side:
            print(f"    failed with: {side['failed with']}")


def shared(started, model, asked):
    """16 clients whose prompts share a prefix: Glass warm, Glass with a salt of its own in each request, llama.cpp."""
    prefix = model.prompt(min(PREFIX, model.context - 128), "prefix")
    count = 1 if asked.quick else 3
    ours = started.glass()
    sides = {"glass warm": ours, "glass cold": ours} | better(started, model, 16, model.context)

    def work(server, name, number):
        def one(client, index):
            salt = {"cache_salt": f"{number} {client} {index}"} if name == "glass cold" else {}
            return model.body(server, prefix + model.prompt(ENDING, "ending", name, number, client, index), SHORT, **salt)

        return [[one(client, index) for index in range(count)] for client in range(16)]

    taken = in_turns(sides, asked.rounds, work)
    row = {name: summary(rounds, SHORT) for name, rounds in taken.items()}
    rate = {name.split(" fa")[0]: side["requests/s"]["median"] for name, side in row.items()}
    row["prefix"], row["warm by cold"] = len(prefix), over(rate["glass warm"], rate["glass cold"])
    return row | {"warm by llama.cpp": over(rate["glass warm"], rate["llama.cpp"])}


def better(started, model, clients, context):
    """llama.cpp for the rows about latency: with flash attention, its default where the processor is all there is."""
    server = started.llama(clients, context, "on")
    return {server.name: server}


def long_prompt(started, model, asked):
    """15 clients read long answers; the 16th sends prompts that fill the context. Gaps are the 15 others', while a prompt is read."""
    sides = {"glass": started.glass()} | better(started, model, 16, model.context)

    def work(server, name, number):
        reader = lambda client: [model.body(server, model.prompt(16, "reader", number, client), model.context - 64)]
        asker = [model.body(server, model.prompt(16, "asker", number), 24)]
        asker += [model.body(server, model.prompt(model.context - 24, "long", number, index), 8) for index in range(3)]
        return [asker, *map(reader, range(1, 16))]

    return {name: beside(rounds) for name, rounds in in_turns(sides, asked.rounds, work).items()}


def beside(rounds):
    """The others' gaps while long prompts are read, and before."""
    during, calm, reading = [], [], []
    for done in rounds:
        long = [one for one in done.good if one.client == 0][1:]
        others = [one for one in done.good if one.client]
        settled = max((one.events[0] for one in others), default=0)
        for one in long:
            reading.append(one.first)
            during += [gap for other in others for gap in other.gaps(one.started, one.events[0])]
        calm += [gap for other in others for gap in other.gaps(settled, long[0].started)] if long else []
    during_ms = milliseconds(during)
    return {
        "between tokens ms": during_ms, "p99 by median": over(during_ms["p99"], during_ms["median"]),
        "longest ms": round(1000 * max(during, default=0), 1), "gaps": len(during), "before ms": milliseconds(calm),
        "the long prompt's first token ms": milliseconds(reading), "failures": sum(len(done.failures) for done in rounds),
    } | complaints(rounds)


def watched(started, model, asked):
    """16 clients of Glass, one of them with a look: the other 15's time between tokens."""
    ours = started.glass()
    count = 1 if asked.quick else 2

    def work(server, name, number):
        def one(client, index):
            look = {"look": LOOK} if client == 0 and name == "one watched" else {}
            return model.body(server, model.prompt(PROMPT, "watched", name, number, client, index), **look)

        return [[one(client, index) for index in range(count)] for client in range(16)]

    taken = in_turns({"nobody watched": ours, "one watched": ours}, 2 * asked.rounds, work)
    gaps = {name: [gap for done in rounds for one in done.good if one.client for gap in one.gaps()] for name, rounds in taken.items()}
    row = {
        name: {"between tokens ms": milliseconds(gaps[name]), "failures": sum(len(done.failures) for done in rounds)} | complaints(rounds)
        for name, rounds in taken.items()
    }
    return row | {"grows by": over(*(row[name]["between tokens ms"]["median"] for name in ("one watched", "nobody watched")))}
