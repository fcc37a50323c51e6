#!/usr/bin/env python3
"""Counts how well a story teller follows its instructions: two things asked for, a hero's name, a length, a follow-up.

    tools/requests.py target/release/glass [-m MODEL] [--print | --samples]

Fifty written requests, each naming two things: a story counts if both words occur in it, singular or plural. Twenty
system prompts with a hero's name: a story counts if the name occurs in it at least twice. The same ten requests with a
system prompt for short and for long stories. Ten chats that continue with a question about the hero. Request N runs with
seed N; nothing is run twice or left out. --samples prints ten other conversations instead, as Markdown.
"""

import argparse
import json
import re
import statistics
import subprocess
import tempfile
from pathlib import Path

TWO_THINGS = [
    ("Tell me a story about a dog and a lost ball.", "dog", "ball"),
    ("Write a story about a frog and a red hat.", "frog", "hat"),
    ("Tell me a story about a bear and a cake.", "bear", "cake"),
    ("Can you tell me a story about a boat and a storm?", "boat", "storm"),
    ("Please tell me a story about a cat and a butterfly.", "cat", "butterfly"),
    ("I want a story about a girl with a kite.", "girl", "kite"),
    ("Tell me a story about a rabbit who finds a carrot.", "rabbit", "carrot"),
    ("A story about a boy and a red car, please.", "boy", "car"),
    ("Make up a story about a bird and a tree.", "bird", "tree"),
    ("Tell a story about a fish that meets a turtle.", "fish", "turtle"),
    ("Could you write a story about a doll and a box?", "doll", "box"),
    ("Write a short story about a mouse and some cheese.", "mouse", "cheese"),
    ("Tell me a story about a princess and a dragon.", "princess", "dragon"),
    ("I'd like to hear about a robot and a flower.", "robot", "flower"),
    ("Tell us about a farmer and a cow.", "farmer", "cow"),
    ("Story about a monkey and a banana.", "monkey", "banana"),
    ("Tell me a story about a truck and a puddle.", "truck", "puddle"),
    ("Please write about a lion and a mouse.", "lion", "mouse"),
    ("Tell me a story with an owl and the moon in it.", "owl", "moon"),
    ("Can you make a story about a duck and a pond?", "duck", "pond"),
    ("Write a story in which a girl loses her shoe.", "girl", "shoe"),
    ("Tell me about a squirrel and a nut.", "squirrel", "nut"),
    ("A bedtime story about a star and a child, please.", "star", "child"),
    ("Tell me a story about a grandmother and her garden.", "grandmother|grandma|granny", "garden"),
    ("Tell me a story about a train and a bridge.", "train", "bridge"),
    ("I want to hear a story about a pig and some mud.", "pig", "mud"),
    ("Tell me a story about a bee and some honey.", "bee", "honey"),
    ("Write a story about a snowman and a scarf.", "snowman", "scarf"),
    ("Tell me a story about a horse and an apple.", "horse", "apple"),
    ("Do you know a story about a king and a crown?", "king", "crown"),
    ("Tell me a story about a boy who plants a seed.", "boy", "seed"),
    ("Please tell a story about an elephant and a drum.", "elephant", "drum"),
    ("Tell me a story about a puppy and a bone.", "puppy|pup", "bone"),
    ("Write a story about a spider and a fly.", "spider", "fly"),
    ("Tell me a story about a bunny and a basket.", "bunny", "basket"),
    ("I would like a story about a rocket and a star.", "rocket", "star"),
    ("Tell me a story about a clown and a balloon.", "clown", "balloon"),
    ("Give me a story about a kitten and some milk.", "kitten", "milk"),
    ("Tell me a story about a fox and a river.", "fox", "river"),
    ("Can you tell me about a pirate and his treasure?", "pirate", "treasure"),
    ("Tell me a story about a girl and a piano.", "girl", "piano"),
    ("Write a story about a doctor and a cookie.", "doctor", "cookie"),
    ("Tell me a story about a wolf and a cave.", "wolf|wolve", "cave"),
    ("A story about a baby and a blanket.", "baby", "blanket"),
    ("Tell me a story about a chicken and an egg.", "chicken", "egg"),
    ("Please write a story about a bus and a hill.", "bus", "hill"),
    ("Tell me a story about a boy and a magic stone.", "boy", "stone"),
    ("Tell me a story about a fairy and a castle.", "fairy", "castle"),
    ("I want a story about a crab and a shell.", "crab", "shell"),
    ("Tell me a story about a family and a picnic.", "family", "picnic"),
]
NAMES = "Lily Tim Anna Max Sara Jack Mia Sam Lucy Ben Rosa Oscar Nina Leo Emma Felix Clara Hugo Ella Paul".split()
SYSTEM_NAME = ["The hero of the story is {}.", "Always call the hero {}."]
SYSTEM_SHORT, SYSTEM_LONG = "Keep your stories very short.", "Tell long stories."
SUBJECTS = ["a ball", "the park", "a cat", "a red bike", "rain", "a birthday", "a lost toy", "the sea", "a cookie", "a tree"]
FOLLOW_UP = "Who was the story about?"
# A system prompt or None, and the questions, one after another.
SAMPLES = [
    (None, ["Tell me a story about a dog and a lost ball."]),
    (None, ["Write a story about a frog and a red hat."]),
    (None, ["I'd like to hear about a girl who finds a key.", "What did she find?"]),
    (None, ["Story about a bear and a cake please"]),
    ("The hero of the story is called Otto.", ["Tell me a story about a boat and a storm."]),
    ("Keep it short.", ["Tell me a story about two friends and a kite."]),
    ("Take your time and tell a long story.", ["Tell me a story about a cat who is afraid of the dark."]),
    (None, ["Please tell a story about a grandmother and a garden.", "What is the moral of the story?"]),
    ("You tell stories for small children. Always name the hero Nina.", ["A story about a train.", "Who was it about?"]),
    (None, ["Tell me a short story about the moon.", "Thank you!"]),
]
def mentions(story, thing):
    """Whether a word for it occurs, singular or plural."""
    words = thing + "".join("|" + word[:-1] + "ie" for word in thing.split("|") if word.endswith("y"))
    return re.search(rf"\b(?:{words})(?:s|es)?\b", story, re.IGNORECASE) is not None


