"""docs/your-agent.md: its agents run by module:Class with the commands that it gives."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest


def _text(repository: Path) -> str:
    return (repository / "docs/your-agent.md").read_text(encoding="utf-8")


def test_the_agent_of_the_page_has_fifteen_lines_and_stands_on_the_board(
    repository: Path, tmp_path: Path
) -> None:
    code = re.findall(r"```python\n(.*?)```", _text(repository), flags=re.S)[0]
    body = code.partition("class ")[2].splitlines()
    assert len([line for line in body if line.strip()]) <= 15
    (tmp_path / "two_tries.py").write_text(code)
    (commands,) = re.findall(r"```bash\n(.*?)```", _text(repository), flags=re.S)
    run, report = commands.strip().splitlines()
    for command in (f"{run} --episodes 200 --cost-weight 0.05", report):
        words = shlex.split(command)
        assert words[0] == "conductor-gym"
        done = subprocess.run(
            [sys.executable, "-m", "conductor_gym", *words[1:]],
            cwd=tmp_path,
            env=dict(os.environ),
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        assert "lost" not in done.stderr
    board = (tmp_path / "results/leaderboard.md").read_text()
    row = next(line for line in board.splitlines() if line.startswith("| two_tries:TwoTries"))
    assert "[" in row.split("|")[3], "the paired difference to the best single worker"


def test_the_learner_of_the_page_finds_a_good_worker(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from conductor_gym.agents.registry import agent_card, make_agent
    from conductor_gym.leaderboard.evaluate import play
    from conductor_gym.leaderboard.tracks import find_track

    code = re.findall(r"```python\n(.*?)```", _text(repository), flags=re.S)[1]
    (tmp_path / "own_learner.py").write_text(code)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    assert agent_card("own_learner:FollowTheLeader").online
    track = find_track("paper")
    agent = make_agent("own_learner:FollowTheLeader", track.setting(0.05))
    played = play(agent, track.evaluation(0.05), 400)
    random = play(make_agent("random", track.setting(0.05)), track.evaluation(0.05), 400)
    assert played.failures == {}
    assert played.quality[200:].mean() > random.quality.mean() + 0.1
