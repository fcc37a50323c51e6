#!/usr/bin/env python3
"""Makes pairs of a better and a worse story for preference tuning, from what a served story teller answers.

    glass serve models --port 8123 --batch 16 &
    tools/preferences.py http://127.0.0.1:8123 --requests 1200 --out pairs.jsonl

Every request asks for a hero and a thing, sometimes under a system prompt that names the hero or asks for a length; none is one of
the fifty of `requests.py`, nor has it their names or their words for a length. It is answered four times. The better story does what
was asked for (both words, the name twice, the length) and repeats the fewest words; the worse one does not. Where a length was asked
for, the two must differ in it. A line is `{"prompt", "chosen", "rejected"}`, each a list of messages; a request without such a pair gives none.
"""

import argparse
import json
import random
import re
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import phrases
from conversations import LONG, SHORT, article, say
from requests import TWO_THINGS, mentions

HEROES = (
    "dog cat bear bird rabbit fish frog mouse cow pig duck horse monkey lion fox wolf owl turtle snail bee ant butterfly spider crab "
    "elephant giraffe tiger squirrel bunny puppy kitten chicken sheep goat dragon princess prince king queen fairy witch pirate clown "
    "robot doctor farmer baker teacher policeman girl boy child baby grandmother grandfather train truck car boat bus plane rocket "
    "star cloud doll teddy snowman giant"
).split()
THINGS = (
    "ball hat cake box kite flower tree key book bell balloon drum apple banana carrot cookie egg pie soup bread cheese honey milk "
    "basket bag blanket bed chair table lamp door window house castle garden park pond river lake beach hill mountain forest cave "
    "bridge road rainbow storm rock stone shell leaf nut seed bone feather mud snow puddle moon sun star ring crown shoe sock scarf "
    "coat mirror clock piano guitar whistle ladder rope bucket shovel hammer wagon bike swing slide tent picnic party present letter "
    "map treasure candle fire umbrella pillow spoon cup sandwich pumpkin strawberry nest farm zoo"
).split()
MASSES = set("soup bread cheese honey milk mud snow treasure".split())
ADJECTIVES = "big small red blue green yellow shiny old new lost magic pretty funny soft little broken".split()
NAMES = "Tom Kate Bob Jane Fred Molly Peter Alice Henry Sue Billy Nora Finn Zoe George Ruby Dan Mary Roger Amy".split()
TEMPERATURES = [0.4, 0.7, 0.7, 0.9]
APART = 250  # bytes between a story of a length that was asked for and one that is not


@dataclass
class Request:
    """What is said before the story, and what the story should do."""

    messages: list
    words: list
    name: str | None
    length: str | None

    def met(self, story):
        there = all(mentions(story, word) for word in self.words)
        return there and (self.name is None or len(re.findall(rf"\b{self.name}\b", story)) >= 2)


def requests(number, draw):
    """Distinct requests."""
    asked = {(hero, thing) for _, heroes, thing in TWO_THINGS for hero in heroes.split("|")}
    told = set()
    while len(told) < number:
        hero, thing = draw.choice(HEROES), draw.choice(THINGS)
        if hero == thing or {(hero, thing), (thing, hero)} & (asked | told):
            continue
        told.add((hero, thing))
        described = f"{draw.choice(ADJECTIVES)} {thing}" if draw.random() < 0.25 else thing
        described = f"some {described}" if thing in MASSES else article(described)
        text = draw.choice(phrases.REQUESTS).format(subject=f"{article(hero)} and {described}")
        kind, system, name, length = draw.random(), "", None, None
        if kind < 0.15:
            name = draw.choice(NAMES)
            system = draw.choice(phrases.SYSTEM_NAME).format(name=name)
        elif kind < 0.6:
            length = draw.choice(["short", "long"])
            system = draw.choice(phrases.SYSTEM_LENGTH[length])
        elif kind < 0.7:
            system = draw.choice(phrases.SYSTEM)
        messages = ([say("system", system)] if system else []) + [say("user", text)]
        yield Request(messages, [hero, thing], name, length)


def told(url, request, seed):
    """The stories that were told to their end."""
    stories = []
    for nth, temperature in enumerate(TEMPERATURES):
        body = {"messages": request.messages, "temperature": temperature, "top_p": 0.95, "seed": 10 * seed + nth}
        call = urllib.request.Request(f"{url}/v1/chat/completions", json.dumps(body).encode(), {"Content-Type": "application/json"})
        with urllib.request.urlopen(call) as answer:
            choice = json.load(answer)["choices"][0]
        if choice["finish_reason"] == "stop":
            stories.append(choice["message"]["content"])
    return stories


def variety(story):
    """The share of its runs of three words that are distinct."""
    words = story.lower().split()
    runs = list(zip(words, words[1:], words[2:]))
    return len(set(runs)) / max(len(runs), 1)


def fits(request, story, other):
    """Whether `story` has the length that was asked for, and `other` has not."""
    if request.length is None:
        return True
    if request.length == "short":
        return len(story) < SHORT and len(other) > len(story) + APART
    return len(story) > LONG and len(other) < len(story) - APART


def pair(request, stories):
    """The better and the worse story, or None."""
    good = sorted((story for story in stories if request.met(story)), key=variety, reverse=True)
    bad = [story for story in stories if not request.met(story)]
    if request.length:
        bad = stories
    return next(((story, other) for story in good for other in bad if story != other and fits(request, story, other)), None)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("url", help="of a running `glass serve`")
    parser.add_argument("--requests", type=int, default=1200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path, required=True)
    asked = parser.parse_args()
    made = list(requests(asked.requests, random.Random(asked.seed)))
    ask = lambda nth: told(asked.url, made[nth], asked.seed * asked.requests + nth)
    try:
        with ThreadPoolExecutor(16) as pool:
            answered = list(pool.map(ask, range(len(made))))
    except urllib.error.URLError as error:
        parser.exit(1, f"{asked.url}: {error}\n")
    count, met = 0, 0
    with asked.out.open("w", encoding="utf-8") as out:
        for request, stories in zip(made, answered):
            met += sum(map(request.met, stories))
            if found := pair(request, stories):
                better, worse = ([say("assistant", story)] for story in found)
                out.write(json.dumps({"prompt": request.messages, "chosen": better, "rejected": worse}) + "\n")
                count += 1
    print(f"{count} pairs of {len(made)} requests; {met} of {sum(map(len, answered))} stories have what was asked for")


if __name__ == "__main__":
    main()
