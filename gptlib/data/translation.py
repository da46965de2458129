"""Translation: two tasks small enough for a laptop, and the score that the field reports.

Numbers in words go from English to German, where 21 is "einundzwanzig", one-and-twenty. Words of the First Folio of
1623 go to their modern spelling. This is a given module: it has no exercises.
"""
import functools
import math
import re
from collections import Counter
from collections.abc import Sequence

from .sources import HELD_OUT, load

ONES = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen "
    "eighteen nineteen"
).split()
TENS = "twenty thirty forty fifty sixty seventy eighty ninety".split()
EINER = (
    "null ein zwei drei vier fünf sechs sieben acht neun zehn elf zwölf dreizehn vierzehn fünfzehn sechzehn siebzehn "
    "achtzehn neunzehn"
).split()
ZEHNER = "zwanzig dreißig vierzig fünfzig sechzig siebzig achtzig neunzig".split()
LIMIT = 10_000


def english(number: int) -> list[str]:
    """Return the words of a number from 0 to 9999: 21 is ["twenty", "one"].

    Raises:
        ValueError: the number is outside.
    """
    _within(number)
    thousands, hundreds, rest = number // 1000, number // 100 % 10, number % 100
    words = [ONES[thousands], "thousand"] if thousands else []
    words += [ONES[hundreds], "hundred"] if hundreds else []
    if words and rest:
        words.append("and")
    if rest >= 20:
        words += [TENS[rest // 10 - 2]] + ([ONES[rest % 10]] if rest % 10 else [])
    elif rest or not words:
        words.append(ONES[rest])
    return words


def german(number: int) -> list[str]:
    """Return the pieces of a number from 0 to 9999; joined, they are the word: ["ein", "und", "zwanzig"].

    Raises:
        ValueError: the number is outside.
    """
    _within(number)
    thousands, hundreds, rest = number // 1000, number // 100 % 10, number % 100
    pieces = [EINER[thousands], "tausend"] if thousands else []
    pieces += [EINER[hundreds], "hundert"] if hundreds else []
    if rest >= 20:
        pieces += ([EINER[rest % 10], "und"] if rest % 10 else []) + [ZEHNER[rest // 10 - 2]]
    elif rest == 1:
        pieces.append("eins")
    elif rest or not pieces:
        pieces.append(EINER[rest])
    return pieces


def _within(number: int) -> None:
    if not 0 <= number < LIMIT:
        raise ValueError(f"number must be between 0 and {LIMIT - 1}, got {number}")


def folio_pairs() -> dict[str, list[tuple[str, str]]]:
    """Return lines of Shakespeare as printed in 1623 and in modern spelling, in lower case, words only.

    Two lines belong together if they are from the same play, have equally many words, and the same sounds remain when
    the letters are reduced to a rough skeleton (see `skeleton`), and if no other line there has this skeleton. So the
    pairs lean to lines that differ in spelling alone. The pairs of the plays in `data.HELD_OUT` are under "held-out",
    the others under "train".

    Raises:
        DataError: see `data.load`.
    """
    pairs: dict[str, list[tuple[str, str]]] = {"train": [], "held-out": []}
    for title, old, new in load("folio"):
        first, second = _by_skeleton(old), _by_skeleton(new)
        split = "held-out" if title in HELD_OUT else "train"
        pairs[split] += [(first[key], second[key]) for key in first if key in second]
    return pairs


@functools.cache
def skeleton(word: str) -> str:
    """Reduce a word to what the spelling of 1623 and ours share: consonants in order, i = j = y and u = v = w gone."""
    letters = re.sub("[aeiouyvwjh]", "", word.replace("ck", "k").replace("c", "k").replace("z", "s"))
    return re.sub(r"(.)\1+", r"\1", letters)


def _by_skeleton(text: str) -> dict[str, str]:
    """Map skeletons of lines to the lines, for lines of at least four words whose skeleton no other has."""
    spoken = re.sub(r"^ *[A-Z][A-Za-z]*\. *", "", text, flags=re.M)  # without the speaker's name
    lines = [" ".join(re.findall("[a-z]+", line.lower().replace("'", ""))) for line in spoken.splitlines()]
    found = [(" ".join(map(skeleton, line.split())), line) for line in dict.fromkeys(lines) if line.count(" ") >= 3]
    times = Counter(key for key, _ in found)
    return {key: line for key, line in found if times[key] == 1}


def corpus_bleu(hypotheses: Sequence[str], references: Sequence[str]) -> float:
    """Return BLEU of a whole corpus, 0 to 100: how many runs of 1 to 4 words are also in the reference.

    Words are what white space divides; one reference a text; without smoothing. It equals
    `sacrebleu.corpus_bleu(hypotheses, [references], tokenize="none", smooth_method="none")`.

    Raises:
        ValueError: there are not as many references as hypotheses, or there are none.

    Source:
        Papineni et al. 2002, section 2.3.
    """
    if len(hypotheses) != len(references) or not hypotheses:
        raise ValueError(f"hypotheses and references must be equally many, got {len(hypotheses)}, {len(references)}")
    hits, runs, written, wanted = [0] * 4, [0] * 4, 0, 0
    for hypothesis, reference in zip(hypotheses, references, strict=True):
        ours, theirs = hypothesis.split(), reference.split()
        written, wanted = written + len(ours), wanted + len(theirs)
        for n in range(4):
            found, known = (Counter(zip(*(words[i:] for i in range(n + 1)), strict=False)) for words in (ours, theirs))
            hits[n] += (found & known).total()  # the smaller of both counts: a word repeated does not count twice
            runs[n] += found.total()
    if not all(hits):
        return 0.0
    precision = math.exp(sum(math.log(h / r) for h, r in zip(hits, runs, strict=True)) / 4)
    return 100 * precision * min(1.0, math.exp(1 - wanted / written))
