"""Replaces a thing in a story by another of its kind, so that a request must be read and cannot be guessed."""

import re
from collections import Counter, defaultdict
from math import log, sqrt

from story_facts import WORD

LEAST_STORIES = 12
LEAST_LIKENESS = 0.06
MOST_KIN = 10


class Kin:
    """Nouns of one kind: those between the same words. Similarity is the cosine of their positive pointwise mutual
    information with the words before and after them (Bullinaria & Levy 2007)."""

    def __init__(self, texts, words):
        nouns = {noun for noun in words.nouns if words.stories_with[noun] >= LEAST_STORIES}
        beside = defaultdict(Counter)
        for text in texts:
            here = [word.lower() for word in WORD.findall(text)]
            for before, noun, behind in zip(here, here[1:], here[2:]):
                if noun in nouns:
                    beside[noun][before, 0] += 1
                    beside[noun][behind, 1] += 1
        total = sum(sum(counts.values()) for counts in beside.values())
        of_context = Counter()
        for counts in beside.values():
            of_context.update(counts)
        vectors = {}
        for noun, counts in beside.items():
            all_of_it = sum(counts.values())
            weights = {c: log(n * total / (all_of_it * of_context[c])) for c, n in counts.items() if n > 1}
            weights = {c: weight for c, weight in weights.items() if weight > 0}
            norm = sqrt(sum(weight**2 for weight in weights.values())) or 1
            vectors[noun] = {c: weight / norm for c, weight in weights.items()}
        self.of = {}
        for noun, vector in vectors.items():
            alike = [(sum(w * other.get(c, 0) for c, w in vector.items()), name) for name, other in vectors.items()]
            alike = sorted(pair for pair in alike if pair[0] >= LEAST_LIKENESS and pair[1] != noun)
            self.of[noun] = [name for _, name in alike[-MOST_KIN:]]

    def other(self, noun, text, random):
        """Another noun of the same kind that does not occur in `text`, or None."""
        free = [name for name in self.of.get(noun, []) if not re.search(rf"\b{name}", text, re.I)]
        return random.choice(free) if free else None


def exchange(text, noun, other):
    """`text` with the noun replaced wherever it occurs: singular, plural, capital, with its article."""
    def put(found):
        article, between, here, plural = found.groups()
        new = several(other) if plural else other
        new = new.capitalize() if here[0].isupper() else new
        if article and not between:
            article = article[0] + ("n" if new[0] in "aeiou" else "")
        return (article + " " if article else "") + (between or "") + new

    return re.sub(rf"\b(?:([Aa]n?) ((?:[a-z]+ )?))?({noun})((?:s|es)?)\b", put, text, flags=re.I)


def several(noun):
    if re.search("(s|x|ch|sh)$", noun):
        return noun + "es"
    return re.sub("([^aeiou])y$", r"\1ie", noun) + "s"
