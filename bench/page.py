"""How long the page waits: answers of `POST /v1/explain`, pictures in headless Chromium, and what a reader costs 16 other clients.

    .venv/bin/python bench/page.py [--rounds 20] [--threads 2] [--glass PROGRAM] [--keep FOLDER] [--parts answers,pictures,clients]

Every question is asked about a text that the service has not read before, so every answer includes a pass over it. The models are
those of bench/serve.py: the model inside the program with 32 tokens, and GPT-2 124M (q8, random weights) with 64.
"""

import argparse
import json
import random
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path
from statistics import median

import servers
from common import ROOT, machine, record
from page_pictures import pictures
from serve import prepare
from serve_rows import PROMPT, in_turns

# What the page asks when another text, token, block or head is chosen.
VIEWS = {
    "next token": [{"ask": "next", "top": 50}],
    "embedding": [{"ask": "embedding"}],
    "attention": [{"ask": "attention", "block": 3, "head": 1}, {"ask": "row"}],
    "one head": [{"ask": "head", "block": 5, "head": 2}],
    "all heads of a block": [{"ask": "heads", "block": 5}],
    "MLP": [{"ask": "mlp", "block": 6}],
    "lens": [{"ask": "lens", "top": 5}],
    "last vector": [{"ask": "last"}],
    "overview": [{"ask": "stream"}, {"ask": "last"}, {"ask": "row"}, {"ask": "next"}],
    "a head silenced": [{"ask": "if", "edits": [{"silence": "block.4.attention.head.1"}], "tokens": 0}],
    "a head silenced, and 12 tokens that follow": [{"ask": "if", "edits": [{"silence": "block.4.attention.head.1"}], "tokens": 12}],
    "why this word": [{"ask": "why"}],
}


def ask(port, question):
    request = urllib.request.Request(f"http://127.0.0.1:{port}/v1/explain", json.dumps(question).encode())
    with urllib.request.urlopen(request, timeout=120) as answer:
        return json.loads(answer.read().splitlines()[-1])["answer"]


def answers(server, model, tokens, rounds):
    """Milliseconds of every view: median and worst."""
    draw = random.Random(1)
    times = {view: [] for view in VIEWS}
    with server:
        for turn in range(rounds + 1):
            for view, questions in VIEWS.items():
                ids = [draw.choice(model.ids) for _ in range(tokens)]
                start = time.perf_counter()
                for question in questions:
                    ask(server.port, question | {"ids": ids})
                # The first round warms up.
                if turn:
                    times[view].append(1000 * (time.perf_counter() - start))
    return {view: {"median ms": round(median(found), 1), "worst ms": round(max(found), 1)} for view, found in times.items()}


def read_on(port, ids, seconds):
    """A reader: another text twice a second, with all that the overview and the attention view ask."""
    draw, end = random.Random(2), time.monotonic() + seconds
    while time.monotonic() < end:
        text = [draw.choice(ids) for _ in range(32)]
        for question in VIEWS["overview"] + VIEWS["attention"]:
            ask(port, question | {"ids": text})
        time.sleep(0.5)


def clients(started, model, rounds):
    """16 clients of the service, without and with a reader of the page: tokens a second of all 16."""
    def work(server, name, number):
        return [[model.body(server, model.prompt(PROMPT, "page", name, number, client))] for client in range(16)]

    class Read:
        """The service while somebody reads the page."""

        def __init__(self, server):
            self.server = server

        def __getattr__(self, name):
            return getattr(self.server, name)

        def __enter__(self):
            self.server.__enter__()
            ids = ",".join(map(str, model.ids[:64]))
            self.reader = subprocess.Popen([sys.executable, __file__, "--read", str(self.server.port), ids])
            time.sleep(0.3)
            return self

        def __exit__(self, *error):
            self.reader.kill()
            self.reader.wait()
            self.server.__exit__(*error)

    taken = in_turns({"nobody reads": started, "one reads": Read(started)}, rounds, work)
    rate = {name: median(done.tokens / done.seconds for done in found) for name, found in taken.items()}
    failures = sum(len(done.failures) for found in taken.values() for done in found)
    slower = 100 * (1 - rate["one reads"] / rate["nobody reads"])
    return {"tokens/s": {name: round(value) for name, value in rate.items()}, "slower by %": round(slower, 1), "failures": failures}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--glass", type=Path, help="the program; by default it is built")
    parser.add_argument("--keep", type=Path, help="a folder for the models, reused by the next run")
    parser.add_argument("--parts", default="answers,pictures,clients")
    parser.add_argument("--read", nargs=2, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.read:
        return read_on(int(asked.read[0]), list(map(int, asked.read[1].split(","))), 3600)
    if not asked.glass:
        subprocess.run(["cargo", "build", "-q", "--release", "-p", "glass-app"], cwd=ROOT, check=True)
        asked.glass = ROOT / "target" / "release" / "glass"
    found = {}
    with tempfile.TemporaryDirectory() as temporary:
        folder = asked.keep or Path(temporary)
        folder.mkdir(exist_ok=True)
        models = prepare(folder, asked.glass)
        for name, tokens in (("inside", 32), ("gpt2", 64)) if "answers" in asked.parts or "clients" in asked.parts else ():
            model = models[name]
            server = servers.glass(asked.glass, model.path, asked.threads, temporary, ["--log", "off"])
            try:
                row = found[f"{model.name}, {tokens} tokens"] = {}
                if "answers" in asked.parts:
                    row["answers"] = answers(server, model, tokens, asked.rounds)
                if "clients" in asked.parts:
                    row["16 clients"] = clients(server, model, 5)
            finally:
                server.close()
        if "pictures" in asked.parts:
            found["pictures"] = pictures(asked, models, min(asked.rounds, 10))
    print(json.dumps(found, indent=1, ensure_ascii=False))
    record("page", machine([]) | {"threads": asked.threads, "rounds": asked.rounds}, found)


if __name__ == "__main__":
    main()
