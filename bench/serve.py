"""Serving under load: Glass's server and llama.cpp's in turns, streamed answers over loopback.

    .venv/bin/python bench/serve.py [--rounds 5] [--threads 2] [--glass PROGRAM] [--llama PROGRAM] [--keep FOLDER] [--quick]
        [--models inside,gpt2] [--clients 1,4,16,64] [--rows load,shared,long,watched]

Both open the same Q8_0 files: the model inside the program, and GPT-2 124M with random weights. Every client sends its requests one
after another: a prompt of 65 tokens that nobody sent before, an answer of exactly 64, temperature 0 (end tokens are biased away). One
server has its turn, then the other; whoever waits is frozen. llama.cpp has as many slots as there are clients, and the better of
its two settings of flash attention at this load. Times are those at which clients receive bytes.
"""

import argparse
import shutil
import subprocess
import tempfile
from pathlib import Path

import servers
from chart import bars
from common import ROOT, machine, record
from serve_rows import Model, long_prompt, loads, shared, watched


def prepare(folder, program):
    """The two files, made where they are missing."""
    random, inside = folder / "random.gguf", folder / "inside.gguf"
    if not random.exists():
        if not (folder / "hf" / "model.safetensors").exists():
            import torch
            from transformers import GPT2Config, GPT2LMHeadModel

            torch.manual_seed(1)
            GPT2LMHeadModel(GPT2Config()).save_pretrained(folder / "hf")
        vocabulary(program, folder)
        run(program, "quantise", folder / "hf", "--to", "q8", "--out", random)
    if not inside.exists():
        if not (folder / "dense").exists():
            run(program, "convert", ROOT / "models", folder / "dense")
        run(program, "quantise", folder / "dense", "--to", "q8", "--out", inside)
    return {
        "inside": Model("the model inside", inside, 512, range(256, 5000), [0, 1, 2], {1: 24, 4: 12, 16: 6, 64: 3}),
        "gpt2": Model("GPT-2 124M, random", random, 1024, range(256, 50000), [50256], {1: 6, 4: 4, 16: 3, 64: 2}),
    }


def vocabulary(program, folder):
    """GPT-2's vocabulary for the random weights, from a model of a few weights that is trained with it: servers speak text."""
    text, small = folder / "few.txt", folder / "few"
    text.write_text(" ".join(map(str, range(3000))))
    sizes = ["--layers", 1, "--heads", 1, "--width", 8, "--context", 8, "--batch", 1, "--steps", 1]
    run(program, "train", "--data", text, *sizes, "--tokenizer", "gpt2", "--out", small)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(small / name, folder / "hf" / name)


def run(*command):
    subprocess.run(list(map(str, command)), check=True, stdout=subprocess.DEVNULL)


class Starter:
    """Starts servers for a model; all are closed together."""

    def __init__(self, asked, model, folder):
        self.asked, self.model, self.folder, self.open = asked, model, folder, []

    def glass(self, clients=16):
        options = ["--batch", clients, "--log", "off", *self.asked.glass_options.split()]
        self.open.append(servers.glass(self.asked.glass, self.model.path, self.asked.threads, self.folder, options))
        return self.open[-1]

    def llama(self, clients, context, flash):
        self.open.append(
            servers.llama(self.asked.llama, self.model.path, self.asked.threads, self.folder, clients, context, flash)
        )
        return self.open[-1]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for server in self.open:
            server.close()


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--glass", type=Path, help="the program; by default it is built")
    parser.add_argument("--glass-options", default="", help="more options for `glass serve`, as one argument")
    parser.add_argument("--llama", type=Path, default=ROOT / ".venv" / "bin" / "llama-server", help="from bench/setup")
    parser.add_argument("--keep", type=Path, help="a folder for the models, reused by the next run; that of run.py will do")
    parser.add_argument("--models", default="inside,gpt2")
    parser.add_argument("--clients", default="1,4,16,64")
    parser.add_argument("--rows", default="load,shared,long,watched")
    parser.add_argument("--quick", action="store_true", help="one round with fewer requests, not recorded")
    asked = parser.parse_args()
    asked.clients, asked.rows = [int(count) for count in asked.clients.split(",")], asked.rows.split(",")
    if asked.quick:
        asked.rounds = 1
    return asked


def measure(asked, model, folder):
    """All rows of a model."""
    found = {}
    if "load" in asked.rows:
        found["load"] = loads(lambda: Starter(asked, model, folder), model, asked)
    for name, measured in {"shared": shared, "long": long_prompt, "watched": watched}.items():
        if name in asked.rows:
            with Starter(asked, model, folder) as starter:
                found[name] = measured(starter, model, asked)
            show_row(model, name, found[name])
    return found


def show_row(model, name, found):
    print(f"\n{model.name}, {name}:")
    for side, numbers in found.items():
        said = ", ".join(f"{key} {value}" for key, value in numbers.items()) if isinstance(numbers, dict) else numbers
        print(f"  {side:22} {said}", flush=True)


def chart_rows(results):
    """For the charts: tokens a second, and milliseconds to the first token."""
    rates, times = [], []
    for model, found in results.items():
        for clients, row in found.get("load", {}).items():
            name = next(side for side in row["sides"] if side.startswith("llama"))
            ours, theirs = row["sides"]["glass"], row["sides"][name]
            what = f"{model.split(',')[0]}, {clients}"
            for rows, key in ((rates, "tokens/s"), (times, "first token ms")):
                if ours[key]["median"] and theirs[key]["median"]:
                    rows.append((what, ours[key]["median"], theirs[key]["median"], name))
    return rates, times


def main():
    asked = arguments()
    if not asked.glass:
        subprocess.run(["cargo", "build", "-q", "--release", "-p", "glass-app"], cwd=ROOT, check=True)
        asked.glass = ROOT / "target" / "release" / "glass"
    about = machine([]) | {"threads": asked.threads, "rounds": asked.rounds, "llama.cpp": servers.version(asked.llama)}
    with tempfile.TemporaryDirectory() as temporary:
        folder = asked.keep or Path(temporary)
        folder.mkdir(exist_ok=True)
        models = prepare(folder, asked.glass)
        results = {models[name].name: measure(asked, models[name], Path(temporary)) for name in asked.models.split(",")}
    failures = sum(count for found in results.values() for count in failed(found))
    print(f"\nfailed requests: {failures}")
    if asked.quick:
        return
    about["what"] = "answers streamed to many clients: tokens a second, times in ms, memory in MB"
    path = record("serve", about, results)
    rates, times = chart_rows(results)
    if rates:
        bars(path.with_suffix(".svg"), "Served to N clients, tokens per second", rates)
        bars(path.with_name(path.stem + "-first.svg"), "Served to N clients, ms to the first token (less is better)", times)


def failed(found):
    """Every count of failures in a tree of results."""
    for key, value in found.items():
        if isinstance(value, dict):
            yield from failed(value)
        elif key == "failures":
            yield value


if __name__ == "__main__":
    main()
