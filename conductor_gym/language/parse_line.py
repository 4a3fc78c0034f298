"""One line to one decision: lenient on form, strict on meaning.

Read besides the canonical line: any case, full-width letters, bullets and numbering, "Action:",
bold and code marks, ``solve(2, 4k)``, ``worker 2``, ``Model 2``, a worker's name or a spelling of
it that can mean no other, ``4096``, ``4K tokens``, ``Worker 2: solve``, an explanation after a
comma, dash or bracket. Not read: an action in the middle of a sentence ("I cannot solve 2
equations"), a line that holds two, a context that is not on the ladder.
"""

import re
from difflib import SequenceMatcher, get_close_matches
from functools import lru_cache
from typing import NamedTuple

from conductor_gym.language.lines import FREE, LEVEL_NAMES, Line, Refusal, read_line
from conductor_gym.language.offer import Offer
from conductor_gym.types import CONTEXT_LEVELS, Subtask

WORDS = 2000
"""Most characters of the words to a worker; what is beyond is cut."""
_HEAD = 400
"""Characters of a line in which its action must end."""

_NAMES = "|".join(subtask.name.lower() for subtask in Subtask)
_FULL_WIDTH = {0xFF01 + i: 0x21 + i for i in range(94)} | {0x3000: 0x20, 0xA0: 0x20}
_FLAGS = re.I | re.A
_ORNAMENT = re.compile(
    r"[\s#*_`]*(?:(?:[-+\u2022]|[*]|[0-9]{1,3}[.)])\s+)?[\s*_`]*"
    r"(?:(?:my|the|next|final|chosen|your)\s+){0,3}"
    r"(?:(?P<marker>action|decision|choice|reply|response|output|move)(?:\s+is)?[\s*_`]*[:=]"
    r"|step\s*[0-9]*\s*:"
    r"|(?:i|we)(?:['\u2019](?:ll|d)|\s+(?:will|would|should))?(?:\s+(?:choose|pick|select))?(?:\s+to)?\s"
    r"|let(?:['\u2019]s|\s+us)\s)?"
    r"[\s*_`\[<({]*",
    _FLAGS,
)
_TURNED = re.compile(
    r"(?:(?:ask|call|use|let|have)\s+)?(?:worker|model|agent)\s*#?(?P<worker>[0-9]{1,3})\s*"
    rf"[:,-]?\s*(?:(?:to|should|will|must)\s+)?(?P<name>{_NAMES})\b",
    _FLAGS,
)
_NAME = re.compile(rf"(?:subtask\s*[:=]?\s*)?(?P<name>{_NAMES})(?!\w)", _FLAGS)
_FIRST_WORD = re.compile(r"(?P<word>[a-z]{3,20})\b", _FLAGS)
_TO_WORKER = re.compile(
    r"[\s,:(\[<=*_`]*(?:(?:with|by|using|via|worker|workers?_id|model|agent|number|no\.|id|the)\b"
    r"[\s,:=#\[<(]*){0,4}[#\s*_`\"']*",
    _FLAGS,
)
_NUMBER = re.compile(r"(?P<n>[0-9]{1,3})(?![0-9]|[\w.+*/^-]*\w)", re.A)
_WORD_OF_NAME = re.compile(r"[^\s:,;()\[\]<>=]{2,64}")
_TO_LEVEL = re.compile(
    r"[\s,)\]>*_`\"']*(?:[(\[<]\s*)?"
    r"(?:(?:with|at|using|and|up|to|of|a|seeing|context|level|budget|window|max)\b[\s,:=\[<(]*){0,6}",
    _FLAGS,
)
_LEVEL = re.compile(
    r"(?P<n>[0-9]{1,3}(?:[,_][0-9]{3})|[0-9]{1,6})\s?(?P<k>k|ki)?"
    r"(?:[\s-]?(?:tokens?|tok))?(?![\w+/^]|[.*]\w)(?:\s+(?:of\s+)?context)?",
    _FLAGS,
)
_SEES = re.compile(
    r"[\s,(\[]*sees?\s*[:=]?\s*(?:steps?\s*)?[\[(]?\s*"
    r"(?P<steps>[0-9]{1,2}(?:(?:\s*,\s*|\s+and\s+|\s+)[0-9]{1,2}){0,15})(?![0-9k])\s*[\])]?",
    _FLAGS,
)
_CLOSED = re.compile(r"[\s)\]>}*_`\"'.!]*")
_WHY = re.compile(r"\s*(?:[,;.(\u2013\u2014]|-+\s|#|//|->|\bbecause\b|\bsince\b)", _FLAGS)
_ELSE = re.compile(
    r"[\W_]*(?:or|and|then|after|if|unless|plus|no|not|never|wait|actually|instead)\b", _FLAGS
)
_FREELY = {
    Subtask.SUBMIT: re.compile(
        r"(?:\s*\(\s*\)|(?:\s+(?:the|my|this|it|current|final|answer|solution|now|[0-9]{1,3})\b)*)",
        _FLAGS,
    ),
    Subtask.VOTE: re.compile(r"(?:\s*\(\s*\)|(?:\s+(?:on|the|answers|now)\b)*)", _FLAGS),
}
"""What may follow `vote` and `submit` and means nothing more."""
_OTHER = re.compile(rf"\b(?P<name>{_NAMES})\b", _FLAGS)
_UNREADABLE = re.compile(
    r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]+|</?(?:think|thinking|thought|reasoning)>", re.I
)
_PLAIN = re.compile(r"[\W_]+")

