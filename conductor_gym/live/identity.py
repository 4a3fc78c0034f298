"""A number for each different answer: equal answers are equal numbers, in every process."""

import hashlib
import io
import re
import tokenize
from decimal import Decimal

from conductor_gym.tasks.code_verifier import code_of
from conductor_gym.tasks.generate import normalized
from conductor_gym.tasks.item_lists import items_of
from conductor_gym.tasks.multi_part import answers_of
from conductor_gym.tasks.verifiers import complex_parts, last_number
from conductor_gym.types import MAX_PARTS

_NUMBER = re.compile(r"(?:[0-9]{1,3}(?:,[0-9]{3})+(?![0-9,])|[0-9]{1,400})(?:\.[0-9]{1,400})?")
_LAYOUT = (tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.ENDMARKER)


def answer_identity(answer: str, verifier: str) -> int:
    """The identity of an answer: BLAKE2b of its normal form, 0 to 2**63 - 1.

    In the normal form case, runs of space and a final full stop do not count, and numbers are
    equal by value: ``3.0``, ``3`` and ``1,200``, ``1200``. Lists are equal in any order, code
    without its comments and blank lines, parts part by part. A text under `constraints` is itself,
    line by line.

    Args:
        answer: As `parse_reply` gives it.
        verifier: Name of the verifier that grades it.
    """
    form = _normal_form(answer.strip(), verifier).encode(errors="surrogatepass")
    digest = hashlib.blake2b(form, digest_size=8, person=b"answer").digest()
    return int.from_bytes(digest) >> 1


def _normal_form(answer: str, verifier: str) -> str:
    if verifier == "constraints":
        return "\n".join(line.rstrip() for line in answer.split("\n"))
    if verifier == "python-tests":
        return _code_form(code_of(answer).strip())
    if verifier == "items":
        return "\n".join(sorted({_plain(item) for item in items_of(answer)}))
    if verifier == "number":
        number = last_number(answer)
        return _plain(answer) if number is None else _number_form(number)
    if verifier == "complex":
        both = complex_parts(answer)
        return _plain(answer) if both is None else " ".join(_number_form(part) for part in both)
    if verifier == "parts":
        for parts in range(2, MAX_PARTS + 1):
            answers = answers_of(answer, parts)
            if answers is not None:
                return "\n".join(f"Part {k}: {_plain(a)}" for k, a in enumerate(answers, 1))
    return _plain(answer)


def _plain(text: str) -> str:
    """Text without case, runs of space, empty lines and a full stop; numbers in one form each."""
    lines = [normalized(line) for line in text.replace("\u2212", "-").splitlines()]
    lines = [line for line in lines if line]
    if len(lines) == 1:
        lines = [lines[0].rstrip(". ")]
    return _NUMBER.sub(lambda found: _without_zeros(found[0].replace(",", "")), "\n".join(lines))


def _number_form(number: Decimal) -> str:
    said = _without_zeros(format(number, "f"))
    return "0" if said == "-0" else said


def _without_zeros(digits: str) -> str:
    """Digits without zeros at the end of the decimals; those in front may be part of a string."""
    return digits.rstrip("0").rstrip(".") if "." in digits else digits


def _code_form(code: str) -> str:
    """Code without comments and blank lines; as it stands where it is no Python."""
    try:
        tokens = list(tokenize.generate_tokens(io.StringIO(code).readline))
    except (tokenize.TokenError, SyntaxError, ValueError, UnicodeError):
        return code
    said: list[str] = []
    for token in tokens:
        if token.type == tokenize.NEWLINE:
            said.append("\n")
        elif token.type not in _LAYOUT:
            mark = token.type in (tokenize.INDENT, tokenize.DEDENT)
            said.append(f"<{token.type}>" if mark else token.string)
    return "\x1f".join(said)
