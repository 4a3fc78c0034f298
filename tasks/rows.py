"""Tasks from the rows of a JSONL file, each checked."""

import json
from collections.abc import Iterable
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Literal, NoReturn, Self

from pydantic import Field, ValidationError, model_validator

from conductor_gym.data_files import StrictModel
from conductor_gym.errors import DataFileError, UnknownNameError
from conductor_gym.spaces import N_DOMAINS
from conductor_gym.tasks.multi_part import VERIFIER as PARTS_VERIFIER
from conductor_gym.tasks.multi_part import whole_prompt, whole_reference
from conductor_gym.tasks.task import MAX_EVIDENCE, MAX_PARTS, Documents, Task, count_tokens
from conductor_gym.tasks.verifiers import find_verifier

SPLITS = ("train", "dev", "test")
MAX_PROMPT = 400_000
"""Characters of a prompt with its parts, about 100,000 tokens."""
MAX_DOCUMENTS = 4_000_000
"""Characters of a task's documents, about a million tokens."""


class _Asked(StrictModel):
    """What a task and each of its parts have in common."""

    domain: Annotated[str, Field(min_length=1, max_length=60)]
    prompt: Annotated[str, Field(pattern=r"\S")]
    choices: Annotated[tuple[str, ...], Field(max_length=26)] = ()
    metadata: dict[str, Any] = Field(default_factory=dict)


class _Part(_Asked):
    """A part as it stands in a row."""

    reference: Annotated[str, Field(pattern=r"\S")]
    verifier: str


class _Row(_Asked):
    """A row as it stands in a file."""

    uid: Annotated[str, Field(min_length=1, max_length=200)]
    level: Annotated[int, Field(ge=0, le=100, strict=True)]
    reference: Annotated[str, Field(pattern=r"\S")] | None = None
    verifier: str | None = None
    split: Literal["train", "dev", "test"] | None = None
    parts: Annotated[tuple[_Part, ...], Field(min_length=2, max_length=MAX_PARTS)] | None = None
    documents: Annotated[tuple[str, ...], Field(min_length=1)] | None = None
    evidence: Annotated[tuple[str, ...], Field(min_length=1, max_length=MAX_EVIDENCE)] | None = None

    @model_validator(mode="after")
    def _whole_or_parts(self) -> Self:
        if self.parts is None:
            for name in ("reference", "verifier"):
                if getattr(self, name) is None:
                    raise ValueError(f"{name} is missing")
        elif (self.reference, self.verifier, self.documents) != (None, None, None):
            raise ValueError("with `parts`, leave out reference, verifier and documents")
        if self.evidence is not None and self.documents is None:
            raise ValueError("evidence stands in documents: give them too")
        return self


def read_tasks(path: Path) -> list[tuple[Task, str | None]]:
    """Read and check a JSONL file; blank lines are skipped.

    Returns:
        Every task with the split that its row names, or None.

    Raises:
        DataFileError: Not readable, or a row that needs repair; the line is named.
    """
    try:
        with path.open("rb") as file:
            return _read_lines(path, file)
    except OSError as error:
        raise DataFileError(
            f"{path}: cannot be read ({error.strerror}). Give the path of a JSONL file."
        ) from None


def _read_lines(path: Path, lines: Iterable[bytes]) -> list[tuple[Task, str | None]]:
    read: list[tuple[Task, str | None]] = []
    line_of: dict[str, int] = {}
    domains: set[str] = set()
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        where = f"{path}, line {number}"
        row = _checked(where, line)
        if row.uid in line_of:
            _refuse(where, f"uid {row.uid!r} stands on line {line_of[row.uid]} too", "rename one")
        line_of[row.uid] = number
        for domain in (row.domain, *(part.domain for part in row.parts or ())):
            domains.add(domain)
            if len(domains) > N_DOMAINS:
                _refuse(where, f"domain {domain!r} is one more than {N_DOMAINS}", "merge some")
        if read and (row.split is None) != (read[0][1] is None):
            _refuse(where, "some rows name a split and some do not", "name it in all or in none")
        task = _task(where, row)
        for graded in (task, *task.parts):
            problem = find_verifier(graded.verifier).check(graded)
            if problem is not None:
                _refuse(where, f"verifier {graded.verifier!r}", problem)
        read.append((task, row.split))
    if not read:
        raise DataFileError(f"{path}: holds no task. Write one JSON object a line.")
    return read