NOT_AN_ACTION = Refusal("")
"""The line does not begin as an action would: prose."""


class _Found(NamedTuple):
    """Something that was read: its value or what is wrong, and where the text goes on."""

    value: int | Refusal | None
    end: int


def parse_line(text: str, offer: Offer) -> Line | Refusal:
    """One line as a decision.

    Args:
        text: The line.
        offer: What can be chosen.

    Returns:
        The decision, or why there is none; `NOT_AN_ACTION` where the line is prose.
    """
    given = text.strip()
    line = read_line(given, offer) if len(given) < _HEAD + WORDS else NOT_AN_ACTION
    if isinstance(line, Refusal):
        line = _repaired(given, offer)
    if isinstance(line, Refusal):
        return line
    if line.sees and offer.steps == 1:
        return Refusal("steps to see are of workflows; say how many tokens of context, such as 4k")
    return Line(line.subtask, line.worker, line.level, line.sees, words_of(line.words))


def words_of(text: str) -> str:
    """A text as words to a worker: one line of at most `WORDS` characters that can be read."""
    return " ".join(_UNREADABLE.sub(" ", text).split())[:WORDS].strip()


def is_marked(text: str) -> bool:
    """Whether a line begins with "Action:" or the like."""
    found = _ORNAMENT.match(text.translate(_FULL_WIDTH))
    return found is not None and found["marker"] is not None


def worker_of(text: str, offer: Offer) -> int | Refusal:
    """The number of a worker that is told by number or name.

    Args:
        text: For example ``2``, ``worker 2``, ``Model 2`` or a name.
        offer: What can be chosen.
    """
    text = text.strip()[:_HEAD]
    start = _end(_TO_WORKER, text, 0)
    for at in (0, start):
        found = _worker_at(text, at, offer)
        if isinstance(found.value, int) and not text[found.end :].strip(" \"'`.)]>"):
            return found.value
    if isinstance(found.value, Refusal):
        return found.value
    return _no_worker(text, offer)


def level_of(text: str, offer: Offer) -> int | Refusal:
    """The context level that a number of tokens is.

    Args:
        text: For example ``4k``, ``4096`` or ``4K tokens``.
        offer: What can be chosen.
    """
    text = text.strip()[:_HEAD]
    found = _level_at(text, _end(_TO_LEVEL, text, 0), offer)
    if isinstance(found.value, int) and not text[found.end :].strip(" \"'`.)]>"):
        return found.value
    return _no_level(text, offer)


