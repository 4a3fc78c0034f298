"""Commands and Python blocks of a page of docs/, run as a reader would."""

import contextlib
import io
import shlex

from typer.testing import CliRunner

from conductor_gym.cli import app


def command(line: str) -> str:
    """What a command of the page prints; its error where it fails."""
    name, *arguments = shlex.split(line)
    assert name == "conductor-gym"
    result = CliRunner().invoke(app, arguments)
    if result.exception is not None:
        raise result.exception
    return result.output


def python_block(text: str, page: str) -> str:
    """What a Python block of the page prints."""
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(text, page, "exec"), {})
    return printed.getvalue()
