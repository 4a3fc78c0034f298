"""Steps of pipelines from a list of integers to something else."""

from conductor_gym.tasks.code_numbers import NUMBER_TESTS
from conductor_gym.tasks.code_template import Choice, Step

_RUNS: tuple[Choice, ...] = (
    ("each number is above the one before", "b > a"),
    ("each number is at most the one before", "b <= a"),
    ("all numbers are equal", "a == b"),
    ("even and odd numbers take turns", "(a + b) % 2 == 1"),
    *(
        (f"neighbours differ by at most {d} (up or down)", f"abs(a - b) <= {d}")
        for d in range(1, 8)
    ),
    *((f"neighbours add up to more than {s}", f"a + b > {s}") for s in range(-3, 6)),
)

FROM_INTS: tuple[Step, ...] = (
    Step(
        "total",
        "ints",
        "int",
        "Take the $what of the numbers that $test; if there are none, take $none.",
        """
chosen = [v for v in x if $test]
x = $what(chosen) if chosen else $none
""",
        {
            "what": ("sum", ("count", "len"), ("largest", "max"), ("smallest", "min")),
            "test": NUMBER_TESTS,
            "none": (-1, -100, 1000),
        },
    ),
    Step(
        "fold",
        "ints",
        "int",
        "Start with r = $start. For each number v in order, replace r by the remainder of "
        "(r * $a + v) when divided by $m. Take the last r.",
        """
r = $start
for v in x:
    r = (r * $a + v) % $m
x = r
""",
        {"start": (0, 1, 3, 7), "a": (2, 3, 5, 10), "m": (7, 11, 13, 97, 101)},
    ),
    Step(
        "longest_run",
        "ints",
        "int",
        "Take the length of the longest stretch of neighbouring numbers in which $how. One number "
        "alone is a stretch of 1, an empty list gives 0.",
        """
best = run = 1 if x else 0
for a, b in zip(x, x[1:]):
    run = run + 1 if $how else 1
    best = max(best, run)
x = best
""",
        {"how": _RUNS},
    ),
    Step(
        "pairs",
        "ints",
        "int",
        "Count the pairs of positions i < j for which the numbers a (at i) and b (at j) satisfy "
        "$how.",
        "x = sum($how for j, b in enumerate(x) for a in x[:j])",
        {
            "how": (
                *(f"(a + b) % {m} == {r}" for m in (3, 4, 5) for r in range(m)),
                *(f"abs(a - b) == {d}" for d in range(1, 7)),
                *(f"a > b + {d}" for d in range(0, 5)),
                *(f"a * b > {p}" for p in (-10, 0, 10, 25)),
            )
        },
    ),
    Step(
        "kth",
        "ints",
        "int",
        "Take the number that is $k-th when the different numbers are sorted $order (each value "
        "once, counted from 1); if there are fewer, take $none.",
        """
different = sorted(set(x), reverse=$order)
x = different[$k - 1] if len(different) >= $k else $none
""",
        {
            "k": (2, 3, 4),
            "order": (("upwards", "False"), ("downwards", "True")),
            "none": (-1, 0, 99),
        },
    ),
    Step(
        "mode",
        "ints",
        "int",
        "Take the number that occurs most often; of several, the $tie. An empty list gives $none.",
        """
times = [(x.count(v), v, i) for i, v in enumerate(x)]
x = max(times, key=lambda t: (t[0], $tie))[1] if x else $none
""",
        {
            "tie": (
                ("smallest", "-t[1]"),
                ("largest", "t[1]"),
                ("one that appears first", "-t[2]"),
                ("one whose last appearance is latest", "t[2]"),
            ),
            "none": (-1, 0, 99),
        },
    ),
    Step(
        "best_stretch",
        "ints",
        "int",
        "Take the $best sum of $k neighbouring numbers; if there are fewer than $k numbers, take "
        "$none.",
        "x = $best((sum(x[i : i + $k]) for i in range(len(x) - $k + 1)), default=$none)",
        {"best": (("largest", "max"), ("smallest", "min")), "k": (2, 3, 4, 5), "none": (0, -1, 77)},
    ),
    Step(
        "position",
        "ints",
        "int",
        "Take the index (from 0) of the $which of the numbers that $test; if there are none, take "
        "$none.",
        """
found = [i for i, v in enumerate(x) if $test]
x = found[$which] if found else $none
""",
        {
            "which": (("first", "0"), ("last", "-1")),
            "test": NUMBER_TESTS,
            "none": (-1, -2, ("the length of the list", "len(x)")),
        },
    ),
    Step(
        "labels",
        "ints",
        "words",
        'Replace each number by a string: "$p" if it is divisible by $a but not by $b, "$q" if '
        'by $b but not by $a, "$p$q" if by both, else its decimal digits with the sign if it is '
        "negative.",
        'x = [("$p" * (v % $a == 0) + "$q" * (v % $b == 0)) or str(v) for v in x]',
        {"p": ("up", "tic", "do"), "q": ("down", "tac", "re"), "a": (2, 4), "b": (3, 5)},
    ),
    Step(
        "joined",
        "ints",
        "text",
        'Join the numbers as decimals with "$sep" between them; a negative number is written '
        "with $sign.",
        'x = "$sep".join(str(v) if v >= 0 else $sign for v in x)',
        {
            "sep": (",", ";", " | ", "->", ""),
            "sign": (
                ("its minus sign", "str(v)"),
                ("its digits in round brackets in place of the sign", 'f"({-v})"'),
                ("the letter m in place of the sign", 'f"m{-v}"'),
                ("the sign after the digits", 'f"{-v}-"'),
            ),
        },
    ),
    Step(
        "letters",
        "ints",
        "text",
        "Turn each number into a letter: the remainder of ($a * number + $b) when divided by $m, "
        "where 0 is a, 1 is b and so on. Join the letters.",
        'x = "".join(chr(97 + ($a * v + $b) % $m) for v in x)',
        {"a": (1, 2, 3, 5), "b": (0, 1, 4, 7), "m": (26, 10, 7)},
    ),
    Step(
        "remainders",
        "ints",
        "counts",
        "Make a dict from each remainder that occurs when the numbers are divided by $m, as a "
        "decimal string, to the $what of the numbers with this remainder.",
        """
made = {}
for v in x:
    made.setdefault(str(v % $m), []).append(v)
x = {key: $what(held) for key, held in made.items()}
""",
        {
            "m": (2, 3, 4, 5, 6, 7),
            "what": (("count", "len"), "sum", ("largest", "max"), ("smallest", "min")),
        },
    ),
    Step(
        "rows",
        "ints",
        "grid",
        "Write the numbers into rows of $k, left to right and top to bottom; fill what is missing "
        "in the last row with $fill. An empty list gives no rows.",
        """
x = [x[i : i + $k] for i in range(0, len(x), $k)]
x = [row + [$fill] * ($k - len(row)) for row in x]
""",
        {"k": (2, 3, 4), "fill": (0, -1, 9)},
    ),
)
