r"""From what a worker said to its answer, verdict and confidence.

The rules, for people who wonder why a reply was malformed:

- Reasoning in ``<think>`` or similar marks is dropped first, so is all after a mark left open.
- The answer is what follows the last line that begins with ``Answer:``, up to ``Confidence:``. Of a
  text under `constraints` it is the first such line, because the text may hold others.
- Code is the block that the verifier takes. Parts begin at the last heading ``Part 1:`` and must
  be complete.
- Without the line, a ``\boxed{}``, a last sentence "the answer is ..." or a whole reply of at most
  `SHORT` characters is the answer, if the verifier can read it. Anything longer is malformed.
- A verdict is the reply's own last line ``Verdict:``. Code blocks, quoted lines and fenced material
  do not count, and a line that says both or neither is malformed.
- Lines that repeat the prompt's own are dropped, and an answer that is a placeholder of it is none.
"""

import re
from decimal import ROUND_HALF_UP, Decimal
from typing import NamedTuple

from conductor_gym.live.identity import answer_identity as answer_identity
from conductor_gym.live.prompts import FORMS, instruction_lines
from conductor_gym.tasks.code_verifier import code_of
from conductor_gym.tasks.multi_part import answers_of, whole_reference
from conductor_gym.tasks.verifiers import complex_parts, last_number
from conductor_gym.types import MISSING, Status, Subtask

SHORT = 200
"""Characters of a reply that is taken as an answer although no line says ``Answer:``."""

_MARKER = re.compile(
    r"^[ \t]*(?:#+[ \t]*)?(?P<m>[*_]*)(?:(?:my|the|final|correct|improved|revised)[ \t]+){0,2}"
    r"answer(?:[ \t]*(?P=m)[ \t]*[:\uff1a]|[ \t]*[:\uff1a][ \t]*(?P=m))[ \t]*"
    r"|^#+[ \t]*answer[ \t]*$",
    re.I | re.M,
)
_CONFIDENCE = re.compile(r"\bconfidence(?:[ \t]+level)?[ \t*_]*[:\uff1a=](?P<said>[^\n]*)", re.I)
_CONFIDENCE_LINE = re.compile(r"^[ \t*_#]*confidence[ \t*_]*[:\uff1a]", re.I | re.M)
_SHARE = re.compile(
    r"[ \t*_<(~]*(?P<n>[0-9]{1,6}(?:[.,][0-9]{1,6})?)(?![0-9])"
    r"[ \t]*(?P<unit>%|percent|/[ \t]*(?P<of>[0-9]{1,4})(?![0-9]))?",
    re.I,
)
_RANGE = re.compile(r"[ \t*_<(]*0[ \t]*%?[ \t]*(?:to|-|\u2013)[ \t]*100", re.I)
_VERDICT = re.compile(
    r"^[ \t]*(?:#+[ \t]*)?[*_]*(?:my[ \t]+|final[ \t]+)?verdict[*_ \t]*[:\uff1a]"
    r"[ \t*_]*\n?(?P<said>[^\n]*)",
    re.I | re.M,
)
_CLAUSE = re.compile(r"[.,;:(!\u2014]|\bbecause\b|\bsince\b|\bas\b", re.I)
_REJECTS = re.compile(
    r"\b(?:incorrect|wrong|false)\b"
    r"|\b(?:not|never|cannot|\w{1,9}n['\u2019]t|partly|partially|almost|nearly|mostly)\b"
    r"[^\n]*?\b(?:correct|right)\b",
    re.I,
)
_ACCEPTS = re.compile(r"\b(?:correct|right|true)\b", re.I)
_QUOTED = re.compile(
    r"^[ \t]*```.*?(?:^[ \t]*```[^\n]*$|\Z)|^[ \t]*>[^\n]*$"
    r"|^[ \t]*<(?P<mark>material-[0-9a-f]{8})>.*?(?:</(?P=mark)>|\Z)",
    re.M | re.S,
)
_FENCE = re.compile(r"[ \t]*```[^\n]*\n(?P<inside>.*?)(?:^[ \t]*```|\Z)", re.M | re.S)
_BOXED = re.compile(r"\\boxed\{(?P<inside>[^{}\n]*(?:\{[^{}\n]*\}[^{}\n]*)*)\}")
_LETTER = re.compile(r"[(\[]?([a-z])(?:[)\].:](?=\s|$)|$)", re.I | re.A)
_NAMED = re.compile(r"[a-z] ?= ?(?P<value>[-+(]*[0-9][^=\n]*)", re.I | re.A)
_SAID = re.compile(r"\banswer(?:[ \t]+is|[ \t]*[:=])[ \t]*(?P<said>[^\n]+)$", re.I)
_FIRST_PART = re.compile(r"^[ \t]*\**part[ \t]+0?1\**[ \t]*[:.)-]", re.I | re.M)
_PLACEHOLDER = re.compile(
    r"[<\[(]?(?:(?:your|the) )?(?:answer|letter|text|code|how to solve it|correct or wrong)[>\])]?"
    r"|\.{2,}|\u2026|<[^<>\n]*answer[^<>\n]*>",
    re.I,
)
_REASONING = ("think", "thinking", "thought", "reasoning")