def subtask_of(text: str) -> Subtask | Refusal:
    """The subtask that a word names."""
    name = text.strip().upper()
    if name in Subtask.__members__:
        return Subtask[name]
    known = [subtask.name.lower() for subtask in Subtask]
    near = get_close_matches(name.lower()[:40], known, 1, 0.6)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    return Refusal(f"no subtask {_excerpt(text)}.{hint} Known: {', '.join(known)}")


def _repaired(given: str, offer: Offer) -> Line | Refusal:
    head = given[: _HEAD + WORDS].translate(_FULL_WIDTH)
    start = _end(_ORNAMENT, head, 0)
    given, head = given[start:], head[start:]
    turned = _TURNED.match(head)
    if turned is not None:
        new = f"{turned['name']} {turned['worker']}"
        given, head = new + given[turned.end() :], new + head[turned.end() :]
    name = _NAME.match(head)
    if name is None:
        word = _FIRST_WORD.match(head)
        rest = head[word.end() :] if word else ""
        if word is None or _worker_at(rest, _end(_TO_WORKER, rest, 0), offer).value is None:
            return NOT_AN_ACTION
        unknown = subtask_of(word["word"])
        return unknown if isinstance(unknown, Refusal) else NOT_AN_ACTION
    subtask = Subtask[name["name"].upper()]
    at = name.end()
    if subtask in FREE:
        ended = _ended(head, _end(_FREELY[subtask], head, at), offer)
        return ended if isinstance(ended, Refusal) else Line(subtask)
    worker = _worker_at(head, _end(_TO_WORKER, head, at), offer)
    if worker.value is None:
        wrote = head[at:].strip()
        if not wrote or _WORD_OF_NAME.match(wrote) is None:
            return Refusal(f"{subtask.name.lower()} needs a worker, {_known_workers(offer)}")
        return _no_worker(wrote, offer)
    if isinstance(worker.value, Refusal):
        return worker.value
    at, level, sees = worker.end, None, None
    found = _SEES.match(head, at)
    if found is not None:
        sees = tuple(int(step) for step in re.findall(r"[0-9]+", found["steps"]))
        at = found.end()
    found = _level_at(head, _end(_TO_LEVEL, head, at), offer)
    if isinstance(found.value, Refusal):
        return found.value
    if found.value is not None:
        level, at = found.value, found.end
    ended = _ended(head, at, offer)
    if isinstance(ended, Refusal):
        return ended
    return Line(subtask, worker.value, level, sees, given[ended:] if ended >= 0 else "")


def _ended(head: str, at: int, offer: Offer) -> int | Refusal:
    """Where the words to the worker begin, -1 without any; refused where something else follows."""
    start, at = at, _end(_CLOSED, head, at)
    if at >= len(head):
        return -1
    if head[at] == ":":
        return at + 1
    rest = head[at:]
    if not {".", "!"} & set(head[start:at]) and _WHY.match(rest) is None:
        return Refusal(f"{_excerpt(head[:at])} is followed by {_excerpt(rest)}")
    why = rest.lstrip(" ,;.(-\u2013\u2014#/>")
    if why[:1].isdigit() or _ELSE.match(why) is not None:
        return Refusal(f"{_excerpt(head[:at])} is followed by {_excerpt(rest)}")
    for other in _OTHER.finditer(why):
        free = Subtask[other["name"].upper()] in FREE
        asked = _worker_at(why, _end(_TO_WORKER, why, other.end()), offer)
        if free or asked.value is not None:
            return Refusal(f"two actions in one line: {_excerpt(head)}")
    return -1


