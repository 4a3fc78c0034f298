"""From what is asked of a worker to the messages that ask it. All texts stand in `prompts.toml`."""

import hashlib
import re
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from conductor_gym.data_files import StrictModel, load_toml
from conductor_gym.errors import ConfigError
from conductor_gym.live.messages import Message
from conductor_gym.types import MAX_PARTS, Subtask

PROMPTS_FILE = Path(__file__).with_name("prompts.toml")

_CHAT_MARK = re.compile(
    r"<\|[^<>\n]{0,40}\|>|<(?:start|end)_of_turn>|</?s>|<</?SYS>>|\[/?(?:INST|SYSTEM_PROMPT)\]"
)

FORMS = {
    "exact": "line",
    "number": "line",
    "complex": "line",
    "math": "line",
    "choice": "letter",
    "items": "lines",
    "reasoning-gym": "lines",
    "constraints": "text",
    "python-tests": "code",
    "parts": "parts",
}
"""How the answer to a task of each verifier is to be written: a form in `prompts.toml`."""


class Asks(StrictModel):
    """What is asked for, by subtask; ``join`` is `aggregate` once the parts are open."""

    solve: str
    plan: str
    verify: str
    revise: str
    condense: str
    aggregate: str
    join: str


class Forms(StrictModel):
    """How an answer is to be written."""

    line: str
    letter: str
    lines: str
    text: str
    code: str
    parts: str


class Texts(StrictModel):
    """The file of prompts; names in braces are filled in."""

    version: str
    system: str
    system_material: str
    task: str
    documents: str
    condensed: str
    output: str
    answer: str
    part_answer: str
    part_missing: str
    fenced: str
    part_line: str
    confidence: str
    words: str
    asks: Asks
    forms: Forms


class Seen(NamedTuple):
    """An earlier output that a worker sees.

    Attributes:
        label: Whose it is: a worker's name, or an anonymous label.
        subtask: What was asked for.
        text: The output, maybe cut.
    """

    label: str
    subtask: Subtask
    text: str


@dataclass(frozen=True)
class Asked:
    """One call in words, before it is written as messages.

    Attributes:
        subtask: What is asked for; not `VOTE` or `SUBMIT`, which ask nobody.
        task: Prompt of the whole task or of the part that the call is about.
        verifier: Name of the verifier that grades the answer, a key of `FORMS`.
        parts: Parts that the reply must name: of a `PLAN`, and of any answer to a whole task of
            parts. 0 otherwise.
        answer: Under verification or revision.
        outputs: That the context holds, newest first.
        documents: That the context holds, cut already; or the notes that stand for them.
        condensed: Whether `documents` are such notes.
        part_answers: To be put together by `AGGREGATE` once the parts are open, in the order of
            the parts, None where there is none. Empty otherwise.
        words: What the policy tells the worker besides; empty where it says nothing.
    """

    subtask: Subtask
    task: str
    verifier: str
    parts: int = 0
    answer: str = ""
    outputs: tuple[Seen, ...] = ()
    documents: str = ""
    condensed: bool = False
    part_answers: tuple[str | None, ...] = ()
    words: str = ""


@lru_cache(maxsize=1)
def texts() -> Texts:
    """The texts of `prompts.toml`."""
    return load_toml(PROMPTS_FILE, Texts)


def prompt_version() -> str:
    """Version of the prompts: the `template` of a `ChatRequest`."""
    return texts().version


def unforgeable_mark(materials: tuple[str, ...]) -> str:
    """A name for the fence around these texts that none of them contains.

    It hangs on the texts alone, so that equal calls have equal prompts.
    """
    said = "\0".join(materials).encode(errors="surrogatepass")
    mark, salt = "", 0
    while not mark or any(mark in text for text in materials):
        digest = hashlib.blake2b(said, digest_size=4, salt=salt.to_bytes(8))
        mark, salt = f"material-{digest.hexdigest()}", salt + 1
    return mark


