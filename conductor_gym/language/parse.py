"""From what a model replied to the one action that it means, or to why there is none.

The rules, for people who wonder why a reply was refused:

- Reasoning up to the last ``</think>`` or similar mark does not count, nor does what follows a mark
  that was left open.
- Of a reply of more than `MOST` characters or `LINES` lines the beginning and the end are read.
- A line is read as `parse_line` says. A quotation (``> ...`` or "..." on a line of its own) counts
  only where the reply begins with it: elsewhere somebody else may have said it.
- A line after "Action:" goes first, the last one of them. Otherwise the same action may be said
  more than once. Of different ones the first is taken where the reply begins with it (what follows
  is about later steps), else the last where the reply ends in it and the line before holds none
  (it was thought first); else none.
- A JSON object, or lines such as "Worker: 2", may name worker, subtask, context and instruction.

Nothing is ever executed, and the work is linear in what is read.
"""

import json
import re
from collections.abc import Iterable
from typing import Any, cast

from conductor_gym.language.lines import FREE, Line, Refusal, read_line
from conductor_gym.language.offer import Offer
from conductor_gym.language.parse_line import (
    NOT_AN_ACTION,
    is_marked,
    level_of,
    parse_line,
    subtask_of,
    worker_of,
)
from conductor_gym.types import Subtask

MOST = 8192
"""Characters that are read of a reply: a quarter from its beginning, the others from its end."""
LINES = 128
"""Lines that are read of it, likewise."""

_REASONING = ("think", "thinking", "thought", "reasoning")
_FORM = re.compile(
    r"^[ \t]*(?:```|~~~)[\w+-]*[ \t]*$|^[ \t]*<(?:action|answer|output|reply)>"
    r"|</(?:action|answer|output|reply)>[ \t]*$",
    re.I | re.M,
)
_BOXED = re.compile(r"^[ \t]*\\boxed\{([^{}\n]{1,200})\}[.]?[ \t]*$", re.M)
_KEYS = {
    "subtask": "subtask",
    "action": "subtask",
    "worker": "worker",
    "worker_id": "worker",
    "model": "worker",
    "model_id": "worker",
    "context": "context",
    "level": "context",
    "context_level": "context",
    "instruction": "instruction",
    "instructions": "instruction",
    "words": "instruction",
    "message": "instruction",
}
_IGNORED = ("reason", "reasoning", "thought", "thoughts", "explanation", "rationale", "step")
_FIELD = re.compile(r"[\s*_`#-]*(?P<key>[a-z]+(?:[_ ]id)?)[\s*_`]*[:=]\s*(?P<value>[^\n]*)", re.I)
_MARKS = "\"'\u201c\u201d\u2018\u2019\u00ab\u00bb\u300c\u300d"
_HOW = "reply with one line: SUBTASK WORKER [CONTEXT], or vote, or submit"


def parse_action(text: str, offer: Offer) -> Line | Refusal:
    """The action that a reply means; never fails, whatever the text.

    Args:
        text: The reply.
        offer: What can be chosen.
    """
    own = without_reasoning(text)
    if own is None:
        return Refusal("the reply ends before its reasoning does")
    own = own.strip()
    if len(own) > MOST:
        own = f"{own[: MOST // 4]}\n{own[-(MOST - MOST // 4) :]}"
    if not own:
        return Refusal(f"the reply is empty; {_HOW}")
    if "\n" not in own and isinstance(read_line(own, offer), Line):
        return parse_line(own, offer)
    plain = _BOXED.sub(r"\1", _FORM.sub("", own)).strip()
    for read in (_from_json, _from_fields):
        action = read(plain, offer)
        if action is not None:
            return action
    return _from_lines(plain, offer)


def without_reasoning(text: str) -> str | None:
    """A reply after its reasoning; None where that has no end."""
    low = text.lower()
    if len(low) != len(text):  # a letter whose lower case is two
        low = text
    ends = [low.rfind(f"</{name}>") + len(name) + 3 for name in _REASONING if f"</{name}>" in low]
    start = max(ends, default=0)
    opened = [at for name in _REASONING if (at := low.find(f"<{name}>", start)) >= 0]
    if not opened:
        return text[start:]
    return text[start : min(opened)].strip() or None


