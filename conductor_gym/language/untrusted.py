"""Texts of tasks and workers as a dialogue may show them: they cannot pass for the environment's.

A dialogue as one text has one mark of its own: a line that begins with ``>`` is an action. So no
line of a task begins with it. Marks that servers read as the begin or end of a message are opened
by a space, and what a worker said is one short line in quotation marks that it cannot close.
"""

import re
from functools import lru_cache

from conductor_gym.live.prompts import without_chat_marks

EXCERPT = 80
"""Characters of a worker's answer that are shown."""

_CONTROL = re.compile(r"[\x00-\x08\x0e-\x1b\x7f-\x84\x86-\x9f\u202a-\u202e\u2066-\u2069\ufeff]+")
_ACTION_MARK = re.compile(r"^(?=[ \t]*>)", re.M)


@lru_cache(maxsize=4096)
def task_shown(text: str, most: int) -> str:
    """A task's text as a dialogue shows it.

    Args:
        text: Of the task; anybody may have written it.
        most: Most characters, about; the middle is left out beyond.
    """
    whole = text.encode(errors="replace").decode()  # half a surrogate pair is no text
    lines = _CONTROL.sub(" ", whole.strip()).splitlines()
    return _ACTION_MARK.sub("| ", without_chat_marks(shortened("\n".join(lines), most)))


def excerpt(text: str, most: int = EXCERPT) -> str:
    """The beginning of what a worker said: one line in quotation marks, maybe cut; or nothing."""
    whole = text[: 4 * most].encode(errors="replace").decode()
    line = " ".join(_CONTROL.sub(" ", whole).split()).replace('"', "'")
    line = line if len(line) <= most else f"{line[: most - 3]}..."
    return f'"{without_chat_marks(line)}"' if line else ""


def shortened(text: str, most: int) -> str:
    """A text of at most about so many characters, its middle left out."""
    if len(text) <= most:
        return text
    head, tail = most * 2 // 3, most - most * 2 // 3
    gone = len(text) - head - tail
    return f"{text[:head]} [{gone:,} characters left out] {text[len(text) - tail :]}"