def _worker_at(text: str, at: int, offer: Offer) -> _Found:
    """The worker that is told from there: by number, by name, by a spelling of a name."""
    number = _NUMBER.match(text, at)
    named = _name_at(text, at, offer)
    if named is None:  # "Model 2" may be a name of its own
        back = text.rfind(" ", 0, max(at - 1, 0)) + 1
        named = _name_at(text, back, offer) if back < at else None
    if named is not None and number is not None and int(number["n"]) != named[0]:
        worker = int(number["n"])
        if worker < len(offer.slots) and offer.names[named[0]].strip() != number["n"]:
            return _Found(
                Refusal(f"{_excerpt(text)} may mean worker {worker} or {named[0]}"), number.end()
            )
    if number is not None:
        worker = int(number["n"])
        if worker >= len(offer.slots):
            return _Found(Refusal(f"no worker {worker}, {_known_workers(offer)}"), number.end())
        return _Found(worker, number.end())
    if named is not None:
        return _Found(*named)
    word = _WORD_OF_NAME.match(text, at)
    if word is None:
        return _Found(None, at)
    return _Found(_spelt(word[0], offer), word.end())


def _name_at(text: str, at: int, offer: Offer) -> tuple[int, int] | None:
    """Number of the worker whose whole name stands there, and its end; the longest name wins."""
    best: tuple[int, int] | None = None
    for number, name in enumerate(offer.names):
        end = at + len(name)
        if text[at:end].casefold() != name.translate(_FULL_WIDTH).casefold():
            continue
        if re.match(r"[\w-]|[.:/]\w", text[end : end + 2]):
            continue
        if best is None or end > best[1]:
            best = number, end
    return best


@lru_cache(maxsize=1024)
def _spelt(word: str, offer: Offer) -> int | Refusal | None:
    """The one worker whose name a word may be a spelling of; its digits must be the name's."""
    said = _PLAIN.sub("", word).casefold()
    plain = [_PLAIN.sub("", name).casefold() for name in offer.names]
    if len(said) < 3 or said.isdigit():
        return None
    fits = [i for i, name in enumerate(plain) if name == said]
    fits = fits or [i for i, name in enumerate(plain) if name.startswith(said)]
    fits = fits or [
        i
        for i, name in enumerate(plain)
        if re.findall(r"[0-9]+", name) == re.findall(r"[0-9]+", said)
        and SequenceMatcher(None, name, said).ratio() >= 0.85
    ]
    if len(fits) == 1:
        return fits[0]
    if fits:
        names = ", ".join(offer.names[i] for i in fits)
        return Refusal(f"{_excerpt(word)} may mean {names}")
    return None


def _level_at(text: str, at: int, offer: Offer) -> _Found:
    found = _LEVEL.match(text, at)
    if found is None:
        return _Found(None, at)
    tokens = int(re.sub("[,_]", "", found["n"])) * (1024 if found["k"] else 1)
    if tokens not in CONTEXT_LEVELS[: offer.levels]:
        return _Found(_no_level(found[0], offer), found.end())
    return _Found(CONTEXT_LEVELS.index(tokens), found.end())


def _no_level(text: str, offer: Offer) -> Refusal:
    known = ", ".join(LEVEL_NAMES[: offer.levels])
    return Refusal(f"no context {_excerpt(text)}, known: {known}")


def _no_worker(wrote: str, offer: Offer) -> Refusal:
    near = get_close_matches(wrote[:40], offer.names, 1, 0.5)
    hint = f" did you mean {near[0]!r}?" if near else ""
    return Refusal(f"no worker {_excerpt(wrote)},{hint} {_known_workers(offer)}")


def _known_workers(offer: Offer) -> str:
    names = ", ".join(f"{i} {name[:30]}" for i, name in enumerate(offer.names[:8]))
    more = f" and {len(offer.names) - 8} more" if len(offer.names) > 8 else ""
    return f"known: {names}{more}"


def _excerpt(text: str) -> str:
    """A text in quotation marks, cut."""
    return repr(text.strip()[:40])


def _end(pattern: re.Pattern[str], text: str, at: int) -> int:
    found = pattern.match(text, at)
    return at if found is None else found.end()
