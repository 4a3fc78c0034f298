"""docs/traces.md: its commands run from a log to a score, and its warnings hold."""

import re
from pathlib import Path

import numpy as np
import pytest
from page_commands import command, python_block
from production_log import DOMAINS, RIGHT, USD, WORKERS, Log, write_log
from trace_helpers import read_rows

from conductor_gym.errors import ConductorError, ConfigError, DataFileError
from conductor_gym.fit import find_source, fit_source
from conductor_gym.leaderboard.tracks import find_track
from conductor_gym.traces.dataset import read_dataset
from conductor_gym.traces.rows import COLUMNS
from conductor_gym.types import Rule, Status, Subtask

pytest.importorskip("minari")
pytest.importorskip("h5py")
pytest.importorskip("pyarrow")

BLOCK = re.compile(r"(?:<!-- (file: \S+|run) -->\n)?```(\w+)\n(.*?)```", re.DOTALL)


class Session:
    """A folder in which the page was followed from top to bottom.

    Attributes:
        said: What each command and each Python block printed, by its text.
        log: The production log.
    """

    def __init__(self, folder: Path, page: str) -> None:
        self.folder, self.said = folder, dict[str, str]()
        self.log: Log = write_log(folder / "log.jsonl")
        for mark, language, text in BLOCK.findall(page):
            if mark.startswith("file: "):
                (folder / mark.removeprefix("file: ")).write_text(text, encoding="utf-8")
            elif language == "sh":
                for line in text.splitlines():
                    self.said[line] = command(line)
            elif mark == "run":
                self.said[text] = python_block(text, "docs/traces.md")
            else:
                pytest.fail(f"docs/traces.md: a block that no test runs: {text[:80]}")


@pytest.fixture(scope="module")
def page(repository: Path) -> str:
    return (repository / "docs" / "traces.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def followed(page: str, tmp_path_factory: pytest.TempPathFactory) -> Session:
    folder = tmp_path_factory.mktemp("traces")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("MINARI_DATASETS_PATH", str(folder / "datasets"))
        return Session(folder, page)


def utility_of(said: str) -> float:
    found = re.search(r"utility ([+-][\d.]+)", said)
    assert found is not None, said
    return float(found[1])


def said(session: Session, part: str) -> str:
    (found,) = [text for line, text in session.said.items() if part in line]
    return found


def test_the_page_names_every_column_subtask_and_status(page: str) -> None:
    for name in COLUMNS:
        assert f"`{name}`" in page, name
    for kind in (Subtask, Status):
        for member in kind:
            assert f"`{member.name.lower()}`" in page, member
    assert len(Rule) > 1


def test_a_clone_does_about_what_its_teacher_does(followed: Session) -> None:
    teacher = utility_of(said(followed, "--agent cascade --track paper"))
    clone = utility_of(said(followed, "--agent clone:Clone"))
    assert clone > teacher - 0.06
    assert clone > 0.4


def test_a_fit_of_the_log_finds_the_workers_abilities(
    followed: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(followed.folder)
    pool, fitted = fit_source(find_source("log.csv", sparse=True), "train", "mine")
    order = [pool.worker_names.index(name) for name in WORKERS]
    gap = fitted.accuracy[order] - RIGHT.T
    assert np.abs(gap / fitted.accuracy_error[order]).max() < 3.5
    assert {card.rho.source for card in pool.domains.values()} == {"assumed"}
    assert pool.loadings is not None
    assert pool.loadings.source == "assumed"
    assert pool.accuracy is not None
    assert pool.accuracy.source == "fitted"


def test_the_estimate_from_held_out_outcomes_holds_the_truth(followed: Session) -> None:
    told = said(followed, "router {estimate")
    numbers = [float(number) for number in re.findall(r"-?\d+\.\d+|\d+", told)]
    estimate, error, production, matched, asked, _ = numbers
    chosen = [row for row in read_rows(followed.folder / "chosen.jsonl") if row["worker"]]
    requests = [int(row["uid"].removeprefix("mine/r")) for row in chosen]
    workers = [WORKERS.index(row["worker"]) for row in chosen]
    true = (followed.log.good[requests, workers] - 5.0 * USD[workers]).mean()
    assert abs(estimate - true) < 3.0 * error
    assert error < 0.05
    assert true > production + 0.02, "the router is worth having"
    assert 0.2 * asked < matched < 0.8 * asked
    assert len(DOMAINS) == 3


def test_own_steps_become_a_dataset_to_clone_from(
    followed: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(followed.folder / "datasets"))
    read = read_dataset("mine/production-v0")
    assert set(read.actions[read.starts, 1].tolist()) == {int(Subtask.SOLVE)}
    assert set(read.actions[~read.starts, 1].tolist()) == {int(Subtask.SUBMIT)}
    steps = read_rows(followed.folder / "steps.jsonl")
    assert 0.4 * len(steps) < len(read.actions) < 0.6 * len(steps), "the train split"
    assert "of other splits" in said(followed, "steps.jsonl --pool")


def test_a_log_of_one_worker_a_query_is_refused_where_every_outcome_is_needed(
    followed: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(followed.folder)
    with pytest.raises(DataFileError, match=r"0 queries with a record of every worker"):
        fit_source(find_source("log.csv"), "train", "mine")
    with pytest.raises(ConductorError, match="no record of query"):
        command("conductor-gym play --pool log.csv --suite mine-suite.toml")


def test_a_track_of_ones_own_does_not_take_the_name_of_a_shipped_one(followed: Session) -> None:
    mine = followed.folder / "mine.toml"
    assert find_track(str(mine)).title == "My log"
    shipped = followed.folder / "paper.toml"
    shipped.write_bytes(mine.read_bytes())
    with pytest.raises(ConfigError, match="paper is a shipped track"):
        find_track(str(shipped))
    with pytest.raises(DataFileError, match="cannot be read"):
        find_track(str(followed.folder / "gone.toml"))
    assert (followed.folder / "results" / "mine" / "low" / "best-single.json").is_file()


@pytest.mark.parametrize("kept", ["large", "large,small"])
def test_a_sparse_fit_needs_enough_calls_of_each_worker(
    kept: str, followed: Session, tmp_path: Path
) -> None:
    lines = (followed.folder / "log.csv").read_text(encoding="utf-8").splitlines()
    short = tmp_path / "short.csv"
    short.write_text("\n".join(lines[:400]), encoding="utf-8")
    source = find_source(str(short), tuple(kept.split(",")), sparse=True)
    with pytest.raises(DataFileError, match=r"calls of worker 'large' to fit, at least 100"):
        fit_source(source, "train", "short")


def test_a_hidden_reason_underrates_the_worker_that_gets_the_hard_requests(
    followed: Session, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, page: str
) -> None:
    assert followed
    monkeypatch.chdir(tmp_path)
    write_log(tmp_path / "log.jsonl", confounded=True)
    to_csv = next(text for mark, _, text in BLOCK.findall(page) if mark == "run")
    exec(compile(to_csv, "docs/traces.md", "exec"), {})
    pool, fitted = fit_source(find_source("log.csv", sparse=True), "train", "mine")
    large, small = (pool.worker_names.index(name) for name in ("large", "small"))
    under = RIGHT[:, WORKERS.index("large")] - fitted.accuracy[large]
    over = fitted.accuracy[small] - RIGHT[:, WORKERS.index("small")]
    assert under.mean() > 0.03
    assert over.mean() > 0.03
