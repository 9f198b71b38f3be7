"""Gives every word of story.txt an onset and an offset, as if it had been read aloud: no recording exists, this is a model of durations.

A word lasts a fixed part and a part for each syllable and each further letter (counted by spelling), longer before a pause; a comma is followed by a short
pause, a full stop by a longer one, a paragraph by the longest; seeded jitter of some per cent. Writes story.TextGrid (tier `words`; a pause is an empty
interval) and the same words as story.tsv (word, onset, offset in seconds). Needs Python alone.
"""

import math
import random
import re
from pathlib import Path

HERE = Path(__file__).resolve().parent
SEED = 7
LEAD = 2.0  # s of silence before the first word and after the last
WORD, SYLLABLE, LETTER = 0.08, 0.135, 0.016  # s
LENGTHENING = 1.25  # of a word before a pause
PAUSES = {",": 0.25, ".": 0.55, "paragraph": 1.00}  # s
JITTER = 0.08  # standard deviation of the logarithm of a duration


def syllables(word):
    """Groups of vowels; a silent e at the end is none, but le after a consonant is one."""
    word = re.sub(r"[^a-z]", "", word.lower())
    count = len(re.findall(r"[aeiouy]+", word))
    if re.search(r"[^aeiouy]e$", word) and not re.search(r"[^aeiouy]le$", word) or re.search(r"[^aeiouytd]ed$", word):
        count -= 1
    return max(count, 1)


def pause_after(word, ends_paragraph):
    if ends_paragraph:
        return PAUSES["paragraph"]
    return PAUSES.get(word[-1], 0.0)


def time_words(text, rng):
    """[(word, onset, offset)] in seconds; words keep their punctuation."""
    timed, now = [], LEAD
    for paragraph in text.strip().split("\n\n"):
        words = paragraph.split()
        for i, word in enumerate(words):
            pause = pause_after(word, i == len(words) - 1)
            length = WORD + SYLLABLE * syllables(word) + LETTER * len(word.strip(".,"))
            length *= (LENGTHENING if pause else 1.0) * math.exp(JITTER * rng.gauss(0, 1))
            timed.append((word, round(now, 3), round(now + length, 3)))
            now = timed[-1][2] + round(pause * math.exp(2 * JITTER * rng.gauss(0, 1)), 3)
    return timed


def intervals(timed):
    """The words and, between them, the pauses: no gap, no overlap."""
    now = 0.0
    for word, onset, offset in timed:
        if onset > now:
            yield now, onset, ""
        yield onset, offset, word
        now = offset
    yield now, round(now + LEAD, 3), ""


def textgrid(timed):
    rows = list(intervals(timed))
    end = rows[-1][1]
    out = [
        'File type = "ooTextFile"', 'Object class = "TextGrid"', "", "xmin = 0", f"xmax = {end:.3f}", "tiers? <exists>", "size = 1", "item []:",
        "    item [1]:", '        class = "IntervalTier"', '        name = "words"', "        xmin = 0", f"        xmax = {end:.3f}",
        f"        intervals: size = {len(rows)}",
    ]
    for i, (begin, finish, word) in enumerate(rows, 1):
        quoted = word.replace('"', '""')
        out += [f"        intervals [{i}]:", f"            xmin = {begin:.3f}", f"            xmax = {finish:.3f}", f'            text = "{quoted}"']
    return "\n".join(out) + "\n"


def main():
    timed = time_words((HERE / "story.txt").read_text(encoding="utf-8"), random.Random(SEED))
    (HERE / "story.TextGrid").write_text(textgrid(timed), encoding="utf-8")
    rows = ["word\tonset\toffset"] + [f"{word}\t{onset:.3f}\t{offset:.3f}" for word, onset, offset in timed]
    (HERE / "story.tsv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    print(f"{len(timed)} words, {timed[-1][2] + LEAD:.1f} s, {60 * len(timed) / timed[-1][2]:.0f} words a minute")


if __name__ == "__main__":
    main()
