"""Finds facts about a short story by rules: its hero, its things, questions about it.

It uses no tagger and no model: the class of a word is found from its use in the whole collection.
"""

import re
from collections import Counter
from dataclasses import dataclass, field
from math import log

WORD = re.compile(r"[A-Za-z]+(?:'[a-z]+)?")
SENTENCE = re.compile(r"""[^.!?\n]+[.!?]+["']*|[^.!?\n]+$""", re.M)
# A noun phrase ends before a comma, a small word or a verb.
NOUN_PHRASE_END = (
    r"(?=[.,!?;]|\s(?:and|in|on|at|to|with|that|who|from|for|near|under|by|because|as|into|up|down|out|so|again|too|"
    r"was|were|is|are|had|has|have|but|said|saw|ran|went|came|felt|thought|told|found|could|would|can|will|did|took|made|"
    r"got|knew|flew|swam|sat|gave|heard|fell|[a-z]+ed)\b)"
)
NOUN_USE = re.compile(r"\b(?:a|an|the|his|her|their|my)\s(?:([a-z]+)\s)?([a-z]+)" + NOUN_PHRASE_END, re.I)
A_NOUN = re.compile(r"\b(?:a|an)\s(?:[a-z]+\s)?([a-z]+)" + NOUN_PHRASE_END)
SOME_NOUN = re.compile(r"\bsome\s(?:[a-z]+\s)?([a-z]+)" + NOUN_PHRASE_END)
BEING = re.compile(r"\b(?:was|were|is|so|very|too|felt|looked)\s([a-z]+)(?=[.,!?]|\sand\b|\sbut\b)")
MIDDLE_NAME = re.compile(r"(?<=[a-z,] )(?<!\. )([A-Z][a-z]+)\b")
NOT_NAMES = set(
    "Mom Mommy Mum Mummy Mama Momma Dad Daddy Papa Grandma Grandpa Granny Mr Mrs Ms Miss Sir Christmas Halloween Easter "
    "Monday Tuesday Wednesday Thursday Friday Saturday Sunday January December The God Yes No But And It He She They "
    "Once One What You We My This That TV OK Okay Hello Hi Wow Oh".split()
)
NOT_THINGS = set(
    "accident adventure afternoon air anything arm arms back bath belly best big bit bite body bottom boy brain "
    "break breath brother bump camp case cell challenge chance change choice circle class click collection "
    "corner creature dad daddy daughter day days deal decision difference discovery distance door dream ear ears edge "
    "emergency end ending evening event everything experience eye eyes face father feeling feet fine finger "
    "first floor foot friend friends front frown fun future game girl goal good great grin ground group gun half hand "
    "handle hands happy head heart help helper hero hider hold home hug human idea image imagination infant inside "
    "itch job journey kid kids kind kiss knock land language lap last later left leg legs lesson line little look lot loud "
    "lung mama man mark marriage massage meeting memory mess message middle mind minute mistake mixer mom moment "
    "mommy morning mother mouth mum mystery name nap nation neck network new next night noise nose nothing object one "
    "operation other others outside owner pain papa parent parents part patch people person piece pieces pistol player pitch "
    "place plan port present price problem project puff pupil question reason request rest reward ride right roar "
    "room row sad same scale school secret shade shape side sigh sight sign sip sister size smell smile solution "
    "something son sorry sound spirit spot square staff stage stem stomach story stranger structure success sudden "
    "surprise symbol tap task taste team test thing things throat time tip tongue top touch track trick trip try turn "
    "universe urge victory view voice waist walk war way weapon week weight while wife wink woman word world wreck "
    "yard yawn year".split()
)
NOT_ADJECTIVES = set(
    "bad best better big dead different excited favorite few fine first good great happy last late little long many more "
    "most nearby new next normal only other own real right sad same second special stupid such sure troubled very whole "
    "wrong".split()
)


# The hero of a story appears near its beginning, and is met, named or described there.
PROTAGONIST = re.compile(
    r"\b(?:there (?:was|lived)|lived|was|had|met|saw) (?:a|an) (?:[a-z]+,? ){0,3}?([a-z]+)"
    r"(?=,? (?:named|called|who|that|whose|in|with|and|on|living)\b|[.,!])"
)
PEOPLE = set("girl boy man woman lady mommy daddy grandma grandpa".split())


@dataclass
class Words:
    """How words are used in the whole collection."""

    nouns: set = field(default_factory=set)
    masses: set = field(default_factory=set)
    adjectives: set = field(default_factory=set)
    names: set = field(default_factory=set)
    stories_with: Counter = field(default_factory=Counter)
    stories: int = 0


