#!/usr/bin/env python3
"""Makes conversations for fine-tuning a story teller, from short stories.

    tools/conversations.py --held-out tinystories_10k_lines.txt --out conversations.jsonl SLICE.txt…

Every line is `{"messages": [{"role", "content"}, …]}`: sometimes a system prompt, a request for one or two things that
occur in the story, the story; then, in about a third, a follow-up question that the story answers, a request for another
one, or thanks. A hero named in a system prompt is the story's hero; a request for a short or a long story is met by its
length. If a name is requested, the people of the story usually have other names than in the source, and many requested
things are replaced by others of their kind, so that a request must be read. With --plain N, every story is also added N
times as plain text, {"text"}, unchanged.
"""

import argparse
import json
import random
import re
from collections import Counter, defaultdict
from dataclasses import replace
from pathlib import Path

import phrases
from kin import Kin, exchange
from names import Names, rename
from stories import distinct
from story_facts import describing, facts, learn

SHORT, LONG = 560, 1000
RENAMED = 0.75


def bytes_of(messages):
    return sum(len(message["content"].encode()) for message in messages)


def say(role, content):
    return {"role": role, "content": content}


def article(noun_phrase):
    return ("an " if noun_phrase[0] in "aeio" or noun_phrase.startswith("um") else "a ") + noun_phrase


class Teller:
    """Draws conversations; every story is used at most `uses` times."""

    def __init__(self, texts, limit, uses, exchanged, seed):
        self.words = learn(texts)
        self.names = Names(texts, self.words)
        self.kin = Kin(texts, self.words)
        self.told = [facts(text, self.words) for text in texts]
        self.limit, self.uses, self.share = limit, uses, exchanged
        self.random = random.Random(seed)
        self.used = Counter()
        self.about = defaultdict(list)
        for index, story in enumerate(self.told):
            for noun, _ in story.things:
                self.about[noun].append(index)

    def chance(self, share):
        return self.random.random() < share

    def pick(self, lines):
        return self.random.choice(lines)

    def conversation(self, index):
        """A conversation about story `index`, or None if it would be too long."""
        story = self.renamed(self.told[index]) if self.chance(RENAMED) else self.told[index]
        system, named, length = self.system(story)
        messages = [say("system", system)] if system else []
        if self.chance(0.04):
            messages += [say("user", self.pick(phrases.GREETINGS)), say("assistant", self.pick(phrases.GREETED))]
        request, things = self.request(story, named, length)
        if not named and not any(hero in request for hero in story.heroes):
            story = self.told[index]
        request, story, things = self.exchanged(request, story, things)
        messages += [say("user", request), say("assistant", story.text)]
        if bytes_of(messages) > self.limit:
            return None
        self.used[index] += 1
        if self.chance(0.4):
            self.follow_up(messages, index, story, things, named, length)
        return messages

    def renamed(self, story):
        return facts(rename(story.text, self.names.others(story.text, self.random)), self.words)

    def exchanged(self, request, story, things):
        """The same with some of the things replaced, and the things that were not."""
        left = []
        for noun in things:
            other = self.kin.other(noun, request + story.text, self.random) if self.chance(self.share) else None
            if other is None:
                left.append(noun)
            else:
                request = exchange(request, noun, other)
                story = replace(facts(exchange(story.text, noun, other), self.words), heroes=story.heroes)
        return request, story, left

    def system(self, story):
        """A system prompt that fits this story; whether it names the hero; the length that it asks for."""
        kind = self.random.random()
        plain = self.pick(phrases.SYSTEM) if self.chance(0.5) else ""
        if kind < 0.25 and len(story.heroes) == 1:
            rule = self.pick(phrases.SYSTEM_NAME).format(name=story.heroes[0])
            return f"{plain} {rule}".strip(), True, None
        length = length_of(story)
        if 0.25 <= kind < 0.6 and length:
            return f"{plain} {self.pick(phrases.SYSTEM_LENGTH[length])}".strip(), False, length
        return (self.pick(phrases.SYSTEM) if kind > 0.75 else ""), False, None

    def request(self, story, named, length):
        """What the user asks for, and the nouns in it."""
        subject, nouns = self.subject(story, named)
        if not subject:
            return self.pick(phrases.ANY_STORY), nouns
        size = length_of(story) if length is None and self.chance(0.3) else None
        if size:
            return self.pick(phrases.SIZED[size]).format(subject=subject), nouns
        return self.pick(phrases.REQUESTS).format(subject=subject), nouns

    def subject(self, story, named):
        """`a dog and a lost ball`, `a girl named Lily and a needle`; empty for a story without a subject."""
        parts, nouns = [], []
        if story.heroes and not named and self.chance(0.2 if story.things else 0.9):
            heroes = " and ".join(story.heroes)
            of_kind = [f"{story.kind} named {heroes}", f"{story.kind} named {heroes}", story.kind] if story.kind else []
            parts.append(self.pick(of_kind + [heroes]))
        elif story.protagonist and self.chance(0.85):
            parts.append(self.described(story.protagonist, describing(story.text, story.protagonist, self.words)))
            nouns.append(story.protagonist)
        room = self.pick([1] + [2] * 9) - len(parts)
        taken = [story.kind if parts else "", *nouns]
        candidates = [thing for thing in story.things if not any(thing[0] in words for words in taken)]
        # Mostly things near the beginning: the first thing a story mentions should be the requested one.
        place = lambda thing: story.text.lower().find(thing[0])
        candidates = sorted(candidates, key=place) if self.chance(0.75) else self.random.sample(candidates, len(candidates))
        chosen = candidates[: max(room, 0)]
        if self.chance(0.8):
            chosen.sort(key=place)
        for noun, adjectives in chosen:
            parts.append(self.described(noun, adjectives))
            nouns.append(noun)
        return self.pick([" and "] * 7 + [" with "]).join(parts), nouns

    def described(self, noun, adjectives):
        """`a red ball`, `some milk`."""
        described = f"{self.pick(adjectives)} {noun}" if adjectives and self.chance(0.5) else noun
        return f"some {described}" if noun in self.words.masses else article(described)

    def follow_up(self, messages, index, story, things, named, length):
        """One or two more turns, if they fit."""
        another = self.another(index, story, things, named, length) if self.chance(0.35) else None
        if another is not None:
            noun, other, text = another
            turns = [self.pick(phrases.ANOTHER).format(subject=article(noun)), text]
        else:
            questions = self.questions(story)
            turns = self.pick(questions) if questions and self.chance(0.8) else self.thanks()
        added = [say("user", turns[0]), say("assistant", turns[1])]
        if bytes_of(messages + added) > self.limit:
            return
        if another is not None:
            self.used[other] += 1
        messages += added
        room = bytes_of(messages) + 80 <= self.limit
        if room and messages[-1]["content"] not in phrases.WELCOME and self.chance(0.15):
            user, assistant = self.thanks()
            messages += [say("user", user), say("assistant", assistant)]

    def thanks(self):
        return self.pick(phrases.THANKS), self.pick(phrases.WELCOME)

    def another(self, index, first, things, named, length):
        """A thing of the first story, and another story about it that fits the same system prompt."""
        room = self.limit - len(first.text) - 200
        for noun in things:
            others = [
                other for other in self.about[noun]
                if other != index and self.used[other] < self.uses and len(self.told[other].text) < room
                and (not named or self.can_be_about(self.told[other], first.heroes[0]))
                and (length is None or length_of(self.told[other]) == length)
            ]
            if others:
                other = self.pick(others)
                text = self.told[other].text
                return noun, other, rename(text, {self.told[other].heroes[0]: first.heroes[0]} if named else {})
        return None

    def can_be_about(self, story, hero):
        """Whether the one hero of `story` may have the name `hero`."""
        one = len(story.heroes) == 1 and hero not in story.text
        return one and self.names.of.get(story.heroes[0], 1) == self.names.of.get(hero, 2)

    def questions(self, story):
        """Pairs of a question and its answer, from the story alone."""
        pairs = [(question, answer) for question, answer in story.questions]
        if story.heroes:
            names = " and ".join(story.heroes)
            who = f"{story.kind} named {names}" if story.kind else names
            pairs.append((self.pick(phrases.WHO), f"The story was about {who}."))
            if story.kind:
                pairs.append((f"What was the name of {re.sub('^an? ', 'the ', story.kind)}?", f"{names}."))
        if story.ending:
            pairs.append((self.pick(phrases.ENDING), story.ending))
        if story.moral:
            pairs += [(self.pick(phrases.MORAL), story.moral)] * 3
        return pairs


