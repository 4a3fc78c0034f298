"""Reads a short answer in LaTeX into exact numbers and the factors that stand beside them."""

from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from conductor_gym.tasks.math_tokens import NotReadError, Token, tokens_of

MAX_DEPTH = 30
MAX_EXPONENT = 64
"""Powers of numbers are worked out up to here."""
MAX_BASE = 10**6
MAX_BITS = 8_000
"""Of a number: Python refuses to write one of more than 4,300 digits."""

Product = tuple[Fraction, tuple[Any, ...]]
"""A number times factors in the order in which they stand."""

_ONE = Fraction(1)
_END = Token("end", "")
_SYMBOLS = frozenset(
    (
        *("pi", "infty", "emptyset", "alpha", "beta", "gamma", "delta", "epsilon", "theta"),
        *("lambda", "mu", "nu", "phi", "varphi", "psi", "rho", "sigma", "tau", "omega", "xi"),
        *("Gamma", "Delta", "Theta", "Lambda", "Phi", "Psi", "Sigma", "Omega"),
    )
)
_RELATIONS = frozenset(
    (
        *(Token("sign", sign) for sign in "=<>"),
        *(Token("command", name) for name in ("le", "ge", "ne", "in", "cup", "cap")),
    )
)
_OPENING = frozenset(("(", "[", "\\{"))
_CLOSING = frozenset((")", "]", "\\}"))


@dataclass(frozen=True)
class Item:
    """One of the things that commas separate: sides between relations, and a unit."""

    relations: tuple[Token, ...]
    sides: tuple[Product, ...]
    units: tuple[str, ...]