def without_chat_marks(text: str) -> str:
    """A text in which no model sees the begin or end of a message: a space opens such marks.

    Servers read marks such as ``<|im_end|>`` as what they stand for, wherever they stand.
    """
    return _CHAT_MARK.sub(lambda found: f"{found[0][0]} {found[0][1:]}", text)


def write_prompt(asked: Asked) -> tuple[Message, ...]:
    """The messages of a call: a system message, then one of the user.

    The task stands first, then documents, outputs (oldest first, so that the newest is nearest to
    the question) and the answer in question, each in a fence that its text cannot forge; what is
    asked for stands last.

    Args:
        asked: The call.

    Raises:
        ConfigError: A subtask that asks nobody, a verifier without a form, or a number of parts
            that no task has.
    """
    _check(asked)
    given = [output.text for output in asked.outputs]
    given += [text for text in asked.part_answers if text is not None]
    materials = tuple(text for text in (asked.documents, asked.answer, *given) if text)
    mark = unforgeable_mark(materials)
    t = texts()

    def fenced(text: str) -> str:
        return t.fenced.format(mark=mark, text=without_chat_marks(text))

    blocks = [t.task.format(task=asked.task)]
    if asked.documents:
        heading = t.condensed if asked.condensed else t.documents
        blocks.append(heading.format(text=fenced(asked.documents)))
    for output in reversed(asked.outputs):
        about = {"label": output.label, "subtask": output.subtask.name.lower()}
        blocks.append(t.output.format(text=fenced(output.text), **about))
    for part, text in enumerate(asked.part_answers, 1):
        heading = t.part_missing if text is None else t.part_answer
        blocks.append(heading.format(part=part, text=fenced(text or "")))
    if asked.subtask in (Subtask.VERIFY, Subtask.REVISE):
        blocks.append(t.answer.format(text=fenced(asked.answer)))
    if asked.words:
        blocks.append(t.words.format(text=without_chat_marks(asked.words)))
    joins = asked.subtask == Subtask.AGGREGATE and bool(asked.part_answers)
    name = "join" if joins else asked.subtask.name.lower()
    blocks.append(_question(name, FORMS[asked.verifier], asked.parts))
    system = t.system
    if materials:
        system += " " + t.system_material.format(mark=mark)
    return Message("system", system), Message("user", "\n\n".join(blocks))


def _check(asked: Asked) -> None:
    if asked.subtask in (Subtask.VOTE, Subtask.SUBMIT):
        raise ConfigError(f"{asked.subtask.name.lower()} asks no worker: it has no prompt.")
    if asked.verifier not in FORMS:
        raise ConfigError(
            f"no prompt says how to answer tasks of the verifier {asked.verifier!r}. "
            f"Known: {', '.join(FORMS)}. Add a form to {PROMPTS_FILE.name} and to `FORMS`."
        )
    named = asked.subtask == Subtask.PLAN or asked.verifier == "parts"
    if named and not 2 <= asked.parts <= MAX_PARTS:
        raise ConfigError(
            f"{asked.subtask.name.lower()} of a task of {asked.parts} parts: a task has 2 to "
            f"{MAX_PARTS} parts or none."
        )


@lru_cache(maxsize=1)
def instruction_lines() -> frozenset[str]:
    """Every line that says what is asked for: a reply that repeats one says nothing by it."""
    lines: set[str] = set()
    for name in Asks.model_fields:
        for form in Forms.model_fields:
            lines.update(_question(name, form, MAX_PARTS).splitlines())
    return frozenset(lines)


def _question(name: str, form: str, parts: int) -> str:
    t = texts()
    what = "how to solve it" if name == "plan" else "answer"
    fields = {
        "confidence": t.confidence,
        "part_lines": "\n".join(
            t.part_line.format(part=part, what=what) for part in range(1, parts + 1)
        ),
    }
    written = getattr(t.forms, form).format(**fields)
    return getattr(t.asks, name).format(form=written, **fields)
