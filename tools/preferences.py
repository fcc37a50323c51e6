#!/usr/bin/env python3
"""Makes pairs of a better and a worse story for preference tuning, from what a served story teller answers.

    glass serve models --port 8123 --batch 16 &
    tools/preferences.py http://127.0.0.1:8123 --requests 1200 --out pairs.jsonl

Every request asks for a hero and a thing, sometimes under a system prompt that names the hero or asks for a length. No request has a
pair of words of the fifty of `requests.py`, a name of its twenty, or one of its two prompts for a length. It is answered four times.
The better story has what was asked for (both words, the name twice) and repeats the fewest runs of three words; the worse one has not.
Where a length was asked for, the better one keeps it, and the worse one is at least 250 characters longer or shorter. A line is
`{"prompt", "chosen", "rejected"}`, each a list of messages; a request without such a pair gives no line. The share of stories that
have what was asked for is printed; lengths are not counted there. With --without, requests of earlier files are left out.
"""

import argparse
import http.client
import json
import random
import re
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import product
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
# How else a word is said, as in `requests.py`.
FORMS = {
    "wolf": "wolf|wolve", "mouse": "mouse|mice", "child": "child|children", "policeman": "policeman|policemen", "leaf": "leaf|leave",
    "snowman": "snowman|snowmen", "scarf": "scarf|scarve", "puppy": "puppy|pup", "grandmother": "grandmother|grandma|granny",
    "grandfather": "grandfather|grandpa",
}
APART = 250  # characters between a story of a length that was asked for and one that is not


@dataclass
class Request:
    """What is said before the story, and what the story should do."""

    messages: list
    words: list
    name: str | None
    length: str | None

    def met(self, story):
        there = all(mentions(story, FORMS.get(word, word)) for word in self.words)
        return there and (self.name is None or len(re.findall(rf"\b{self.name}\b", story)) >= 2)


def pairs_of_words(number, draw, without):
    """Distinct ones, in a random order: none of the fifty, and none that the texts `without` ask for."""
    asked = {(hero, thing) for _, heroes, thing in TWO_THINGS for hero in heroes.split("|")}
    for text in without:
        there = [[word for word in words if mentions(text, word)] for words in (HEROES, THINGS)]
        asked |= set(product(*there))
    left = [(hero, thing) for hero in HEROES for thing in THINGS if hero != thing and not {(hero, thing), (thing, hero)} & asked]
    return draw.sample(left, number) if number <= len(left) else None


def drawn(words, draw, lengths):
    """A request for each pair of words."""
    for hero, thing in words:
        described = f"{draw.choice(ADJECTIVES)} {thing}" if draw.random() < 0.25 else thing
        described = f"some {described}" if thing in MASSES else article(described)
        text = draw.choice(phrases.REQUESTS).format(subject=f"{article(hero)} and {described}")
        kind, system, name, length = draw.random(), "", None, None
        if kind < 0.15:
            name = draw.choice(NAMES)
            system = draw.choice(phrases.SYSTEM_NAME).format(name=name)
        elif kind < 0.15 + lengths:
            length = draw.choice(["short", "long"])
            system = draw.choice(phrases.SYSTEM_LENGTH[length])
        elif kind < 0.25 + lengths:
            system = draw.choice(phrases.SYSTEM)
        messages = ([say("system", system)] if system else []) + [say("user", text)]
        yield Request(messages, [hero, thing], name, length)


def told(url, request, seed):
    """The stories that were told to their end."""
    stories = []
    for nth, temperature in enumerate(TEMPERATURES):
        body = {"messages": request.messages, "temperature": temperature, "top_p": 0.95, "seed": 10 * seed + nth}
        call = urllib.request.Request(f"{url}/v1/chat/completions", json.dumps(body).encode(), {"Content-Type": "application/json"})
        with urllib.request.urlopen(call, timeout=600) as answer:
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
    parser.add_argument("--lengths", type=float, default=0.45, help="the share of requests that ask for a length")
    parser.add_argument("--without", type=Path, nargs="*", default=[], help="files of pairs whose requests are left out")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path, required=True)
    asked = parser.parse_args()
    draw = random.Random(asked.seed)
    lines = [json.loads(line) for path in asked.without for line in path.read_text().splitlines()]
    words = pairs_of_words(asked.requests, draw, [line["prompt"][-1]["content"] for line in lines])
    if words is None:
        parser.error("--requests: there are not so many pairs of words")
    made = list(drawn(words, draw, asked.lengths))
    ask = lambda nth: told(asked.url, made[nth], asked.seed * asked.requests + nth)
    try:
        with ThreadPoolExecutor(16) as pool:
            answered = list(pool.map(ask, range(len(made))))
    except (OSError, http.client.HTTPException) as error:
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