class _Reader:
    """Reads tokens once from left to right."""

    def __init__(self, tokens: list[Token]) -> None:
        self._tokens = [*tokens, _END]
        self._at = 0
        self._depth = 0

    def items(self) -> tuple[Item, ...]:
        found = [self._item()]
        while self._takes("sign", ","):
            while self._takes("sign", ","):
                pass  # "1, 2, and 3"
            found.append(self._item())
        return tuple(found)

    def at_end(self) -> bool:
        return self._next is _END

    @property
    def _next(self) -> Token:
        return self._tokens[self._at]

    def _take(self) -> Token:
        token = self._next
        self._at += token is not _END
        return token

    def _takes(self, kind: str, text: str) -> bool:
        found = self._next == (kind, text)
        self._at += found
        return found

    def _item(self) -> Item:
        units: list[str] = ["dollar"] if self._takes("unit", "dollar") else []
        sides, relations = [self._sum()], list[Token]()
        while self._next in _RELATIONS:
            relations.append(self._take())
            sides.append(self._sum())
        while self._next.kind == "unit":
            units.append(self._take().text)
            if self._takes("sign", "^"):
                units.append(f"^{self._argument()}")
        return Item(tuple(relations), tuple(sides), tuple(unit for unit in units if unit))

    def _sum(self) -> Product:
        terms = [self._signed(first=True)]
        while self._next in (("sign", "+"), ("sign", "-"), ("command", "pm")):
            terms.append(self._signed(first=False))
        if len(terms) == 1:
            return terms[0]
        return _ONE, (("sum", tuple(sorted(terms, key=repr))),)

    def _signed(self, first: bool) -> Product:
        if self._takes("command", "pm"):
            return _ONE, (("plus or minus", self._product()),)
        if self._takes("sign", "-"):
            number, factors = self._product()
            return -number, factors
        if not self._takes("sign", "+") and not first:
            raise NotReadError
        return self._product()

    def _product(self) -> Product:
        started, first = self._at, self._next
        number, factors = self._power()
        alone = first.kind == "number" and self._at == started + 1
        if alone and self._next == ("command", "frac"):
            number, factors = self._mixed(first.text, number)
        while True:
            token = self._next
            if self._takes("sign", "*"):
                right = self._power()
                number, factors = _times(number, right[0]), factors + right[1]
            elif self._takes("sign", "/"):
                number, factors = _divided((number, factors), self._power())
                if self._starts_factor(self._next):
                    raise NotReadError  # 1/2x is read both ways
            elif not self._starts_factor(token):
                return number, factors
            elif token.kind == "number":
                raise NotReadError
            else:
                right = self._power()
                if token.text == "frac" and not factors and not right[1]:
                    raise NotReadError  # 2 * 3\frac{1}{2} may hold a mixed number
                grouped = factors and (right[0] != 1 or token.text in _OPENING)
                # after a name, as in f(2) or sin(2x), it may be an argument
                factors += (("group", right),) if grouped else right[1]
                number = number if grouped else _times(number, right[0])

    def _mixed(self, first: str, number: Fraction) -> Product:
        """A number with a fraction behind it: added if both are plain, as in two and a half."""
        part, factors = self._atom()
        if factors:
            return _times(number, part), factors
        if not first.isdecimal() or not 0 <= part < 1 or self._next == ("sign", "^"):
            raise NotReadError
        return number + part, ()

    @staticmethod
    def _starts_factor(token: Token) -> bool:
        if token.kind == "sign":
            return token.text in _OPENING or token.text == "{"
        if token.kind == "command":
            return token not in _RELATIONS and token.text != "pm"
        return token.kind in ("number", "letter")

    def _power(self) -> Product:
        base: Product = self._atom()
        raised = False
        while True:
            if self._takes("sign", "^"):
                if raised:
                    raise NotReadError
                base, raised = _raised(base, self._argument()), True
            elif self._takes("sign", "_"):
                base = _ONE, (("subscript", base, self._argument()),)
            elif self._takes("sign", "!"):
                base = _ONE, (("factorial", base),)
            else:
                return base

    def _atom(self) -> Product:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise NotReadError
        read = self._read_atom()
        self._depth -= 1
        return read

    def _read_atom(self) -> Product:
        kind, text = self._take()
        if kind == "number":
            return Fraction(text), ()
        if kind == "letter" or (kind == "command" and text in _SYMBOLS):
            return _ONE, ((kind, text),)
        if (kind, text) == ("command", "frac"):
            return _divided(self._argument(), self._argument())
        if (kind, text) == ("command", "sqrt"):
            index = _ONE * 2, ()
            if self._takes("sign", "["):
                index = self._sum()
                self._close("]")
            return _ONE, (("root", index, self._argument()),)
        if (kind, text) == ("sign", "{"):
            inner = self._sum()
            self._close("}")
            return inner
        if kind == "sign" and text in _OPENING:
            return self._bracket(text)
        raise NotReadError

    def _argument(self) -> Product:
        r"""What belongs to `\frac`, `\sqrt`, `^` or `_`: a group or a single character."""
        kind, text = self._next
        if kind == "number" and len(text) > 1:
            if not text[0].isdecimal() or text[1] == ".":
                raise NotReadError
            self._tokens[self._at] = Token("number", text[1:])
            return Fraction(text[0]), ()
        if kind == "sign" and text != "{":
            raise NotReadError
        return self._atom()

    def _bracket(self, opened: str) -> Product:
        items = self.items()
        closed = self._take()
        if closed.kind != "sign" or closed.text not in _CLOSING:
            raise NotReadError
        alone = len(items) == 1 and not items[0].relations and not items[0].units
        if alone and (opened, closed.text) == ("(", ")"):
            return items[0].sides[0]
        contents = [
            (item.relations, item.sides, tuple(u for u in item.units if u != "degree"))
            for item in items
        ]
        if opened == "\\{":
            contents.sort(key=repr)
        return _ONE, (("bracket", opened, closed.text, tuple(contents)),)

    def _close(self, bracket: str) -> None:
        if not self._takes("sign", bracket):
            raise NotReadError


def _times(a: Fraction, b: Fraction) -> Fraction:
    product = a * b
    if max(abs(product.numerator), product.denominator).bit_length() > MAX_BITS:
        raise NotReadError
    return product


def _divided(above: Product, below: Product) -> Product:
    if not below[0]:
        raise NotReadError
    inverse = (("inverse", below[1]),) if below[1] else ()
    return _times(above[0], 1 / below[0]), above[1] + inverse


def _raised(base: Product, exponent: Product) -> Product:
    number, times = base[0], exponent[0]
    small = max(abs(number.numerator), number.denominator) <= MAX_BASE
    whole = times.denominator == 1 and abs(times) <= MAX_EXPONENT
    if base[1] or exponent[1] or not small or not whole or (not number and times < 0):
        return _ONE, (("power", base, exponent),)
    return number ** int(times), ()


def read_items(text: str, lists: bool) -> tuple[Item, ...] | None:
    """The items of an answer, None where it is not read as mathematics."""
    try:
        reader = _Reader(tokens_of(text, lists))
        items = reader.items()
    except NotReadError:
        return None
    return items if reader.at_end() else None
