"""The verifier `math` takes other spellings of the same answer and nothing else, at once."""

import cmath
import random
import time
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from conductor_gym.tasks.math_answers import MATH, is_mathematics
from conductor_gym.tasks.math_reader import read_items
from conductor_gym.tasks.math_tokens import MAX_CHARACTERS
from conductor_gym.tasks.task import Task


def right(reference: str, answer: str, prompt: str = "?") -> bool:
    return MATH.accepts(Task("u", "d", 1, prompt, reference, "math"), answer)


@pytest.mark.parametrize(
    ("reference", "answers"),
    [
        (
            "\\frac{1}{2}",
            ("0.5", "\\frac12", "$\\dfrac{1}{2}$", "1/2", ".50", "\\boxed{\\tfrac12}"),
        ),
        ("-\\frac{2}{3}", ("\\frac{-2}{3}", "-2/3", "\u22122/3", "\\(-\\frac 2 3\\).")),
        ("1,200", ("1200", "1{,}200", "1\\,200", "1,200.0", "1.2 \\times 10^{3}")),
        ("1\\frac{4}{5}", ("9/5", "1.8", "1 \\frac45")),
        ("2\\sqrt{3}", ("2\\sqrt3", "\\sqrt{3}\\cdot 2", "2√3", "2*\\sqrt{3}")),
        ("\\frac{\\pi}{2}", ("\\pi/2", "0.5\\pi", "\\frac12\\pi", "π/2")),
        ("x^2+1", ("1 + x^{2}", "x\u00b2 + 1", "y = x^2 + 1")),
        ("-2 + 7i", ("7i - 2",)),
        ("5", ("x = 5", "5.", "(5)", "+5")),
        ("336^\\circ", ("336", "336\u00b0", "336^{\\circ}", "336 degrees")),
        ("10\\text{ cm}^2", ("10", "10 cm^2", "10\\,\\mathrm{cm}^{2}")),
        ("1, -2", ("-2,1", "$1$ and $-2$", "1 or -2")),
        ("(3, \\frac{\\pi}{2})", ("\\left( 3, \\pi/2 \\right)",)),
        ("\\{1, 2\\}", ("\\{2,1\\}", "\\left\\{1,2\\right\\}")),
        ("(-\\infty, 3]", ("(-\u221e,3]",)),
        ("\\text{east}", ("East", "$\\text{East}$", "east.")),
        ("\\text{(C)}", ("C", "(c)", "\\text{C}")),
        ("2516_8", ("2516_{8}",)),
        (
            "\\begin{pmatrix} 1 & x^2 \\\\ 3 & 4 \\end{pmatrix}",
            ("\\begin{pmatrix}1&x^{2}\\\\3&4\\end{pmatrix}",),
        ),
        ("\\sin 2x", ("\\sin{2}x", "\\sin 2 x")),
    ],
)
def test_other_spellings_are_right(reference: str, answers: tuple[str, ...]):
    assert right(reference, reference)
    assert [answer for answer in answers if not right(reference, answer)] == []


@pytest.mark.parametrize(
    ("reference", "answers"),
    [
        ("\\frac{1}{3}", ("0.333", "0.3333333333", "1/-3", "\\frac{1}{3}x", "1/33", "1/0")),
        ("6", ("2*3\\frac{2}{2}", "1^{3}\\frac{5}{1}", "2\\frac{4}{1}")),
        ("1\\frac{4}{5}", ("4/5", "1/5", "14/5", "1 4/5 or 2")),
        ("42", ("4 2", "420", "-42", "42!", "42_8", "42%", "not 42", "42 or 43", "42, 42", "x42")),
        ("1200", ("1.200", "1,2", "12,00", "1,20,0", "1200 cents")),
        ("12", ("1,2", "1\u00b2", "12 cm", "12\\%", "1 2")),
        ("7", ("7.0000001", "[7]", "\\{7\\}", "\\boxed{8} \\boxed{7}", "\\text{not } 7", "7 = 8")),
        ("\\sqrt{2}", ("1.41421356", "\\sqrt{3}", "\\sqrt[3]{2}", "-\\sqrt{2}")),
        ("(1,2)", ("(1,2]", "[1,2)", "(2,1)", "1,2", "(1,2,3)", "\\{1,2\\}")),
        ("1,2", ("1", "1,2,3", "12", "(1,2)")),
        ("x = 5", ("x = 6", "y = 6", "x > 5", "5 = 6")),
        ("f(2)", ("2f", "f2", "f(3)")),
        ("\\sin 2x", ("2\\sin x", "\\sin x", "\\sin 2y")),
        ("\\sin x\\cos y", ("\\sin y\\cos x",)),
        ("1/2x", ("x/2", "\\frac{1}{2}x", "\\frac{1}{2x}")),
        ("x^{10}", ("x^10", "10^x", "x^{1}0")),
        ("10\\text{ cm}", ("10 m", "10 cm^2", "11 cm")),
        ("\\text{east}", ("west", "not east", "eas")),
        ("\\begin{pmatrix} A \\end{pmatrix}", ("\\begin{pmatrix} a \\end{pmatrix}", "A")),
    ],
)
def test_near_misses_are_wrong(reference: str, answers: tuple[str, ...]):
    assert [answer for answer in answers if right(reference, answer)] == []