def length_of(story):
    return "short" if len(story.text) < SHORT else "long" if len(story.text) > LONG else None


def small_talk(teller):
    """A question that does not ask for a story, and a story teller's answer."""
    question, answers = teller.pick(phrases.SMALL_TALK)
    return [say("user", teller.pick(question)), say("assistant", teller.pick(answers))]


def usable(story):
    return story.isascii() and story.count('"') % 2 == 0


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("slices", nargs="+", type=Path)
    parser.add_argument("--held-out", nargs="*", type=Path, default=[])
    parser.add_argument("--out", required=True, type=Path)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--bytes", type=int, default=1700, help="longest conversation, all messages together")
    parser.add_argument("--tell", type=int, default=4, help="conversations begun with each story")
    parser.add_argument("--exchanged", type=float, default=0.3, help="share of the requested things that are replaced")
    parser.add_argument("--plain", type=int, default=0, help="how often each story is also added as plain text")
    parser.add_argument("--either", type=float, metavar="SHARE",
                        help="begin conversations with this share of the stories only, and add only the others as plain text")
    asked = parser.parse_args()
    if {p.name for p in asked.slices} & ({p.name for p in asked.held_out} | {"tinystories_10k_lines.txt"}):
        parser.error("a held-out slice cannot be trained on")
    told = list(distinct(asked.slices, asked.held_out))
    texts = [story for _, story in told if usable(story)]
    teller = Teller(texts, asked.bytes, asked.tell + asked.tell // 2, asked.exchanged, asked.seed)
    begun = [index for index in range(len(texts)) if asked.either is None or teller.chance(asked.either)]
    order = [index for index in begun for _ in range(asked.tell)]
    teller.random.shuffle(order)
    made = [teller.conversation(index) for index in order if teller.used[index] < teller.uses]
    made = [messages for messages in made if messages]
    made += [small_talk(teller) for _ in range(len(made) // 40)]
    lines = [{"messages": messages} for messages in made]
    other = set() if asked.either is None else {texts[index] for index in begun}
    lines += [{"text": text} for text, story in told if story not in other] * asked.plain
    teller.random.shuffle(lines)
    with asked.out.open("w", encoding="utf-8") as out:
        out.writelines(json.dumps(line) + "\n" for line in lines)
    count(texts, teller, made)


def count(texts, teller, made):
    turns = Counter(sum(m["role"] == "user" for m in messages) for messages in made)
    system = sum(messages[0]["role"] == "system" for messages in made)
    print(f"{len(texts)} stories, {len(teller.used)} of them used")
    print(f"{len(made)} conversations, {system} with a system prompt")
    print("questions each: " + ", ".join(f"{n} in {count}" for n, count in sorted(turns.items())))
    print(f"{sum(map(bytes_of, made))} bytes, longest {max(map(bytes_of, made))}")


if __name__ == "__main__":
    main()
