"""Errors for the person who made the call: what was given, what is known, how to repair it."""

from collections.abc import Iterable
from difflib import get_close_matches


class ConductorError(Exception):
    """Base of every error that this package raises on purpose."""


class UnknownNameError(ConductorError, LookupError):
    """A pool, suite, split, track, agent or worker name that does not exist."""


class InvalidActionError(ConductorError, ValueError):
    """An action outside the action space: wrong shape, type or range."""


class EpisodeOverError(ConductorError, RuntimeError):
    """`step` was called before `reset` or after the episode had ended."""


class NotRecordedError(ConductorError, LookupError):
    """A journal is replayed and holds no such call."""


class ConfigError(ConductorError, ValueError):
    """Settings that cannot work together."""


class DataFileError(ConductorError, ValueError):
    """A pool, suite, table or result file that cannot be used."""


class AgentError(ConductorError, RuntimeError):
    """An agent that cannot be imported, built or played."""


class SpendingCeilingError(ConductorError, RuntimeError):
    """The next call may cost more than what is left under the spending ceiling."""


class WorkersDownError(ConductorError, RuntimeError):
    """No worker can be reached."""


class MissingExtraError(ConductorError, ImportError):
    """An optional dependency is not installed."""

    def __init__(self, what: str, extra: str) -> None:
        super().__init__(
            f"{what} needs the `{extra}` extra: pip install 'conductor-gym[{extra}]', "
            f"or in a clone pip install -e '.[{extra}]'"
        )


def unknown_name(
    kind: str, given: object, known: Iterable[str], hint: str = ""
) -> UnknownNameError:
    """Build the error for a name that is not among the known ones.

    Args:
        kind: What is being named, for example ``"pool"``.
        given: The name as it was given.
        known: Every valid name.
        hint: One more sentence on how to see or add names.
    """
    names = sorted(known)
    near = get_close_matches(str(given), names, n=1, cutoff=0.5)
    parts = [f"unknown {kind} {given!r}."]
    if near:
        parts.append(f"Did you mean {near[0]!r}?")
    parts.append(f"Known: {', '.join(names) if names else 'none'}.")
    if hint:
        parts.append(hint)
    return UnknownNameError(" ".join(parts))


def one_line(error: BaseException) -> str:
    """What somebody else's code raised, in one short line."""
    return f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
