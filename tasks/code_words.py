"""Steps of pipelines that work on a list of strings or on a dict of counts."""

from conductor_gym.tasks.code_template import Choice, Step

WORD_TESTS: tuple[Choice, ...] = (
    *((f"have at least {n} characters", f"len(w) >= {n}") for n in range(2, 7)),
    *((f"have at most {n} characters", f"len(w) <= {n}") for n in range(1, 6)),
    ("have an even number of characters", "len(w) % 2 == 0"),
    ("have an odd number of characters", "len(w) % 2 == 1"),
    *((f"contain a lowercase {c}", f"'{c}' in w") for c in "aeiorst"),
    *((f"contain no lowercase {c}", f"'{c}' not in w") for c in "aeinrt"),
    *((f"begin with one of {s}", f"w[:1] in tuple('{s}')") for s in ("abc", "pts", "aeiou", "mnr")),
    *((f"end with one of {s}", f"w[-1:] in tuple('{s}')") for s in ("aeo", "nrst", "dely")),
    ("begin and end with the same character (an empty one does not)", "w and w[0] == w[-1]"),
    ("hold some character twice or more", "len(set(w)) < len(w)"),
    ("occur only once in the list", "x.count(w) == 1"),
    ("occur more than once in the list", "x.count(w) > 1"),
)
"""Conditions on a string ``w`` of the list ``x``."""

_KEYS: tuple[Choice, ...] = (
    ("number of characters", "len(w)"),
    ("number of lowercase vowels (aeiou)", "sum(c in 'aeiou' for c in w)"),
    ("number of different characters", "len(set(w))"),
    ("number of occurrences in the list", "x.count(w)"),
    ("number of lowercase e and a together", "w.count('e') + w.count('a')"),
    ("number of uppercase letters A to Z", "sum('A' <= c <= 'Z' for c in w)"),
)

