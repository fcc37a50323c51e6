"""Gives the people of a story other names, so that a name must be read from the request and cannot be memorised."""

import re
from collections import Counter

from story_facts import NOT_NAMES, WORD, find_heroes

# Names that are also words, and words for a person that are used like a name.
NOT_ONLY_NAMES = NOT_NAMES | set("May Will Rose Daisy Grace Joy Hope Faith Ruby Mark Bill Jack Rusty Sunny Fluffy".split())


class Names:
    """The names of heroes in a collection of stories, and whether each is a `he` or a `she`."""

    def __init__(self, texts, words):
        told, he, she = Counter(), Counter(), Counter()
        for text in texts:
            heroes = find_heroes(text, words)
            told.update(heroes)
            if len(heroes) == 1:
                here = Counter(word.lower() for word in WORD.findall(text))
                male, female = here["he"] + here["him"] + here["his"], here["she"] + here["her"]
                he[heroes[0]] += male > 2 * female
                she[heroes[0]] += female > 2 * male
        self.pool, self.of = {"he": [], "she": []}, {}
        for name in told:
            for said, here, other in (("he", he, she), ("she", she, he)):
                if name not in NOT_ONLY_NAMES and here[name] >= 2 and here[name] >= 4 * other[name]:
                    self.pool[said].append(name)
                    self.of[name] = said

    def others(self, text, random):
        """New names for those in `text`, each as often as any other."""
        here = [name for name in dict.fromkeys(WORD.findall(text)) if name in self.of]
        new, taken = {}, set(here)
        for name in here:
            free = [other for other in self.pool[self.of[name]] if other not in taken]
            if free:
                new[name] = random.choice(free)
                taken.add(new[name])
        return new


def rename(text, new):
    """`text` with the names that are keys of `new` replaced."""
    if not new:
        return text
    return re.sub(r"\b(" + "|".join(map(re.escape, new)) + r")\b", lambda found: new[found[1]], text)
