"""Steps of pipelines that work on a grid of integers."""

from conductor_gym.tasks.code_numbers import NUMBER_TESTS
from conductor_gym.tasks.code_template import Choice, Step

_OF_LINE: tuple[Choice, ...] = (
    ("sum", "sum(p)"),
    ("largest number", "max(p)"),
    ("smallest number", "min(p)"),
    ("largest minus smallest number", "max(p) - min(p)"),
    ("number of different numbers", "len(set(p))"),
    ("first number minus the last", "p[0] - p[-1]"),
    ("number of zeros", "p.count(0)"),
)
_COLUMNS = "[list(column) for column in zip(*x)]"
_LINES: tuple[Choice, ...] = (("row", "x"), ("column", _COLUMNS))

GRID_STEPS: tuple[Step, ...] = (
    Step(
        "turn",
        "grid",
        "grid",
        "$how Then add $b to every number.",
        "x = [[v + $b for v in row] for row in $how]",
        {
            "how": (
                ("Swap rows and columns (transpose).", "zip(*x)"),
                ("Turn the grid a quarter to the right (clockwise).", "zip(*x[::-1])"),
                ("Turn the grid a quarter to the left.", "list(zip(*x))[::-1]"),
                ("Turn the grid by half a turn.", "[row[::-1] for row in x[::-1]]"),
                ("Reverse the order of the rows.", "x[::-1]"),
                ("Reverse each row.", "[row[::-1] for row in x]"),
            ),
            "b": tuple(range(0, 5)),
        },
    ),
    Step(
        "mark_cells",
        "grid",
        "grid",
        "Replace the numbers that $test, each by $value.",
        "x = [[$value if $test else v for c, v in enumerate(row)] for r, row in enumerate(x)]",
        {
            "test": NUMBER_TESTS,
            "value": (
                *(0, -1, 7),
                ("its row's index, counted from 0", "r"),
                ("its column's index, counted from 0", "c"),
                ("its negative", "-v"),
            ),
        },
    ),
    Step(
        "sort_lines",
        "grid",
        "grid",
        "Sort the rows by their $key, $order; rows that tie keep their order.",
        "x = sorted(x, key=lambda p: $order($key))",
        {"key": _OF_LINE, "order": (("smallest first", ""), ("largest first", "-"))},
    ),
    Step(
        "shift_rows",
        "grid",
        "grid",
        "Rotate each row to the $side: the row with index i (from 0) by $a * i + $b places, around "
        "as often as needed.",
        "x = [[row[(j $side ($a * i + $b)) % len(row)] for j in range(len(row))] for i, row in "
        "enumerate(x)]",
        {"side": (("left", "+"), ("right", "-")), "a": (0, 1, 2), "b": (1, 2, 3)},
    ),
    Step(
        "add_neighbours",
        "grid",
        "grid",
        "Replace every number by the sum of its neighbours in the old grid, $which, without "
        "those outside of the grid, plus $a times the number itself.",
        """
around = $which
made = []
for r, row in enumerate(x):
    made.append([])
    for c, v in enumerate(row):
        near = [(r + i, c + j) for i, j in around]
        inside = [x[i][j] for i, j in near if 0 <= i < len(x) and 0 <= j < len(row)]
        made[-1].append(sum(inside) + $a * v)
x = made
""",
        {
            "which": (
                ("above, below, left and right", "((-1, 0), (1, 0), (0, -1), (0, 1))"),
                ("left and right", "((0, -1), (0, 1))"),
                ("above and below", "((-1, 0), (1, 0))"),
                ("the four that touch it at a corner", "((-1, -1), (-1, 1), (1, -1), (1, 1))"),
            ),
            "a": (-1, 0, 1, 2),
        },
    ),
    Step(
        "drop_lines",
        "grid",
        "grid",
        "Keep only the rows whose $what is $test.",
        "x = [p for p in x if ($what) $test]",
        {
            "what": _OF_LINE,
            "test": (
                *((f"above {n}", f"> {n}") for n in (0, 2, 4, 6)),
                ("even", "% 2 == 0"),
                ("odd", "% 2 == 1"),
            ),
        },
    ),
    Step(
        "line_values",
        "grid",
        "ints",
        "Take the $what of each $line, $order.",
        "x = [$what for p in $line]$order",
        {
            "what": _OF_LINE,
            "line": _LINES,
            "order": (("in order", ""), ("beginning with the last", "[::-1]")),
        },
    ),
    Step(
        "walk",
        "grid",
        "ints",
        "List the numbers $how.",
        "x = $how",
        {
            "how": (
                ("row by row, each from left to right", "[v for row in x for v in row]"),
                ("column by column, each from top to bottom", "[v for p in zip(*x) for v in p]"),
                (
                    "row by row, the first row from left to right, the second from right to left "
                    "and so on in turn",
                    "[v for i, row in enumerate(x) for v in row[:: 1 - 2 * (i % 2)]]",
                ),
                (
                    "of the diagonal that begins at the top left, downwards",
                    "[row[i] for i, row in enumerate(x) if i < len(row)]",
                ),
                (
                    "of the diagonal that begins at the top right, downwards",
                    "[row[-1 - i] for i, row in enumerate(x) if i < len(row)]",
                ),
                (
                    "whose row and column index (from 0) add up to an even number, row by row",
                    "[v for i, row in enumerate(x) for v in row[i % 2 :: 2]]",
                ),
                (
                    "of the first and the last row, in this order (a single row once)",
                    "[v for row in (x if len(x) < 2 else [x[0], x[-1]]) for v in row]",
                ),
            )
        },
    ),
    Step(
        "count_cells",
        "grid",
        "int",
        "Count the ${line}s that hold $how of the numbers that $test.",
        "x = sum(1 for p in $line if sum(1 for v in p if $test) $how)",
        {
            "line": _LINES,
            "how": (
                ("at least one", ">= 1"),
                ("at least two", ">= 2"),
                ("exactly one", "== 1"),
                ("none", "== 0"),
            ),
            "test": NUMBER_TESTS,
        },
    ),
    Step(
        "peaks",
        "grid",
        "int",
        "Take the $what of the numbers that are $how $near, or 0 if there are no such numbers. "
        "Only neighbours inside of the grid count; a number without any is different from, larger "
        "and smaller than all of its neighbours and equal to none.",
        """
around = $near
found = []
for r, row in enumerate(x):
    for c, v in enumerate(row):
        near = [(r + i, c + j) for i, j in around]
        inside = [x[i][j] for i, j in near if 0 <= i < len(x) and 0 <= j < len(row)]
        if $how:
            found.append(v)
x = $what
""",
        {
            "what": (("count", "len(found)"), ("sum", "sum(found)")),
            "how": (
                ("larger than all of their neighbours", "all(v > w for w in inside)"),
                ("smaller than all of their neighbours", "all(v < w for w in inside)"),
                ("equal to at least one of their neighbours", "v in inside"),
                ("different from all of their neighbours", "v not in inside"),
            ),
            "near": (
                ("above, below, left and right", "((-1, 0), (1, 0), (0, -1), (0, 1))"),
                ("left and right", "((0, -1), (0, 1))"),
                ("above and below", "((-1, 0), (1, 0))"),
                ("at their four corners", "((-1, -1), (-1, 1), (1, -1), (1, 1))"),
            ),
        },
    ),
    Step(
        "draw",
        "grid",
        "words",
        'Make a string of each row: "$yes" for each of the numbers that $test, "$no" for the '
        "others, from left to right.",
        'x = ["".join("$yes" if $test else "$no" for v in row) for row in x]',
        {"yes": ("#", "X", "1"), "no": (".", " ", "0"), "test": NUMBER_TESTS},
    ),
)