WORD_STEPS: tuple[Step, ...] = (
    Step(
        "keep_words",
        "words",
        "words",
        "Keep only the strings that $test.",
        "x = [w for w in x if $test]",
        {"test": WORD_TESTS},
    ),
    Step(
        "change_words",
        "words",
        "words",
        "$how each of the strings that $test; the others stay.",
        "x = [$how if $test else w for w in x]",
        {
            "how": (
                ("Reverse", "w[::-1]"),
                ("Apply Python's upper() to", "w.upper()"),
                ("Put a ! after", 'w + "!"'),
                ("Put a > before", '">" + w'),
                ("Keep only the first two characters of", "w[:2]"),
                ("Write its number of characters in place of", "str(len(w))"),
            ),
            "test": WORD_TESTS,
        },
    ),
    Step(
        "sort_words",
        "words",
        "words",
        "Sort the strings by their $key, $order. Strings that tie are in $tie.",
        "x = sorted($tie, key=lambda w: $order($key))",
        {
            "key": _KEYS,
            "order": (("smallest first", ""), ("largest first", "-")),
            "tie": (
                ("the order in which they stand", "x"),
                ("the reverse of the order in which they stand", "x[::-1]"),
                ("the order of Python's < on strings", "sorted(x)"),
            ),
        },
    ),
    Step(
        "different_words",
        "words",
        "words",
        "Of strings that $same, keep only the $which one. Those kept stay in the order of the "
        "list.",
        """
kept = {}
for i, w in $which:
    kept.setdefault($same, i)
x = [x[i] for i in sorted(kept.values())]
""",
        {
            "same": (
                ("are equal", "w"),
                ("are equal after Python's lower()", "w.lower()"),
                ("begin with the same character (empty strings count as one such group)", "w[:1]"),
                ("end with the same character (empty strings count as one such group)", "w[-1:]"),
                ("have the same number of characters", "len(w)"),
                ("hold the same characters equally often", "''.join(sorted(w))"),
            ),
            "which": (("first", "enumerate(x)"), ("last", "reversed(list(enumerate(x)))")),
        },
    ),
    Step(
        "number_words",
        "words",
        "words",
        'Put the position of each string in the list, counted from $start, $side it, with "$sep" '
        "in between.",
        """
sep = "$sep"
x = [$side for i, w in enumerate(x, $start)]
""",
        {
            "start": (0, 1, 10),
            "sep": (".", ":", ")"),
            "side": (("before", "str(i) + sep + w"), ("after", "w + sep + str(i)")),
        },
    ),
    Step(
        "pair_words",
        "words",
        "words",
        "Join the strings in pairs, the first with the second, the third with the fourth and so "
        'on, with "$sep" between them, $order. If one is left over, $rest.',
        """
sep = "$sep"
pairs = [$order for a, b in zip(x[::2], x[1::2])]
x = pairs + $rest
""",
        {
            "sep": ("+", "-", "&"),
            "order": (
                ("the earlier one first", "a + sep + b"),
                ("the later one first", "b + sep + a"),
            ),
            "rest": (
                ("keep it at the end", "x[len(x) // 2 * 2 :]"),
                ("drop it", "[]"),
            ),
        },
    ),
    Step(
        "join_words",
        "words",
        "text",
        'Take $what of each string and join them with "$sep".',
        'x = "$sep".join($what for w in x)',
        {
            "what": (
                ("all", "w"),
                ("the first character (nothing of an empty one)", "w[:1]"),
                ("the last character (nothing of an empty one)", "w[-1:]"),
                ("the first two characters", "w[:2]"),
                ("all but the first character", "w[1:]"),
            ),
            "sep": ("", ", ", "-", "/"),
        },
    ),
    Step(
        "choose_word",
        "words",
        "text",
        "Take the string with the $best $key; of several, the one that stands $tie. An empty list "
        'gives "$none".',
        """
order = $tie
x = $best(order, key=lambda w: $key) if x else "$none"
""",
        {
            "best": (("largest", "max"), ("smallest", "min")),
            "key": _KEYS,
            "tie": (("first", "x[:]"), ("last", "x[::-1]")),
            "none": ("", "none", "?"),
        },
    ),
    Step(
        "measure_words",
        "words",
        "ints",
        "Replace each string by its $key, plus $b.",
        "x = [$key + $b for w in x]",
        {"key": _KEYS, "b": (0, 1, 2, 5)},
    ),
    Step(
        "count_words",
        "words",
        "counts",
        "Make a dict from $key to the $what of the strings that have it.",
        """
groups = {}
for w in x:
    groups.setdefault($key, []).append(w)
x = {key: $what for key, held in groups.items()}
""",
        {
            "key": (
                ("each first character (the empty string for an empty one)", "w[:1]"),
                ("each last character (the empty string for an empty one)", "w[-1:]"),
                ("each number of characters, as a decimal string,", "str(len(w))"),
                ("each string after Python's lower()", "w.lower()"),
                ("each string with its characters sorted by code point", "''.join(sorted(w))"),
            ),
            "what": (
                ("number", "len(held)"),
                ("number of different ones", "len(set(held))"),
                ("total number of characters", "sum(map(len, held))"),
            ),
        },
    ),
    Step(
        "total_words",
        "words",
        "int",
        "Take the $what of the strings that $test (0 if there are none).",
        """
chosen = [w for w in x if $test]
x = $what
""",
        {
            "what": (
                ("number", "len(chosen)"),
                ("total number of characters", "sum(map(len, chosen))"),
                ("largest number of characters", "max(map(len, chosen), default=0)"),
                ("number of different first characters", "len({w[0] for w in chosen if w})"),
            ),
            "test": WORD_TESTS,
        },
    ),
    Step(
        "keep_counts",
        "counts",
        "counts",
        "Keep only the entries whose value is $test.",
        "x = {key: n for key, n in x.items() if $test}",
        {
            "test": (
                *((f"at least {n}", f"n >= {n}") for n in (1, 2, 3, 4, 5)),
                *((f"below {n}", f"n < {n}") for n in (1, 2, 3, 4, 6)),
                ("even", "n % 2 == 0"),
                ("odd", "n % 2 == 1"),
                ("the smallest of all or equal to it", "n == min(x.values())"),
                ("the largest of all or equal to it", "n == max(x.values())"),
                ("one that no other entry has", "list(x.values()).count(n) == 1"),
            )
        },
    ),
    Step(
        "merge_counts",
        "counts",
        "counts",
        "Replace each key by $key. Where keys become equal, $how their values.",
        """
made = {}
for key, n in x.items():
    k = $key
    made[k] = $how if k in made else n
x = made
""",
        {
            "key": (
                ("Python's lower() of it", "key.lower()"),
                ("its first character (nothing of an empty one)", "key[:1]"),
                ("its last character (nothing of an empty one)", "key[-1:]"),
                ("its number of characters as a decimal string", "str(len(key))"),
            ),
            "how": (
                ("add up", "made[k] + n"),
                ("take the largest of", "max(made[k], n)"),
                ("take the smallest of", "min(made[k], n)"),
                ("multiply", "made[k] * n"),
            ),
        },
    ),
    Step(
        "rank_keys",
        "counts",
        "words",
        "List the keys by value, $order; keys with equal values in $tie order of Python's < on "
        "strings. $take",
        """
keys = sorted(sorted(x, reverse=$tie), key=lambda k: $order x[k])
x = keys$take
""",
        {
            "order": (("largest first", "-"), ("smallest first", "+")),
            "tie": (("ascending", "False"), ("descending", "True")),
            "take": (
                ("Keep all.", ""),
                *((f"Keep at most the first {n}.", f"[:{n}]") for n in (2, 3, 4)),
                ("Leave out the first.", "[1:]"),
                ("Leave out the last.", "[:-1]"),
            ),
        },
    ),
    Step(
        "write_counts",
        "counts",
        "text",
        'Write each entry as key, "$between", value; sort the entries by key in $order order of '
        'Python\'s < on strings and join them with "$sep".',
        """
parts = [key + "$between" + str(x[key]) for key in sorted(x, reverse=$order)]
x = "$sep".join(parts)
""",
        {
            "between": ("=", ":", "*"),
            "order": (("ascending", "False"), ("descending", "True")),
            "sep": (",", ";", " ", "&"),
        },
    ),
    Step(
        "sum_counts",
        "counts",
        "int",
        "Take the sum of the $k $which values (of all, if there are fewer), plus $b for each "
        "entry.",
        "x = sum(sorted(x.values(), reverse=$which)[:$k]) + $b * len(x)",
        {
            "k": (1, 2, 3),
            "which": (("largest", "True"), ("smallest", "False")),
            "b": (1, 2, 10),
        },
    ),
)