def test_the_question_decides_on_units_and_order():
    assert right("28", "28\\%", "What percent is left?")
    assert right("28", "28 cm", "How many centimeters long is it?")
    assert right("100,200", "100, 200", "Give both numbers, separated by a comma.")
    assert not right("1,2", "2,1", "List the numbers in increasing order.")


def test_what_is_a_word_is_no_mathematics():
    formulas = ("42", "\\frac12", "x^2", "5 m/s", "1.5 \\times 10^8 \\text{ m}")
    words = ("Paris", "the 2 dogs", "\\text{north}", "", "1 000", "f'(2)")
    assert all(map(is_mathematics, formulas))
    assert not any(map(is_mathematics, words))


def test_a_reference_that_says_nothing_is_told():
    for reference in ("$$", "\\text{ }", "."):
        assert "says nothing" in str(MATH.check(Task("u", "d", 1, "?", reference, "math")))
    assert MATH.check(Task("u", "d", 1, "?", "\\text{no}", "math")) is None


fractions = st.fractions(min_value=-10_000, max_value=10_000, max_denominator=500)


@st.composite
def spellings(draw: st.DrawFn, value: Fraction) -> str:
    above, below = value.numerator * (factor := draw(st.integers(1, 9))), value.denominator * factor
    sign, top = ("-" if above < 0 else "", abs(above))
    whole, part = divmod(abs(value.numerator), value.denominator)
    forms = [
        f"{above}/{below}",
        f"{sign}\\frac{{{top}}}{{{below}}}",
        f"\\dfrac{{{above}}}{{{below}}}",
        f"{sign}{whole}\\frac{{{part}}}{{{value.denominator}}}",
    ]
    if value.denominator == 1:
        forms += [str(value), f"{value}.0", f"{value.numerator:,}"]
    wrapper = draw(st.sampled_from(("{}", "${}$", "\\boxed{{{}}}", "x = {}", " {}.", "\\({}\\)")))
    return wrapper.format(draw(st.sampled_from(forms)))


@settings(max_examples=200)
@given(value=fractions, other=fractions, data=st.data())
def test_a_number_is_right_in_any_spelling_and_another_one_in_none(
    value: Fraction, other: Fraction, data: st.DataObject
):
    reference = data.draw(spellings(value))
    assert right(reference, data.draw(spellings(value)))
    assert right(reference, data.draw(spellings(other))) == (value == other)


REFERENCES = (
    "\\frac{3}{56}",
    "-17",
    "3.25",
    "11\\sqrt{2}",
    "6 - 5i",
    "(3, \\frac{\\pi}{2})",
    "x^2 - 4x + 4",
    "[-2,7]",
    "\\text{Evelyn}",
    "4210_5",
    "1,-2",
)


@settings(max_examples=300)
@given(data=st.data())
def test_one_change_makes_an_answer_wrong(data: st.DataObject):
    reference = data.draw(st.sampled_from(REFERENCES))
    kind = data.draw(st.sampled_from(("digit", "append", "prepend", "deny", "twice")))
    if kind == "digit":
        places = [i for i, character in enumerate(reference) if character.isdigit()]
        if not places:
            return
        at = data.draw(st.sampled_from(places))
        digit = data.draw(st.sampled_from("123456789".replace(reference[at], "")))
        answer = reference[:at] + digit + reference[at + 1 :]
    elif kind == "append":
        answer = reference + data.draw(st.sampled_from(("7", "x", "!", "^2", " or 9", "(")))
    elif kind == "prepend":
        answer = data.draw(st.sampled_from(("7", "x", "(", "\\sqrt", "2/", "9, "))) + reference
    elif kind == "deny":
        answer = data.draw(st.sampled_from(("not ", "anything but ", "\\neg "))) + reference
    else:
        answer = f"{reference} {reference}"
    assert not right(reference, answer), (reference, answer)


