#!/usr/bin/env python3
"""EleutherAI's lm-evaluation-harness, unchanged, against a running `glass serve`, on local task files that this script writes.

    pip install "lm-eval[api]"
    glass serve &
    tools/clients/lm_eval_client.py [http://127.0.0.1:8080/v1] [--glass target/release/glass] [--model MODEL] [--tokenizer FOLDER]

MODEL and its tokenizer must be those that are served: by default the model inside the program. `local-completions` scores
multiple-choice and last-word tasks, sent as ids, whose log-probabilities must be those of `glass score --tasks` to 1e-5; it and `local-chat-completions` generate what direct requests give. One line for every check; status 1 if one fails.
"""

import argparse
import json
import logging
import os
import subprocess
import sys
import tempfile
import urllib.request
from pathlib import Path

os.environ |= {"HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}

import lm_eval
from lm_eval.tasks import TaskManager

from checks import check, equal, expect, run

ROOT = Path(__file__).resolve().parents[2]
CLOSE = 1e-5
THINGS = ["dog", "cat", "ball", "hat", "kite", "frog", "boat", "cake", "moon", "fish"]
CHOICES = [
    {"query": f"Lily had a {thing}. She loved the", "choices": [f" {thing}.", " sky very much.", f" {THINGS[place - 1]} and the {thing}"], "gold": 0}
    for place, thing in enumerate(THINGS)
]
WORDS = [
    {"context": f"Once upon a time there was a little {thing}. Every day the little", "continuation": thing} for thing in THINGS
] + [{"context": "Tom ran to the park. " * 30 + "Tom ran to the", "continuation": "park"}]
TASKS = {
    "choice": 'output_type: multiple_choice\ndoc_to_text: "{{query}}"\ndoc_to_choice: choices\ndoc_to_target: gold\n'
    "metric_list:\n  - metric: acc\n  - metric: acc_norm\n",
    "word": 'output_type: loglikelihood\ndoc_to_text: "{{context}}"\ndoc_to_target: " {{continuation}}"\n'
    "metric_list:\n  - metric: acc\n  - metric: perplexity\n",
    "continue": 'output_type: generate_until\ndoc_to_text: "{{query}}"\ndoc_to_target: "{{gold}}"\n'
    'generation_kwargs:\n  until: ["\\n"]\n  max_gen_toks: 24\n  temperature: 0\nmetric_list:\n  - metric: exact_match\n',
}


class Harness:
    """The harness with its task files."""

    def __init__(self, asked, folder):
        self.asked, self.folder, self.url = asked, folder, asked.url.rstrip("/")
        self.model = self.get("/models")["data"][0]
        for name, items in {"choice": CHOICES, "word": WORDS, "continue": CHOICES}.items():
            (folder / f"{name}.jsonl").write_text("".join(json.dumps(item) + "\n" for item in items))
            head = f"task: {name}\ndataset_path: json\ndataset_kwargs:\n  data_files:\n    test: {folder / name}.jsonl\ntest_split: test\n"
            (folder / f"{name}.yaml").write_text(head + TASKS[name])
        self.manager = TaskManager(include_path=str(folder), include_defaults=False)

    def get(self, path, body=None):
        head = {"Content-Type": "application/json", "Authorization": f"Bearer {os.environ.get('OPENAI_API_KEY', '')}"}
        request = urllib.request.Request(self.url + path, body and json.dumps(body).encode(), head)
        with urllib.request.urlopen(request, timeout=120) as answer:
            return json.load(answer)

    def evaluate(self, task, kind="local-completions", **more):
        path = "/chat/completions" if "chat" in kind else "/completions"
        settings = {
            "model": self.model["id"], "base_url": self.url + path, "tokenizer": str(self.asked.tokenizer), "max_length": self.model["context"],
            "num_concurrent": 4, "max_retries": 1, "tokenizer_backend": "huggingface",
        }
        found = lm_eval.simple_evaluate(
            kind, model_args=settings | more, tasks=[task], task_manager=self.manager, bootstrap_iters=0, log_samples=True,
            apply_chat_template="chat" in kind,
        )
        samples = sorted(found["samples"][task], key=lambda sample: sample["doc_id"])
        return samples, {key.partition(",")[0]: value for key, value in found["results"][task].items()}

    def scored(self, task):
        """What `glass score` says of the same items."""
        command = [self.asked.glass, "score", *(["--model", self.asked.model] if self.asked.model else []), "--tasks", self.folder / f"{task}.jsonl"]
        lines = subprocess.run([*map(str, command), "--each", "--json"], check=True, stdout=subprocess.PIPE, text=True).stdout.splitlines()
        *items, totals = map(json.loads, lines)
        return items, totals["choice"] or totals["last_word"]

    def compare(self, task, **more):
        """The harness over HTTP and `glass score`: log-probabilities, what was right, totals."""
        samples, theirs = self.evaluate(task, **more)
        items, ours = self.scored(task)
        equal(len(samples), len(items), "items")
        apart = 0
        for sample, item in zip(samples, items, strict=True):
            found = [logprob for logprob, _ in sample["filtered_resps"]]
            wanted = item.get("logprobs") or [item["logprob"]]
            apart = max(apart, *(abs(a - b) for a, b in zip(found, wanted, strict=True)))
            equal(bool(sample["acc"]), item["right"], f"whether item {item['line']} is right")
        expect(apart <= CLOSE, f"log-probabilities are {apart:.1e} apart")
        for key in ("acc", "acc_norm", "perplexity"):
            if key in theirs:
                expect(abs(theirs[key] - ours[key]) <= 1e-4 * max(1, ours[key]), f"{key} {theirs[key]} and {ours[key]}")
        return f"{len(items)} items, at most {apart:.1e} apart, accuracy {theirs['acc']:.2f}"


@check("local-completions: multiple choice, ids")
def choice_ids(harness):
    return harness.compare("choice", add_bos_token=True)


@check("local-completions: last words, ids, batches of 4")
def word_ids(harness):
    return harness.compare("word", add_bos_token=True, batch_size=4)


@check("local-completions: multiple choice, as text")
def as_text(harness):
    # Only that it answers: a text gets its start token from the service, which the harness does not count.
    found, _ = harness.evaluate("choice", tokenized_requests=False)
    expect(len(found) == len(CHOICES), "answers are missing")
    expect(all(logprob < 0 for sample in found for logprob, _ in sample["filtered_resps"]), "a log-probability is not negative")
    return f"{len(found)} items answered"


@check("local-completions: generation, the same as a direct request")
def generated(harness):
    samples, _ = harness.evaluate("continue", add_bos_token=True)
    for sample in samples:
        direct = harness.get("/completions", {"model": harness.model["id"], "prompt": sample["doc"]["query"], "max_tokens": 24, "temperature": 0, "stop": ["\n"]})
        equal(sample["filtered_resps"][0], direct["choices"][0]["text"], sample["doc"]["query"])
    return repr(samples[0]["filtered_resps"][0])


@check("local-chat-completions: generation, the same as a direct request")
def chatted(harness):
    samples, _ = harness.evaluate("continue", kind="local-chat-completions")
    for sample in samples:
        messages = [{"role": "user", "content": sample["doc"]["query"]}]
        direct = harness.get("/chat/completions", {"model": harness.model["id"], "messages": messages, "max_tokens": 24, "temperature": 0, "stop": ["\n"]})
        equal(sample["filtered_resps"][0], direct["choices"][0]["message"]["content"], sample["doc"]["query"])
    return repr(samples[0]["filtered_resps"][0])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("url", nargs="?", default="http://127.0.0.1:8080/v1")
    parser.add_argument("--glass", default=ROOT / "target" / "release" / "glass", help="the program, for `glass score`")
    parser.add_argument("--model", help="what is served; default: the model inside")
    parser.add_argument("--tokenizer", type=Path, default=ROOT / "models", help="a folder with its tokenizer")
    parser.add_argument("--only", default="", help="checks whose names match")
    asked = parser.parse_args()
    logging.getLogger("lm_eval").setLevel(logging.ERROR)
    with tempfile.TemporaryDirectory() as folder:
        failed = run(Harness(asked, Path(folder)), only=asked.only)
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
