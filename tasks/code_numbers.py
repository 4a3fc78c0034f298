"""Steps of pipelines from a list of integers to another."""

from conductor_gym.tasks.code_template import Choice, Step

NUMBER_TESTS: tuple[Choice, ...] = (
    *(
        (f"leave remainder {r} when divided by {m}", f"v % {m} == {r}")
        for m in range(2, 8)
        for r in range(m)
    ),
    *((f"are above {c}", f"v > {c}") for c in range(-6, 9)),
    *((f"are below {c}", f"v < {c}") for c in range(-5, 8)),
    *((f"have an absolute value of at least {c}", f"abs(v) >= {c}") for c in range(3, 12)),
    *((f"contain the digit {c}", f"'{c}' in str(v)") for c in range(1, 6)),
)
"""Conditions on an integer ``v``."""

_KEYS: tuple[Choice, ...] = (
    ("absolute value", "abs(v)"),
    ("last digit of the absolute value", "abs(v) % 10"),
    ("sum of the digits of the absolute value", "sum(map(int, str(abs(v))))"),
    *((f"remainder when divided by {m}", f"v % {m}") for m in range(2, 9)),
    *((f"distance from {c}", f"abs(v - {c})") for c in (-7, -4, -3, 2, 3, 5, 8)),
)
_ORDER: tuple[Choice, ...] = (("smallest first", ""), ("largest first", "-"))

