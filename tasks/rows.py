"""Tasks from the rows of a JSONL file, each checked."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, Literal, NoReturn

from pydantic import Field, ValidationError

from conductor_gym.data_files import StrictModel
from conductor_gym.errors import DataFileError, UnknownNameError
from conductor_gym.spaces import N_DOMAINS
from conductor_gym.tasks.task import Task
from conductor_gym.tasks.verifiers import find_verifier

SPLITS = ("train", "dev", "test")
MAX_PROMPT = 400_000
"""Characters of a prompt, about 100,000 tokens."""


class _Row(StrictModel):
    """A row as it stands in a file."""

    uid: Annotated[str, Field(min_length=1, max_length=200)]
    domain: Annotated[str, Field(min_length=1, max_length=60)]
    level: Annotated[int, Field(ge=0, le=100, strict=True)]
    prompt: Annotated[str, Field(pattern=r"\S")]
    reference: Annotated[str, Field(pattern=r"\S")]
    verifier: str
    split: Literal["train", "dev", "test"] | None = None
    choices: Annotated[tuple[str, ...], Field(max_length=26)] = ()
    metadata: dict[str, Any] = Field(default_factory=dict)


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
        domains.add(row.domain)
        if len(domains) > N_DOMAINS:
            _refuse(where, f"domain {row.domain!r} is one more than {N_DOMAINS}", "merge some")
        if read and (row.split is None) != (read[0][1] is None):
            _refuse(where, "some rows name a split and some do not", "name it in all or in none")
        fields = row.model_dump(exclude={"split"})
        read.append((Task(**fields), row.split))
        problem = find_verifier(row.verifier).check(read[-1][0])
        if problem is not None:
            _refuse(where, f"verifier {row.verifier!r}", problem)
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
        told = "; ".join(
            f"{'.'.join(str(p) for p in problem['loc'])}: {problem['msg']}"
            for problem in error.errors()[:5]
        )
        _refuse(where, told, "repair these fields (docs/suites.md lists all)")
    if len(row.prompt) > MAX_PROMPT:
        _refuse(
            where,
            f"prompt of {len(row.prompt):,} characters, {MAX_PROMPT:,} are allowed",
            "shorten it",
        )
    try:
        find_verifier(row.verifier)
    except UnknownNameError as error:
        raise DataFileError(f"{where}: {error}") from None
    return row


def _no_number(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON number")


def _refuse(where: str, problem: str, repair: str) -> NoReturn:
    raise DataFileError(f"{where}: {problem}: {repair}.")
