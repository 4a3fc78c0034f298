"""Steps of pipelines that work on a string."""

from conductor_gym.tasks.code_template import Choice, Step

CHARACTER_TESTS: tuple[Choice, ...] = (
    ("is one of aeiouAEIOU", 'c in "aeiouAEIOU"'),
    ("is an uppercase letter from A to Z", '"A" <= c <= "Z"'),
    ("is a lowercase letter from a to z", '"a" <= c <= "z"'),
    ("is a digit from 0 to 9", '"0" <= c <= "9"'),
    ("is no letter from a to z or A to Z", "not (c.isascii() and c.isalpha())"),
    ("occurs only once in the string", "x.count(c) == 1"),
    ("occurs at least twice in the string", "x.count(c) >= 2"),
    ("occurs at least three times in the string", "x.count(c) >= 3"),
    *((f"is one of {s} (lowercase)", f'c in "{s}"') for s in ("abc", "nrst", "elm", "aio", "bdgt")),
    *(
        (f"is an odd digit or the letter {s} in either case", f'c in "13579{s}{s.upper()}"')
        for s in "abertn"
    ),
    *(
        (
            f"is a letter from {s} to z or from {s.upper()} to Z",
            f'("{s}" <= c <= "z" or "{s.upper()}" <= c <= "Z")',
        )
        for s in "cfhmpt"
    ),
)
"""Conditions on a character ``c`` of the string ``x``."""

TO_TEXT: tuple[Step, ...] = (
    Step(
        "keep_characters",
        "text",
        "text",
        "Keep only each character that $test.",
        'x = "".join(c for c in x if $test)',
        {"test": CHARACTER_TESTS},
    ),
    Step(
        "map_characters",
        "text",
        "text",
        "$how each character that $test.",
        'x = "".join($how if $test else c for c in x)',
        {
            "how": (
                ("Remove", '""'),
                ("Write twice", "c * 2"),
                ("Write three times", "c * 3"),
                ("Put a * in place of", '"*"'),
                ("Put [ before and ] after", '"[" + c + "]"'),
                ("Put a - before", '"-" + c'),
                ("Put a + after", 'c + "+"'),
            ),
            "test": CHARACTER_TESTS,
        },
    ),
    Step(
        "shift",
        "text",
        "text",
        "Replace each letter from a to z and A to Z by the one $k places further in the alphabet, "
        "where a follows z, in the same case. Other characters stay.",
        """
made = ""
for c in x:
    if c.isascii() and c.isalpha():
        first = 97 if c.islower() else 65
        c = chr((ord(c) - first + $k) % 26 + first)
    made += c
x = made
""",
        {"k": tuple(range(1, 26))},
    ),
    Step(
        "nth_characters",
        "text",
        "text",
        "$how the characters at the indices $start, $start + $k, $start + 2 * $k and so on, "
        "counted from 0.",
        """
x = "".join($how if i % $k == $start else c for i, c in enumerate(x))
""",
        {
            "how": (
                ("Apply Python's upper() to", "c.upper()"),
                ("Apply Python's swapcase() to", "c.swapcase()"),
                ("Remove", '""'),
                ("Put a . in place of", '"."'),
                ("Write twice", "c * 2"),
            ),
            "start": (0, 1, 2),
            "k": (3, 4, 5),
        },
    ),
    Step(
        "squeeze",
        "text",
        "text",
        "Wherever the same character stands more than $n in a row, $to.",
        """
runs = []
for c in x:
    if runs and runs[-1][0] == c:
        runs[-1] += c
    else:
        runs.append(c)
x = "".join($to if len(r) > $n else r for r in runs)
""",
        {
            "n": (("once", "1"), ("twice", "2"), ("three times", "3")),
            "to": (
                ("write it only once", "r[0]"),
                ("remove all of them", '""'),
                ("write it once, followed by how often it stood there", "r[0] + str(len(r))"),
                ("write how often it stood there, followed by it once", "str(len(r)) + r[0]"),
                ("write it once in round brackets", '"(" + r[0] + ")"'),
            ),
        },
    ),
    Step(
        "separate",
        "text",
        "text",
        "Cut the string into pieces of $k characters from the left (the last may be shorter), "
        '$how, and join the pieces with "$sep".',
        """
parts = [x[i : i + $k] for i in range(0, len(x), $k)]
x = "$sep".join($how)
""",
        {
            "k": (2, 3, 4, 5),
            "how": (
                ("keep them as they are", "parts"),
                ("reverse each piece", "p[::-1] for p in parts"),
                ("reverse the order of the pieces", "reversed(parts)"),
                ("move the first character of each to its end", "p[1:] + p[:1] for p in parts"),
                (
                    "apply Python's upper() to every second piece, the second first",
                    "p.upper() if i % 2 else p for i, p in enumerate(parts)",
                ),
            ),
            "sep": ("", "-", ".", "::"),
        },
    ),
    Step(
        "rearrange_words",
        "text",
        "text",
        "Split the string at white space as Python's split() does, $how, and join the words with "
        '"$sep".',
        """
words = x.split()
x = "$sep".join($how)
""",
        {
            "how": (
                ("reverse the order of the words", "words[::-1]"),
                ("reverse the characters of each word", "w[::-1] for w in words"),
                ("move the first character of each word to its end", "w[1:] + w[0] for w in words"),
                (
                    "sort the words by length, shortest first (those that tie keep their order)",
                    "sorted(words, key=len)",
                ),
                ("drop words that occurred before", "dict.fromkeys(words)"),
                ("drop words of fewer than 3 characters", "w for w in words if len(w) >= 3"),
                ("write the length of each word after it", "w + str(len(w)) for w in words"),
                (
                    "keep the first and the last character of each word of more than 2 characters "
                    "and other words whole",
                    "w[0] + w[-1] if len(w) > 2 else w for w in words",
                ),
            ),
            "sep": (" ", "_", "/"),
        },
    ),
    Step(
        "rotate_text",
        "text",
        "text",
        "Rotate the string by $k characters to the $side, around as often as needed where it is "
        "shorter.",
        'x = "".join(x[(i $side $k) % len(x)] for i in range(len(x)))',
        {"k": (1, 2, 3, 4, 5, 7), "side": (("left", "+"), ("right", "-"))},
    ),
    Step(
        "deal",
        "text",
        "text",
        "Deal the characters to $k piles in turn, the first character to the first pile. Join the "
        "piles from the $order.",
        """
piles = [x[i::$k] for i in range($k)]
x = "".join($order)
""",
        {
            "k": (2, 3, 4),
            "order": (
                ("first to the last", "piles"),
                ("last to the first", "reversed(piles)"),
                ("first to the last, each read backwards", "p[::-1] for p in piles"),
            ),
        },
    ),
    Step(
        "sort_characters",
        "text",
        "text",
        "Sort the characters by $key; those that tie keep their order.",
        'x = "".join(sorted(x, key=lambda c: $key))',
        {
            "key": (
                ("code point", "c"),
                ("code point, largest first", "-ord(c)"),
                ("how often they occur in the string, rarest first", "x.count(c)"),
                ("how often they occur in the string, most frequent first", "-x.count(c)"),
                ("where in the string they appear last, latest first", "-x.rindex(c)"),
            )
        },
    ),
)