def _from_lines(text: str, offer: Offer) -> Line | Refusal:
    lines = [line for line in text.splitlines() if line.strip(" \t`*_#-\0")]
    if len(lines) > LINES:
        lines = lines[: LINES // 4] + lines[-(LINES - LINES // 4) :]
    if not lines:
        return Refusal(f"the reply is empty; {_HOW}")
    lines[0] = _unquoted(lines[0])
    read = [NOT_AN_ACTION if i and _quoted(line) else parse_line(line, offer)
            for i, line in enumerate(lines)]  # fmt: skip
    marked = [i for i, line in enumerate(lines) if is_marked(line)]
    if marked:
        last = marked[-1]
        after = last + 1 if last + 1 < len(lines) else last
        for i in (last, after):
            line = parse_line(_unquoted_after_marker(lines[i]), offer)
            if line is not NOT_AN_ACTION:
                return line
    actions = [(i, line) for i, line in enumerate(read) if isinstance(line, Line)]
    if not actions:
        return _why_not(lines, read)
    if len({line for _, line in actions}) == 1 or actions[0][0] == 0:
        return actions[0][1]
    last = actions[-1][0]
    if last == len(lines) - 1 and not isinstance(read[last - 1], Line):
        return actions[-1][1]
    return Refusal(f"{len(actions)} actions where one is asked for")


def _why_not(lines: list[str], read: list[Line | Refusal]) -> Refusal:
    """The reason of the last line that began as an action would."""
    for line in reversed(read):
        if isinstance(line, Refusal) and line is not NOT_AN_ACTION:
            return line
    return Refusal(f"no action in {lines[-1].strip()[:40]!r}; {_HOW}")


def _quoted(line: str) -> bool:
    return line.lstrip(" \t*-")[:1] in tuple(">" + _MARKS)


def _unquoted(line: str) -> str:
    """A line without the marks of quotation around all of it."""
    line = line.strip().removeprefix("> ")
    return line.strip(_MARKS) if line[:1] in tuple(_MARKS) else line


def _unquoted_after_marker(line: str) -> str:
    before, colon, rest = line.partition(":")
    return f"{before}{colon}{_unquoted(rest)}" if is_marked(line) else _unquoted(line)


def _from_json(text: str, offer: Offer) -> Line | Refusal | None:
    """The action of the one JSON object in a reply; None where none stands there."""
    start = text.find("{")
    if start < 0 or "}" not in text:
        return None
    try:
        found, end = json.JSONDecoder(object_pairs_hook=_once).raw_decode(text, start)
    except _TwiceError as error:
        return Refusal(str(error))
    except (ValueError, RecursionError):
        return None
    if not any(key.lower().strip() in _KEYS for key in found):
        return None  # braces of something else
    action = _from_object(found, offer)
    around = [parse_line(line, offer) for line in (text[:start] + text[end:]).splitlines()]
    if "{" in text[end:] or any(isinstance(line, Line) and line != action for line in around):
        return Refusal("a JSON object and another action besides it")
    return action


class _TwiceError(ValueError):
    """A JSON object names a key twice."""


def _once(pairs: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    told: dict[str, Any] = {}
    for key, value in pairs:
        if key in told:
            raise _TwiceError(f"{key[:40]!r} is there twice")
        told[key] = value
    return told


def _from_object(found: dict[str, Any], offer: Offer) -> Line | Refusal:
    told = [value for key, value in found.items() if key.lower().strip() not in _IGNORED]
    inner = found.get("action") if len(told) == 1 else None
    if isinstance(inner, dict):
        found = cast("dict[str, Any]", inner)
    elif isinstance(inner, str):
        line = parse_line(inner, offer)
        return Refusal(f"no action in {inner[:40]!r}; {_HOW}") if line is NOT_AN_ACTION else line
    return _from_told(found, offer)


def _from_fields(text: str, offer: Offer) -> Line | Refusal | None:
    """The action of a reply that is nothing but "Worker: 2" and the like; None for others."""
    told: dict[str, Any] = {}
    lines = [line for line in text.splitlines() if line.strip()]
    pieces = re.split(r"[,;|]", lines[0]) if len(lines) == 1 else lines
    for piece in pieces:
        field = _FIELD.fullmatch(piece.strip())
        if field is None:
            return None
        key = field["key"].lower().replace(" ", "_")
        if key not in _KEYS and key not in _IGNORED:
            return None
        if key in told:
            return Refusal(f"{key!r} is there twice")
        told[key] = field["value"].strip(" *_`\"'")
    if not any(_KEYS.get(key) == "worker" for key in told):
        return None  # "Action: solve 2"
    return _from_told(told, offer)


def _from_told(found: dict[str, Any], offer: Offer) -> Line | Refusal:
    told: dict[str, Any] = {}
    for key, value in found.items():
        name = key.lower().strip()
        if name in _IGNORED:
            continue
        if name not in _KEYS:
            return Refusal(f"no field {key[:40]!r}, known: worker, subtask, context, instruction")
        if _KEYS[name] in told:
            return Refusal(f"{_KEYS[name]} is there twice")
        told[_KEYS[name]] = value
    named = told.get("subtask")
    if not isinstance(named, str):
        return Refusal("no subtask is named; fields: worker, subtask, context, instruction")
    subtask = subtask_of(named)
    if isinstance(subtask, Refusal):
        return subtask
    if subtask in FREE:
        return Line(subtask)
    return _paid(subtask, told, offer)


def _paid(subtask: Subtask, told: dict[str, Any], offer: Offer) -> Line | Refusal:
    if "worker" not in told:
        return Refusal(f"{subtask.name.lower()} needs a worker")
    worker, level = _text(told["worker"]), _text(told.get("context"))
    number = worker_of(worker, offer)
    if isinstance(number, Refusal):
        return number
    chosen = level_of(level, offer) if level else None
    if isinstance(chosen, Refusal):
        return chosen
    words = told.get("instruction") or ""
    if not isinstance(words, str):
        return Refusal("the instruction is not a text")
    line = parse_line(f"{subtask.name.lower()} {number}: {' '.join(words.split())}", offer)
    return line if isinstance(line, Refusal) else Line(subtask, number, chosen, None, line.words)


def _text(value: object) -> str:
    """A number or a text of JSON as text; anything else as what no worker or context is."""
    if value is None:
        return ""
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e6:
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int | str):
        return "?"
    return str(value)[:200] if isinstance(value, str) or abs(value) < 10**9 else "?"