def learn(stories):
    """A noun mostly ends a phrase that begins with `a` or `the`; a noun that never follows `a` but often `some` is a mass noun
    (`some milk`); an adjective is inside such a phrase, or after `was` and similar words."""
    used, noun_use, a_noun, some_noun, before, being, names = (Counter() for _ in range(7))
    words = Words(stories=len(stories))
    for story in stories:
        here = WORD.findall(story)
        used.update(here)
        words.stories_with.update({word.lower() for word in here})
        being.update(BEING.findall(story))
        names.update(MIDDLE_NAME.findall(story))
        a_noun.update(A_NOUN.findall(story))
        some_noun.update(SOME_NOUN.findall(story))
        for adjective, noun in NOUN_USE.findall(story):
            noun_use[noun] += 1
            before[adjective] += 1
    countable = (w for w, n in noun_use.items() if n >= 8 and n >= 0.4 * used[w] and a_noun[w] >= 0.06 * used[w])
    plural = re.compile("[^s]s$")
    single = {w for w in countable if len(w) > 2 and not plural.search(w) and being[w] < 0.15 * used[w]}
    words.nouns = single - NOT_THINGS
    describing = (w for w, n in before.items() if n + being[w] >= 0.35 * used[w] and n >= 8 and being[w] >= 2)
    words.adjectives = set(describing) - NOT_ADJECTIVES - words.nouns
    often_some = {w for w, n in some_noun.items() if n >= 4 and n >= 0.015 * used[w] and a_noun[w] < 0.03 * used[w]}
    words.masses = {w for w in often_some if not plural.search(w)} - words.nouns - words.adjectives - NOT_THINGS
    words.names = {w for w, n in names.items() if n >= 2 and n > used[w.lower()]} - NOT_NAMES
    return words


@dataclass
class Facts:
    """The facts about one story."""

    text: str
    heroes: list
    kind: str
    protagonist: str
    things: list
    questions: list
    ending: str
    moral: str


def facts(story, words):
    heroes = find_heroes(story, words)
    return Facts(
        text=story,
        heroes=heroes,
        kind=find_kind(story, heroes[0]) if len(heroes) == 1 else "",
        protagonist=find_protagonist(story, words),
        things=find_things(story, words),
        questions=find_questions(story, heroes),
        ending=find_ending(story),
        moral=find_moral(story),
    )


def find_heroes(story, words):
    """One hero, or two that appear together; met early and named at least three times."""
    named = re.search(r"\b(?:named|called|name was)\s([A-Z][a-z]+)\b(?!\s[A-Z])", story[:300])
    count = Counter(word for word in WORD.findall(story) if word in words.names or (named and word == named[1]))
    early = [name for name, n in count.most_common() if n >= 3 and name in story[:250] and name not in NOT_NAMES]
    for a, b in re.findall(r"\b([A-Z][a-z]+) and ([A-Z][a-z]+)\b", story[:250]):
        if a in early and b in early:
            return [a, b]
    if named and named[1] in early:
        return [named[1]]
    clear = len(early) == 1 or (len(early) > 1 and count[early[0]] >= 2 * count[early[1]])
    return early[:1] if clear and count[early[0]] >= 4 else []


def find_kind(story, hero):
    """`a little girl`, if the story says so."""
    said = re.search(rf"\b((?:a|an) (?:[a-z]+ ){{0,2}}[a-z]+),? (?:named|called|whose name was) {hero}\b", story[:300])
    return said[1] if said else ""


def find_protagonist(story, words):
    """`dog`, if the story begins with one."""
    found = PROTAGONIST.search(story[:220])
    return found[1] if found and (found[1] in PEOPLE or found[1] in words.nouns) else ""


# A small model learns to begin with the requested thing; it knows by heart how stories continue.
BEGINNING = 260


def find_things(story, words):
    """Nouns in its beginning that distinguish it from other stories, the most distinctive first, each with its
    description."""
    count = Counter(word for word in WORD.findall(story) if word in words.nouns | words.masses)
    early = set(WORD.findall(story[:BEGINNING]))
    common = [word for word in count if word in early]
    common.sort(key=lambda word: -count[word] * log(words.stories / words.stories_with[word]))
    return [(word, describing(story, word, words)) for word in common[:5]]


def describing(story, noun, words):
    pairs = re.findall(rf"\b([a-z]+) {noun}\b", story)
    return [word for word in dict.fromkeys(pairs) if word in words.adjectives]


def find_questions(story, heroes):
    """Questions that one sentence of the story answers, each with its answer."""
    if len(heroes) != 1:
        return []
    hero, found = heroes[0], []
    thing = r"((?:a|an|some) (?:[a-z]+ ){0,2}?[a-z]+)(?=[.!]| in | on | under | near | and | that | with | behind )"
    patterns = [
        (rf"\b{hero} (?:\w+ )?found {thing}", f"What did {hero} find?", f"{hero} found {{}}."),
        (rf"\b{hero} (?:\w+ )?saw {thing}", f"What did {hero} see?", f"{hero} saw {{}}."),
        (rf"\b{hero} loved to ([a-z ]+?)(?=[.,!])", f"What did {hero} love to do?", f"{hero} loved to {{}}."),
        (rf"\b{hero} wanted to ([a-z ]+?)(?=[.,!])", f"What did {hero} want to do?", f"{hero} wanted to {{}}."),
        (rf"\b{hero} went to (the [a-z]+)(?=[.,!]| with | and | to )", f"Where did {hero} go?",
         f"{hero} went to {{}}."),
    ]
    for pattern, question, answer in patterns:
        said = re.search(pattern, story)
        if said and not re.search(r"\b(not|never)\b", said[0]):
            found.append((question, answer.format(said[1])))
    return found


def find_ending(story):
    """The last sentence, if it can stand alone."""
    told = [s.strip() for s in SENTENCE.findall(story)]
    told = [s for s in told if not re.match(r"(?:The|the) [Ee]nd\b", s)]
    last = told[-1] if told else ""
    alone = re.match(r"(?!But|And|So)[A-Z][a-z]+ .{15,}\.$", last) and '"' not in last and "moral" not in last
    return last if alone else ""


def find_moral(story):
    said = re.search(r"The moral of (?:the|this) story is[:,]? [^\n\"']+?\.", story)
    return said[0] if said else ""