class Parsed(NamedTuple):
    """What a reply says.

    Attributes:
        status: `OK`, or `MALFORMED` with nothing else set.
        answer: For the verifier; empty where the subtask gives none.
        confidence: As stated, in [0, 1] with 2 decimals; `MISSING` without one.
        verdict: 1 accepts, 0 rejects, else `MISSING`.
        output: What later calls see of the reply: all of it but its reasoning.
    """

    status: Status
    answer: str = ""
    confidence: float = float(MISSING)
    verdict: int = MISSING
    output: str = ""


def parse_reply(subtask: Subtask, text: str, verifier: str, parts: int = 0) -> Parsed:
    """Read a reply; never fails, whatever the text.

    Args:
        subtask: What was asked for.
        text: The reply.
        verifier: Name of the verifier of the task or part that was asked about.
        parts: Parts that the reply must name, as in `Asked`.
    """
    own = without_reasoning(text.replace("\r\n", "\n")).split("\n")
    said = "\n".join(line for line in own if line.strip() not in instruction_lines()).strip()
    malformed = Parsed(Status.MALFORMED)
    if not said:
        return malformed
    confidence = confidence_of(said)
    if subtask == Subtask.VERIFY:
        verdict = verdict_of(said)
        return malformed if verdict < 0 else Parsed(Status.OK, "", confidence, verdict, said)
    if subtask == Subtask.CONDENSE:
        return Parsed(Status.OK, "", confidence, MISSING, said)
    if subtask == Subtask.PLAN:
        planned = _parts_of(said, parts)
        return Parsed(Status.OK, "", confidence, MISSING, said) if planned else malformed
    answer = answer_of(said, verifier, parts)
    return Parsed(Status.OK, answer, confidence, MISSING, said) if answer else malformed


def without_reasoning(text: str) -> str:
    """A reply without what stands between ``<think>`` and ``</think>`` or similar marks."""
    for name in _REASONING:
        opened, closed = f"<{name}>", f"</{name}>"
        kept: list[str] = []
        # a template may have opened the first one in the prompt
        if closed in text and opened not in text[: text.rfind(closed)]:
            text = text[text.rfind(closed) + len(closed) :]
        while opened in text:
            before, _, rest = text.partition(opened)
            kept.append(before)
            text = rest.partition(closed)[2]
        text = "".join([*kept, text])
    return text


def confidence_of(text: str) -> float:
    """The last stated confidence in [0, 1], 2 decimals; `MISSING` where none can be read.

    ``85%``, ``0.85``, ``85``, ``17/20`` and ``85 percent`` are the same; 1 is certain.
    """
    found = list(_CONFIDENCE.finditer(text))
    if not found or _RANGE.match(found[-1]["said"]):
        return float(MISSING)
    share = _SHARE.match(found[-1]["said"])
    if share is None:
        return float(MISSING)
    number = Decimal(share["n"].replace(",", "."))
    if share["of"] is not None:
        number = number / Decimal(share["of"]) if int(share["of"]) else Decimal(MISSING)
    elif share["unit"] is not None or number > 1:
        number /= 100
    if not 0 <= number <= 1:
        return float(MISSING)
    return float(number.quantize(Decimal("0.01"), ROUND_HALF_UP))


def verdict_of(text: str) -> int:
    """1 if the reply's own last verdict accepts, 0 if it rejects, `MISSING` otherwise."""
    own = _QUOTED.sub("", text)
    found = list(_VERDICT.finditer(own))
    if found:
        said = found[-1]["said"].strip(" \t*_<>\"'`")
        return _verdict(_CLAUSE.split(said, maxsplit=1)[0])
    lines = [line for line in own.splitlines() if line.strip() and not _CONFIDENCE.search(line)]
    alone = lines[-1].strip(" \t*_\"'`.!") if lines else ""
    return _verdict(alone) if len(alone.split()) == 1 else MISSING


def _verdict(said: str) -> int:
    rejects = _REJECTS.search(said) is not None
    accepts = _ACCEPTS.search(_REJECTS.sub("", said)) is not None
    return MISSING if rejects == accepts else int(accepts)