def answer(asked, question, seed, system=None):
    command = [asked.glass, "chat", "--json", "--once", question, "--seed", str(seed)]
    command += ["-m", asked.model] if asked.model else []
    command += ["--system", system] if system else []
    told = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return json.loads(told)["answer"]


def talk(asked, questions, seed, system=None):
    """The answers to `questions`, asked one after the other in one chat."""
    with tempfile.TemporaryDirectory() as folder:
        saved = Path(folder) / "talk.jsonl"
        command = [asked.glass, "chat", "--seed", str(seed)] + (["-m", asked.model] if asked.model else [])
        command += ["--system", system] if system else []
        lines = "".join(question + "\n" for question in questions) + f"/save {saved}\n"
        subprocess.run(command, input=lines, capture_output=True, text=True, check=True)
        messages = json.loads(saved.read_text())["messages"]
    return [message["content"] for message in messages if message["role"] == "assistant"]


def two_things(asked):
    both, first, second = 0, 0, 0
    for seed, (request, one, other) in enumerate(TWO_THINGS, 1):
        story = answer(asked, request, seed)
        here = mentions(story, one), mentions(story, other)
        first, second, both = first + here[0], second + here[1], both + all(here)
        if asked.print:
            print(f"[{'+' if here[0] else '-'}{'+' if here[1] else '-'}] {request}\n{story}\n")
    print(f"two things: {both} of {len(TWO_THINGS)} stories mention both (the first {first}, the second {second})")


def names(asked):
    kept = 0
    for seed, name in enumerate(NAMES, 1):
        system = SYSTEM_NAME[seed % 2].format(name)
        story = answer(asked, f"Tell me a story about {SUBJECTS[seed % 10]}.", seed, system)
        here = len(re.findall(rf"\b{name}\b", story)) >= 2
        kept += here
        if asked.print:
            print(f"[{'+' if here else '-'}] {system}\n{story}\n")
    print(f"hero's name in the system prompt: {kept} of {len(NAMES)} stories keep it")


def lengths(asked):
    told = {}
    for system in (SYSTEM_SHORT, SYSTEM_LONG):
        requests = [f"Tell me a story about {subject}." for subject in SUBJECTS]
        told[system] = [len(answer(asked, request, seed, system)) for seed, request in enumerate(requests, 1)]
    short, long = told[SYSTEM_SHORT], told[SYSTEM_LONG]
    kept = sum(a < b for a, b in zip(short, long))
    print(f"length in the system prompt: median of {statistics.median(short):.0f} bytes if short stories are requested, "
          f"{statistics.median(long):.0f} where long ones; {kept} of {len(short)} pairs in order")


def follow_ups(asked):
    right = 0
    for seed, name in enumerate(NAMES[:10], 1):
        story, who = talk(asked, [f"Tell me a story about a child named {name}.", FOLLOW_UP], seed)
        here = name in who and name in story
        right += here
        if asked.print:
            print(f"[{'+' if here else '-'}] {story}\n{FOLLOW_UP}\n{who}\n")
    print(f"follow-up: {right} of 10 name the story's hero when asked who it was about")


def samples(asked):
    for seed, (system, questions) in enumerate(SAMPLES, 1):
        print(f"**{seed}.** " + (f"System prompt: *{system}*" if system else "No system prompt.") + "\n")
        for question, said in zip(questions, talk(asked, questions, seed, system)):
            print(f"**{question}**\n")
            print("".join(f"> {line}\n" for line in said.splitlines()))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("glass", help="the program")
    parser.add_argument("-m", "--model", help="a model folder; default: the built-in model")
    parser.add_argument("--print", action="store_true", help="print every story too")
    parser.add_argument("--samples", action="store_true", help="ten conversations to read, instead")
    asked = parser.parse_args()
    if asked.samples:
        return samples(asked)
    for count in (two_things, names, lengths, follow_ups):
        count(asked)


if __name__ == "__main__":
    main()