PIECES = (
    *("\\frac", "\\sqrt", "{", "}", "(", ")", "[", "]", "\\{", "\\}", "1", "23", ".5", "x", "^"),
    *("_", "+", "-", "*", "/", "!", ",", "=", "<", "\\pi", "\\text{cm}", "\\text{no}", "%", "$"),
    *(
        "\\$",
        "\\boxed{",
        "\u00b0",
        " ",
        "99999^{64}",
        "\\pm",
        "and",
        "\\le",
        "\\",
        "\u0664",
        "\ud800",
    ),
)


@settings(max_examples=300)
@given(st.text(max_size=80) | st.lists(st.sampled_from(PIECES), max_size=60).map("".join))
def test_no_text_raises_and_every_text_is_itself(text: str):
    assert right(text, text)
    assert not right("90817", text) or "90817" in text
    assert is_mathematics(text) in (True, False)


@pytest.mark.parametrize(
    "piece",
    [
        "(",
        "{",
        "1+",
        "\\frac",
        "x^",
        "\\sqrt{",
        "99999^{64}*",
        "\\boxed{",
        "$",
        "1,",
        "-",
        "\\$",
        "a",
    ],
)
def test_the_worst_text_takes_no_time(piece: str):
    text = (piece * MAX_CHARACTERS)[:MAX_CHARACTERS]
    started = time.perf_counter()
    assert not right("7", text)
    assert not right("7", "(" + text[2:] + ")")
    assert not right("7", text * 10)
    assert time.perf_counter() - started < 1.0


class Formulas:
    """Random formulas with their values, written without hints on how they are read."""

    def __init__(self, seed: int) -> None:
        self.draw = random.Random(seed)

    def atom(self, depth: int) -> tuple[str, complex]:
        kind = self.draw.randrange(8) if depth else self.draw.randrange(3)
        number = self.draw.randint(1, 4)
        if kind == 0:
            return str(number), number
        if kind == 1:
            return self.draw.choice((("x", 1.7345), ("y", 0.3711), ("\\pi", cmath.pi)))
        if kind == 2:
            text, value = self.draw.choice((("x", 1.7345), (str(number), number)))
            return f"{text}^{{{number}}}", value**number
        text, value = self.sum(depth - 1)
        if kind == 3:
            below, divisor = self.sum(depth - 1)
            return (f"\\frac{{{text}}}{{{below}}}", value / divisor) if divisor else ("1", 1)
        return (f"\\sqrt{{{text}}}", cmath.sqrt(value)) if kind < 6 else (f"({text})", value)

    def product(self, depth: int) -> tuple[str, complex]:
        text, value = self.atom(depth)
        for _ in range(self.draw.choice((0, 0, 1, 1, 2))):
            more, factor = self.atom(depth)
            sign = self.draw.choice(("*", " \\cdot ", "/", ""))
            if sign == "/" and factor:
                text, value = f"{text}/{more}", value / factor
            elif sign in ("*", " \\cdot "):
                text, value = f"{text}{sign}{more}", value * factor
            elif not more[0].isdigit() and not (text[-1].isdigit() and "frac" in more):
                text, value = text + more, value * factor
        return text, value

    def sum(self, depth: int) -> tuple[str, complex]:
        text, value = self.product(depth)
        if self.draw.random() < 0.2:
            text, value = f"-{text}", -value
        for _ in range(self.draw.choice((0, 0, 1, 2))):
            more, term = self.product(depth)
            sign = self.draw.choice((1, -1))
            text, value = f"{text}{'+' if sign > 0 else '-'}{more}", value + sign * term
        return text, value


def test_what_is_equal_by_form_is_equal_in_value():
    formulas = Formulas(seed=1)
    values: dict[str, tuple[str, complex]] = {}
    equal = 0
    for i in range(6_000):
        text, value = formulas.sum(depth=i % 3)
        read = read_items(text, lists=False)
        if read is None:
            continue
        other, known = values.setdefault(repr(read), (text, value))
        equal += other != text
        assert abs(known - value) <= 1e-6 * max(1.0, abs(value)), (other, text)
    assert equal > 500