def answer_of(text: str, verifier: str, parts: int = 0) -> str:
    """The answer in a reply without reasoning, ready for the verifier; empty where none is."""
    form = FORMS.get(verifier, "line")
    if form == "parts":
        answers = _parts_of(text, parts)
        return whole_reference(answers) if answers else ""
    if form == "code":
        answer = _code(text)
    elif form == "text":
        first = _MARKER.search(text)
        answer = _without_confidence_line(text[first.end() if first else 0 :]).strip()
    else:
        markers = list(_MARKER.finditer(text))
        said = text[markers[-1].end() :] if markers else _unmarked(text, verifier)
        again = _MARKER.match(said)
        said = said[again.end() :] if again else said
        answer = _bare(said, many_lines=form == "lines")
        letter = _LETTER.match(answer) if form == "letter" else None
        answer = letter[1].upper() if letter else answer
        named = _NAMED.fullmatch(answer) if verifier in ("reasoning-gym", "complex") else None
        answer = named["value"] if named else answer
    return "" if _PLACEHOLDER.fullmatch(answer) else answer


def _parts_of(text: str, parts: int) -> list[str] | None:
    """Each part's answer or plan; None unless every part has one under its heading."""
    starts = [found.start() for found in _FIRST_PART.finditer(text)]
    if not starts:
        return None
    said = text[starts[-1] :]
    stated = list(_CONFIDENCE_LINE.finditer(said))
    found = answers_of(said[: stated[-1].start()] if stated else said, parts)
    if found is None:
        return None
    answers = [_part(answer) for answer in found]
    good = all(answer and not _PLACEHOLDER.fullmatch(answer) for answer in answers)
    return answers if good else None


def _part(text: str) -> str:
    markers = list(_MARKER.finditer(text))
    said = text[markers[-1].end() :].strip() if markers and "```" not in text else text
    fence = _FENCE.fullmatch(said)
    if fence and not said.startswith("```py"):
        said = fence["inside"]
    return _unwrapped(said.strip("\n")) if "\n" not in said.strip() else said.rstrip()


def _code(text: str) -> str:
    # some write the last line before they close the block
    code = _without_confidence_line(code_of(_without_confidence_line(text)))
    if "```" in text:
        return code.strip("\n")
    first = _MARKER.match(code.lstrip())
    code = code.lstrip()[first.end() :] if first else code
    return code.strip("\n") if "def " in code else ""


def _without_confidence_line(text: str) -> str:
    """A text without its last line if that states the confidence."""
    head, newline, last = text.rstrip().rpartition("\n")
    if not _CONFIDENCE.match(last.lstrip(" \t*_#")):
        return text
    return head if newline else ""


def _unmarked(text: str, verifier: str) -> str:
    """What may be the answer in a reply without its marker, if the verifier can read it."""
    boxed = list(_BOXED.finditer(text))
    if boxed:
        return boxed[-1]["inside"]
    plain = _cut_at_confidence(text)
    sentence = _SAID.search(plain.rpartition("\n")[2])
    said = sentence["said"] if sentence else plain
    readable = {"number": last_number, "complex": complex_parts, "choice": _LETTER.match}
    if verifier in readable and readable[verifier](_unwrapped(said)) is None:
        return ""
    return said if len(said) <= SHORT else ""


def _cut_at_confidence(text: str) -> str:
    found = _CONFIDENCE.search(text)
    return (text[: found.start()] if found else text).rstrip(" \t\n*_#([|,;")


def _bare(text: str, many_lines: bool) -> str:
    """The answer alone: no confidence, no fence, no emphasis, no full stop, no later remarks.

    An answer of many lines goes to the stated confidence, or to the first empty line where none
    is stated.
    """
    fence = _FENCE.match(text.lstrip())
    if fence:
        return fence["inside"].strip("\n").rstrip()
    said = _cut_at_confidence(text).strip("\n")
    if not many_lines:
        return _unwrapped(said.partition("\n")[0])
    if not _CONFIDENCE.search(text):
        said = re.split(r"\n[ \t]*\n", said, maxsplit=1)[0]
    return said.strip() if "\n" in said else _unwrapped(said)


def _unwrapped(line: str) -> str:
    r"""One line without emphasis, ``\boxed{}``, dollar signs and full stop around it."""
    said, before = line.strip(), ""
    while said != before:
        before = said
        if said.endswith(".") and not said.endswith(".."):
            said = said[:-1].rstrip()
        for left, right in (("**", "**"), ("`", "`"), ("$", "$"), ("\\(", "\\)"), ('"', '"')):
            inside = said[len(left) : -len(right)]
            wrapped = said.startswith(left) and said.endswith(right) and inside.strip()
            if wrapped and left not in inside and right not in inside:
                said = inside.strip()
        boxed = _BOXED.fullmatch(said)
        if boxed:
            said = boxed["inside"].strip()
    return said
