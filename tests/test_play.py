"""`conductor-gym play`: an episode by hand, from what a person types."""

import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conductor_gym.cli.play import read_action
from conductor_gym.errors import ConductorError
from conductor_gym.types import CONTEXT_LEVELS

WORKERS = ("gpt-5", "qwen3-32b")


@pytest.mark.parametrize(
    ("line", "action"),
    [
        ("1 solve", (0, 0, 0)),
        ("qwen3-32b VERIFY 4k", (1, 2, 3)),
        ("2 revise 300", (1, 3, 2)),
        ("1 aggregate 262144", (0, 5, 6)),
        ("vote", (0, 6, 0)),
        (" submit ", (0, 7, 0)),
    ],
)
def test_a_line_is_read_as_an_action(line: str, action: tuple[int, int, int]):
    assert read_action(line, WORKERS) == action


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("", "Write WORKER SUBTASK"),
        ("solve", "Write WORKER SUBTASK"),
        ("3 solve", "Or a number from 1 to 2"),
        ("gpt5 solve", "Did you mean 'gpt-5'"),
        ("1 slove", "Did you mean 'solve'"),
        ("1 solve lots", "Write tokens from 0 to 262,144"),
        ("1 solve 300k", "Write tokens from 0 to 262,144"),
    ],
)
def test_what_cannot_be_read_says_what_can(line: str, told: str):
    with pytest.raises(ConductorError, match=told):
        read_action(line, WORKERS)


@given(line=st.text(max_size=40))
def test_any_text_is_an_action_or_a_told_mistake(line: str):
    try:
        worker, subtask, level = read_action(line, WORKERS)
    except ConductorError:
        return
    assert 0 <= worker < 2
    assert 0 <= subtask < 8
    assert 0 <= level < len(CONTEXT_LEVELS)


def played(lines: str, *options: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "conductor_gym", "play", *options],
        input=lines,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout + done.stderr


def test_an_episode_shows_its_text_its_steps_and_a_right_answer():
    pytest.importorskip("reasoning_gym", reason="pip install 'conductor-gym[tasks]'")
    told = played("1 plan\n1 slove\n1 solve\nsubmit\n", "--domain", "multi-part")
    assert "Part 1." in told
    assert "Did you mean 'solve'?" in told
    assert "1. gpt-5" in told
    assert "utility" in told
    assert "A right answer\nPart 1: " in told


def test_a_suite_without_text_plays_too_and_the_end_of_input_ends_it():
    told = played("1 solve\n", "--pool", "paper", "--suite", "paper-v1")
    assert "1. gemini-2.5-pro" in told or "1. gpt-5" in told
    assert "A right answer" not in told
    assert "Traceback" not in told


def test_an_unknown_domain_is_told():
    told = played("", "--pool", "paper", "--suite", "paper-v1", "--domain", "MATH")
    assert "Did you mean 'MATH500'?" in told
