"""Reading TOML and writing files, with errors that name the file and the repair."""

import os
import tempfile
import tomllib
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar, get_args

from pydantic import BaseModel, ConfigDict, ValidationError

from conductor_gym.errors import DataFileError, unknown_name

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

RECORDED_FOLDER_VARIABLE = "CONDUCTOR_GYM_RECORDED"
CACHE_FOLDER_VARIABLE = "CONDUCTOR_GYM_CACHE"
DEFAULT_CACHE_FOLDER = Path("~/.cache/conductor-gym")
DEFAULT_RECORDED_FOLDER = Path("~/.cache/conductor-gym/recorded")

M = TypeVar("M", bound=BaseModel)


class StrictModel(BaseModel):
    """A section of a TOML file: no unknown fields, immutable."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


def load_toml(path: Path, model: type[M]) -> M:
    """Read and validate a TOML file.

    Raises:
        DataFileError: Not readable, not UTF-8, not TOML, or fields that are wrong or missing.
    """
    try:
        with path.open("rb") as file:
            raw = tomllib.load(file)
    except OSError as error:
        raise DataFileError(f"{path}: cannot be read ({error.strerror}).") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise DataFileError(f"{path}: not valid TOML: {error}.") from None
    try:
        return model.model_validate(raw)
    except ValidationError as error:
        problems = _own_problems(error)
        lines = [
            f"  {'.'.join(str(p) for p in problem['loc']) or '(top level)'}: "
            f"{_what_is_wrong(problem, model)}"
            for problem in problems[:10]
        ]
        more = len(problems) - len(lines)
        if more > 0:
            lines.append(f"  ... and {more} more")
        raise DataFileError("\n".join([f"{path}: these fields need repair:", *lines])) from None


def _own_problems(error: ValidationError) -> "list[ErrorDetails]":
    """Problems, without what they make wrong around them: a list that lost its broken entries."""
    problems = error.errors()
    places = [problem["loc"] for problem in problems]
    return [
        problem
        for problem, place in zip(problems, places, strict=True)
        if problem["type"] != "too_short" or not any(_is_inside(other, place) for other in places)
    ]


def _is_inside(place: tuple[int | str, ...], outer: tuple[int | str, ...]) -> bool:
    return len(place) > len(outer) and place[: len(outer)] == outer


def _what_is_wrong(problem: "ErrorDetails", model: type[BaseModel]) -> str:
    """A problem in words; what was given is named where it cannot be a key that strayed."""
    said = problem["msg"].removeprefix("Value error, ")
    if problem["type"] == "literal_error":
        return f"{said}, not {problem['input']!r}"
    if problem["type"] == "extra_forbidden":
        *place, name = problem["loc"]
        near = get_close_matches(str(name), _fields_at(model, place), n=1, cutoff=0.5)
        return "there is no such field" + (f"; did you mean {near[0]!r}?" if near else "")
    return said


def _fields_at(model: type[BaseModel], place: Sequence[int | str]) -> list[str]:
    """Names of the fields that a section of the file may have."""
    models = [model]
    for step in place:
        # Positions, keys and tags lie between a field and the models in it.
        inside = [m.model_fields[str(step)].annotation for m in models if step in m.model_fields]
        models = [found for annotation in inside for found in _models_in(annotation)] or models
    return [name for found in models for name in found.model_fields]


def _models_in(annotation: object) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [found for part in get_args(annotation) for found in _models_in(part)]


def find_named_toml(kind: str, name: str, folder: Path) -> Path:
    """The TOML file of a shipped name, or of a path that ends in `.toml`.

    Raises:
        UnknownNameError: Neither shipped nor a path.
        DataFileError: A path that does not exist.
    """
    if name.endswith(".toml"):
        path = Path(name)
        if not path.is_file():
            raise DataFileError(f"{kind} file {name!r} does not exist (looked in {Path.cwd()}).")
        return path
    shipped = {file.stem: file for file in folder.glob("*.toml")}
    if name not in shipped:
        raise unknown_name(kind, name, shipped, "A path to your own .toml file works too.")
    return shipped[name]


def make_folder(path: Path) -> None:
    """Make a folder and its parents.

    Raises:
        DataFileError: It cannot be made or written.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataFileError(f"folder {path} cannot be made ({error.strerror}).") from None
    if not os.access(path, os.W_OK):
        raise DataFileError(f"folder {path} cannot be written.")


@contextmanager
def written_beside(path: Path) -> Generator[Path]:
    """Give a path to write to, which becomes `path` when all went well and vanishes otherwise.

    Raises:
        DataFileError: The folder cannot be written.
    """
    make_folder(path.parent)
    beside: Path | None = None
    try:
        with tempfile.NamedTemporaryFile(
            dir=path.parent, prefix=f".{path.name}.", suffix=path.suffix, delete=False
        ) as file:
            beside = Path(file.name)
        yield beside
        with beside.open("rb+") as file:
            os.fsync(file.fileno())
        beside.chmod(0o644)
        beside.replace(path)
    except OSError as error:
        raise DataFileError(f"{path}: cannot be written ({error.strerror}).") from None
    finally:
        if beside is not None:
            beside.unlink(missing_ok=True)


def write_beside_and_rename(path: Path, content: bytes) -> None:
    """Write a file so that readers see the old one or the new one, never half.

    Raises:
        DataFileError: The folder cannot be written.
    """
    with written_beside(path) as beside:
        beside.write_bytes(content)


FileStamp = tuple[str, int, int]
"""Path, time of change in nanoseconds and size: enough to notice that a file is another one."""


def file_stamps(*paths: Path) -> tuple[FileStamp, ...]:
    """Stamps of files; zeros for a missing one."""
    stamps: list[FileStamp] = []
    for path in paths:
        try:
            seen = path.stat()
            stamps.append((str(path.absolute()), seen.st_mtime_ns, seen.st_size))
        except OSError:
            stamps.append((str(path.absolute()), 0, 0))
    return tuple(stamps)


def recorded_folder() -> Path:
    """Folder of recorded tables: `CONDUCTOR_GYM_RECORDED`, or one in the user's cache."""
    return Path(os.environ.get(RECORDED_FOLDER_VARIABLE) or DEFAULT_RECORDED_FOLDER).expanduser()


def cache_folder() -> Path:
    """Folder for what can be made again: `CONDUCTOR_GYM_CACHE`, or one in the user's cache."""
    return Path(os.environ.get(CACHE_FOLDER_VARIABLE) or DEFAULT_CACHE_FOLDER).expanduser()
