"""Steps of pipelines from a string to something else."""

from conductor_gym.tasks.code_template import Step
from conductor_gym.tasks.code_texts import CHARACTER_TESTS

FROM_TEXT: tuple[Step, ...] = (
    Step(
        "measure_characters",
        "text",
        "int",
        "Look at each character that $test. Take $what.",
        """
at = [i for i, c in enumerate(x) if $test]
x = $what
""",
        {
            "what": (
                ("how many there are", "len(at)"),
                ("how many different ones there are", "len({x[i] for i in at})"),
                (
                    "the index of the first, counted from 0, or -1 if there is none",
                    "at[0] if at else -1",
                ),
                (
                    "the index of the last, counted from 0, or -1 if there is none",
                    "at[-1] if at else -1",
                ),
                ("the sum of their indices, counted from 0", "sum(at)"),
                (
                    "the largest difference between the indices of two that follow each other, or "
                    "0 if there are fewer than two",
                    "max((b - a for a, b in zip(at, at[1:])), default=0)",
                ),
            ),
            "test": CHARACTER_TESTS,
        },
    ),
    Step(
        "measure_stretches",
        "text",
        "int",
        "Find the stretches of neighbouring characters each of which $test, as long as possible. "
        "Take $what, or 0 if there are none.",
        """
runs, run = [], 0
for c in x:
    if $test:
        run += 1
    elif run:
        runs.append(run)
        run = 0
if run:
    runs.append(run)
x = $what if runs else 0
""",
        {
            "what": (
                ("the length of the longest", "max(runs)"),
                ("the length of the shortest", "min(runs)"),
                ("the length of the last", "runs[-1]"),
                ("how many there are", "len(runs)"),
            ),
            "test": CHARACTER_TESTS,
        },
    ),
    Step(
        "depth",
        "text",
        "int",
        "Read the string from left to right with a level that starts at 0. Each character of "
        '"$up" raises it by 1, each of "$down" lowers it by 1 but never below $floor. Take $what.',
        """
level, levels = 0, [0]
for c in x:
    if c in "$up":
        level += 1
    elif c in "$down":
        level = max($floor, level - 1)
    levels.append(level)
x = $what
""",
        {
            "up": ("([", "aeiou", "abcd", "ehlm"),
            "down": (")]", "rst", "xyz1", "npqw"),
            "floor": (0, -2),
            "what": (
                ("the highest level reached", "max(levels)"),
                ("the last level", "level"),
                ("the number of characters after which the level was 0", "levels[1:].count(0)"),
                ("the sum of the levels after each character", "sum(levels)"),
            ),
        },
    ),
    Step(
        "split_at",
        "text",
        "words",
        "Split the string at each $sep. $empty",
        'x = [w for w in x.split("$sep") if $empty]',
        {
            "sep": (
                ("space", " "),
                ("lowercase a", "a"),
                ("lowercase e", "e"),
                ("hyphen (-)", "-"),
            ),
            "empty": (
                ("Drop empty pieces.", "w"),
                ("Keep empty pieces.", "True"),
                ("Drop pieces of fewer than 2 characters.", "len(w) > 1"),
                ("Drop pieces of more than 4 characters.", "len(w) <= 4"),
            ),
        },
    ),
    Step(
        "pieces",
        "text",
        "words",
        "Cut the string into pieces of $k characters from the left. $rest",
        """
k = $k
parts = [x[i : i + k] for i in range(0, len(x), k)]
x = $rest
""",
        {
            "k": (2, 3, 4, 5),
            "rest": (
                ("The last may be shorter.", "parts"),
                ("Drop the last if it is shorter.", "[w for w in parts if len(w) == k]"),
                (
                    "If the last is shorter, fill it with * at its end.",
                    '[w.ljust(k, "*") for w in parts]',
                ),
                (
                    "The last may be shorter; reverse the characters of each.",
                    "[w[::-1] for w in parts]",
                ),
            ),
        },
    ),
    Step(
        "runs",
        "text",
        "words",
        "Cut the string into runs of equal characters$least.",
        """
runs = []
for c in x:
    if runs and runs[-1][0] == c:
        runs[-1] += c
    else:
        runs.append(c)
x = [r for r in runs if $least]
""",
        {
            "least": (
                ("", "True"),
                (" and keep the runs of at least 2", "len(r) >= 2"),
                (" and keep the runs of exactly 1", "len(r) == 1"),
                (" and keep the runs of 1 or 3", "len(r) in (1, 3)"),
            )
        },
    ),
    Step(
        "places",
        "text",
        "ints",
        "Replace each character that $test by $value, and drop all others.",
        "x = [$value for i, c in enumerate(x) if $test]",
        {
            "value": (
                ("its index, counted from 0", "i"),
                ("its code point (Python's ord)", "ord(c)"),
                ("the number of times that it occurs in the string", "x.count(c)"),
                ("the number of characters after it", "len(x) - 1 - i"),
            ),
            "test": CHARACTER_TESTS,
        },
    ),
    Step(
        "embedded_numbers",
        "text",
        "ints",
        "Take the numbers that the string holds: each run of digits 0 to 9, as long as possible, "
        "is one$sign. $how",
        """
import re

found = [int(d) for d in re.findall("$sign[0-9]+", x)]
x = $how
""",
        {
            "sign": (("", ""), (", with a minus sign if a hyphen stands right before it", "-?")),
            "how": (
                ("Keep all of them in order.", "found"),
                ("Keep each value once, where it stands first.", "list(dict.fromkeys(found))"),
                ("Reverse their order.", "found[::-1]"),
                ("Leave out every 0.", "[v for v in found if v]"),
            ),
        },
    ),
    Step(
        "count_into",
        "text",
        "counts",
        "Make a dict from each character that $test to $what.",
        "x = {c: $what for i, c in enumerate(x) if $test}",
        {
            "what": (
                ("how often it occurs in the string", "x.count(c)"),
                ("the index, counted from 0, at which it occurs first", "x.index(c)"),
                ("the index, counted from 0, at which it occurs last", "i"),
            ),
            "test": CHARACTER_TESTS,
        },
    ),
)