TO_INTS: tuple[Step, ...] = (
    Step(
        "keep",
        "ints",
        "ints",
        "Keep only the numbers that $test.",
        "x = [v for v in x if $test]",
        {"test": NUMBER_TESTS},
    ),
    Step(
        "replace",
        "ints",
        "ints",
        "Replace the numbers that $test, each by $value.",
        "x = [$value if $test else v for v in x]",
        {
            "test": NUMBER_TESTS,
            "value": ("-1", "0", "50", ("its negative", "-v"), ("its square", "v * v")),
        },
    ),
    Step(
        "move",
        "ints",
        "ints",
        "Move all numbers that $test to the $place. The moved numbers keep their order among "
        "themselves, and so do the others.",
        "x = sorted(x, key=lambda v: $place($test))",
        {"test": NUMBER_TESTS, "place": (("front", "not "), ("end", "bool"))},
    ),
    Step(
        "change",
        "ints",
        "ints",
        "Replace every number v by $a * v + ($b).",
        "x = [$a * v + ($b) for v in x]",
        {"a": (-3, -2, 2, 3, 4, 5), "b": (-9, -7, -4, -2, -1, 1, 2, 3, 5, 8)},
    ),
    Step(
        "clamp",
        "ints",
        "ints",
        "Raise every number below $low to $low, and lower every number above $high to $high.",
        "x = [max($low, min($high, v)) for v in x]",
        {"low": tuple(range(-9, 1)), "high": tuple(range(1, 10))},
    ),
    Step(
        "differences",
        "ints",
        "ints",
        "Replace the list by differences: each number minus $a times the number $k places before "
        "it. Numbers without one $k places before them are left out.",
        "x = [b - $a * a for a, b in zip(x, x[$k:])]",
        {"k": (1, 2, 3, 4), "a": (1, 2, 3)},
    ),
    Step(
        "running",
        "ints",
        "ints",
        "Replace each number by the $what of all numbers from the start up to and including it, "
        "plus ($b).",
        "x = [$what(x[: i + 1]) + ($b) for i in range(len(x))]",
        {
            "what": ("sum", ("largest", "max"), ("smallest", "min")),
            "b": tuple(range(-5, 6)),
        },
    ),
    Step(
        "restarting_sum",
        "ints",
        "ints",
        "Replace each number by the running sum up to and including it. The running sum starts "
        "from $base. Once it is above $top it is still written down, and then starts from $base "
        "again for the next number.",
        """
total, sums = $base, []
for v in x:
    total += v
    sums.append(total)
    if total > $top:
        total = $base
x = sums
""",
        {"top": (5, 8, 10, 12, 15, 20), "base": (-2, 0, 1, 3)},
    ),
    Step(
        "rotate",
        "ints",
        "ints",
        "Rotate the list by $k places to the $side, around as often as needed where it is shorter.",
        "x = [x[(i $side $k) % len(x)] for i in range(len(x))]",
        {"k": (1, 2, 3, 4, 5, 7), "side": (("left", "+"), ("right", "-"))},
    ),
    Step(
        "every",
        "ints",
        "ints",
        "Keep only the numbers at the indices $start, $start + $k, $start + 2 * $k and so on, "
        "counted from 0.",
        "x = x[$start::$k]",
        {"start": (0, 1, 2, 3), "k": (2, 3, 4)},
    ),
    Step(
        "frequent",
        "ints",
        "ints",
        "Keep only the numbers that occur $times in the list, with all their occurrences.",
        "x = [v for v in x if x.count(v) $times]",
        {
            "times": (
                ("at least twice", ">= 2"),
                ("at least three times", ">= 3"),
                ("at most twice", "<= 2"),
                ("exactly once", "== 1"),
                ("exactly twice", "== 2"),
                ("an odd number of times", "% 2 == 1"),
            )
        },
    ),
    Step(
        "different",
        "ints",
        "ints",
        "Of all numbers with the same $key, keep only the $which one in the list. Those kept stay "
        "in the order of the list.",
        """
kept = {}
for i, v in $which:
    kept.setdefault($key, i)
x = [x[i] for i in sorted(kept.values())]
""",
        {
            "key": (("value", "v"), *_KEYS),
            "which": (("first", "enumerate(x)"), ("last", "reversed(list(enumerate(x)))")),
        },
    ),
    Step(
        "sort",
        "ints",
        "ints",
        "Sort the numbers by their $key, $order. Numbers that tie keep their order.",
        "x = sorted(x, key=lambda v: $order($key))",
        {"key": _KEYS, "order": _ORDER},
    ),
    Step(
        "windows",
        "ints",
        "ints",
        "Replace the list by the $what of each $k neighbouring numbers, from left to right. A list "
        "of fewer than $k gives the empty list.",
        """
parts = [x[i : i + $k] for i in range(len(x) - $k + 1)]
x = [$what for p in parts]
""",
        {
            "k": (2, 3, 4),
            "what": (
                ("sum", "sum(p)"),
                ("largest", "max(p)"),
                ("smallest", "min(p)"),
                ("largest minus the smallest", "max(p) - min(p)"),
                ("first minus the last", "p[0] - p[-1]"),
            ),
        },
    ),
    Step(
        "blocks",
        "ints",
        "ints",
        "Cut the list into blocks of $k from the left (the last may be shorter). $what",
        """
parts = [x[i : i + $k] for i in range(0, len(x), $k)]
x = [v for p in parts for v in $what]
""",
        {
            "k": (2, 3, 4, 5),
            "what": (
                ("Reverse each block in its place.", "p[::-1]"),
                ("Sort each block in its place, smallest first.", "sorted(p)"),
                ("Replace each block by its sum.", "[sum(p)]"),
                ("Replace each block by its largest number.", "[max(p)]"),
                ("Move the first number of each block to its end.", "(p[1:] + p[:1])"),
                ("After each block insert its length.", "[*p, len(p)]"),
            ),
        },
    ),
    Step(
        "digits",
        "ints",
        "ints",
        "Replace each number by the $what of its absolute value, plus $b.",
        "x = [$what + $b for d in (str(abs(v)) for v in x)]",
        {
            "what": (
                ("sum of the digits", "sum(map(int, d))"),
                ("number of digits", "len(d)"),
                ("largest digit", "int(max(d))"),
                ("first digit", "int(d[0])"),
                ("digits read backwards", "int(d[::-1])"),
            ),
            "b": tuple(range(0, 6)),
        },
    ),
    Step(
        "ranks",
        "ints",
        "ints",
        "Replace each number by how many numbers of the list $how, plus $b.",
        "x = [sum($how for w in x) + $b for v in x]",
        {
            "how": (
                ("are smaller than it", "w < v"),
                ("are larger than it", "w > v"),
                ("equal it (itself included)", "w == v"),
                ("differ from it by at most 2 (itself included)", "abs(w - v) <= 2"),
                ("differ from it by at least 5", "abs(w - v) >= 5"),
            ),
            "b": tuple(range(0, 6)),
        },
    ),
    Step(
        "until",
        "ints",
        "ints",
        "Find the first of the numbers that $test. $what If there is none, leave the list as it "
        "is.",
        """
for i, v in enumerate(x):
    if $test:
        x = $what
        break
""",
        {
            "test": NUMBER_TESTS,
            "what": (
                ("Drop it and all after it.", "x[:i]"),
                ("Drop all before it.", "x[i:]"),
                ("Drop only this one.", "x[:i] + x[i + 1 :]"),
                ("Move it to the front.", "[v] + x[:i] + x[i + 1 :]"),
                ("Write it twice.", "x[:i] + [v] + x[i:]"),
            ),
        },
    ),
    Step(
        "weights",
        "ints",
        "ints",
        "Multiply the numbers by $a, $b, $c, $a, $b, $c and so on, in this order.",
        "x = [v * ($a, $b, $c)[i % 3] for i, v in enumerate(x)]",
        {"a": (1, 2, 3), "b": (-1, 0, 2, 5), "c": (-2, 1, 4)},
    ),
)