def _checked(where: str, line: bytes) -> _Row:
    try:
        text = line.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        _refuse(where, f"not UTF-8 (byte {error.start + 1})", "save the file as UTF-8")
    try:
        raw: Any = json.loads(text, parse_constant=_no_number)
        json.dumps(raw, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        _refuse(where, "half of a surrogate pair stands in a text", "remove it")
    except (ValueError, RecursionError) as error:
        told = error.args[0] if error.args else type(error).__name__
        _refuse(where, f"not JSON: {told}", "write one JSON object a line")
    if not isinstance(raw, dict):
        _refuse(where, "not a JSON object", 'write {"uid": ..., ...}')
    try:
        row = _Row.model_validate(raw)
    except ValidationError as error:
        told = "; ".join(_told(problem) for problem in error.errors()[:5])
        _refuse(where, told, "repair these fields (docs/suites.md lists all)")
    prompts = sum(len(asked.prompt) for asked in (row, *(row.parts or ())))
    attached = sum(map(len, row.documents or ()))
    for what, size, most in (
        ("prompt", prompts, MAX_PROMPT),
        ("documents", attached, MAX_DOCUMENTS),
    ):
        if size > most:
            _refuse(where, f"{what} of {size:,} characters, {most:,} are allowed", "shorten it")
    try:
        for verifier in (row.verifier, *(part.verifier for part in row.parts or ())):
            if verifier is not None:
                find_verifier(verifier)
    except UnknownNameError as error:
        raise DataFileError(f"{where}: {error}") from None
    return row


_SAID = {
    "extra_forbidden": "is no field of a task",
    "missing": "is missing",
    "string_pattern_mismatch": "must not be empty",
    "tuple_type": "must be a list",
}
"""Pydantic's kinds of problems in words that fit JSON."""


def _told(problem: Any) -> str:
    """One problem of a row: which field, what is wrong, what was perhaps meant."""
    field = ".".join(str(part) for part in problem["loc"])
    said = _SAID.get(problem["type"], problem["msg"].removeprefix("Value error, "))
    near: list[str] = []
    if problem["type"] == "extra_forbidden":
        near = get_close_matches(str(problem["loc"][-1]), [*_Row.model_fields], n=1)
    return f"{field} {said}".strip() + (f" (did you mean {near[0]!r}?)" if near else "")


def _task(where: str, row: _Row) -> Task:
    parts = tuple(
        Task(uid=f"{row.uid}/{p}", level=row.level, **part.model_dump())
        for p, part in enumerate(row.parts or ())
    )
    return Task(
        uid=row.uid,
        domain=row.domain,
        level=row.level,
        prompt=whole_prompt(row.prompt, [part.prompt for part in parts]) if parts else row.prompt,
        reference=row.reference or whole_reference([part.reference for part in parts]),
        verifier=row.verifier or PARTS_VERIFIER,
        choices=row.choices,
        metadata=row.metadata,
        parts=parts,
        documents=_documents(where, row),
    )


def _documents(where: str, row: _Row) -> Documents | None:
    """The documents with where their evidence ends; evenly spread where the row does not say."""
    if row.documents is None:
        return None
    tokens = sum(map(count_tokens, row.documents))
    if row.evidence is None:
        spread = range(1, MAX_EVIDENCE + 1)
        return Documents(
            tokens, tuple(-(-tokens * i // MAX_EVIDENCE) for i in spread), row.documents
        )
    ends: list[int] = []
    for excerpt in row.evidence:
        before = 0
        for text in row.documents:
            at = text.find(excerpt)
            if at >= 0:
                ends.append(before + count_tokens(text[: at + len(excerpt)]))
                break
            before += count_tokens(text)
        else:
            _refuse(where, f"evidence {excerpt[:40]!r} is in no document", "copy it from one")
    return Documents(tokens, tuple(sorted(ends)), row.documents)


def _no_number(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON number")


def _refuse(where: str, problem: str, repair: str) -> NoReturn:
    raise DataFileError(f"{where}: {problem}: {repair}.")
