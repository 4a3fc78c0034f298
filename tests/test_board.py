"""The board: metrics, result files, tables and the command, as a user meets them."""

import csv
import gzip
import json
import math
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from conductor_gym.errors import DataFileError
from conductor_gym.leaderboard.by_domain import breakdowns
from conductor_gym.leaderboard.metrics import estimate, resample_weights
from conductor_gym.leaderboard.report import markdown
from conductor_gym.leaderboard.results import Result, evaluate, read_result, write_result
from conductor_gym.leaderboard.table import make_board, paired_gain, read_boards
from conductor_gym.leaderboard.tracks import find_track
from conductor_gym.workers.pool import load_pool


def command(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", "from conductor_gym.cli import main; main()", *words],
        capture_output=True,
        text=True,
        env=os.environ | {"COLUMNS": "200"} | environment,
        timeout=120,
        check=False,
    )


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Result files of four agents on 300 simulated episodes."""
    folder = tmp_path_factory.mktemp("results")
    for agent in ("best-single", "clairvoyant", "cascade", "submit-nothing"):
        write_result(evaluate(agent, "paper", episodes=300), folder)
    return folder


def test_run_prints_valid_json_with_mean_low_and_high(tmp_path: Path) -> None:
    words = ["run", "--agent", "random", "--track", "paper", "--episodes", "500", "--json"]
    done = command(*words, "--results", str(tmp_path))
    assert done.returncode == 0, done.stderr
    printed = json.loads(done.stdout)
    assert {"agent", "track", "episodes", "quality", "cost_usd", "utility"} <= set(printed)
    assert (printed["agent"], printed["track"], printed["episodes"]) == ("random", "paper", 500)
    for metric in ("quality", "cost_usd", "utility"):
        assert printed[metric]["low"] < printed[metric]["mean"] < printed[metric]["high"]
    result = read_result(tmp_path / "paper" / "random.json")
    assert [len(at.decisions) for at in result.at] == [500] * 7
    files = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()}
    assert files == {f"paper/{folder}random.json" for folder in ("", "low/", "high/")}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["run", "--agent", "randm", "--track", "paper"], "Did you mean 'random'?"),
        (["run", "--agent", "random", "--track", "papr"], "Did you mean 'paper'?"),
        (["run", "--agent", "ppo", "--track", "paper"], "conductor-gym train ppo"),
        (["run", "--agent", "random", "--track", "paper", "--episodes", "0"], "episodes must lie"),
        (["run", "--agent", "random", "--track", "paper", "--cost-weight", "-1"], "cost-weight"),
        (["run", "--agent", "random", "--track", "paper", "--assumptions", "lo"], "mean 'low'?"),
        (["run", "--agent", "random", "--track", "crux", "--assumptions", "low"], "are recorded"),
        (["train", "cascade"], "maskable-ppo"),
        (["list", "pool"], "Did you mean 'pools'?"),
        (["report"], "conductor-gym run"),
    ],
)
def test_a_users_mistake_ends_in_one_clear_message(
    words: list[str], said: str, tmp_path: Path
) -> None:
    folder = [] if words[0] in ("train", "list") else ["--results", str(tmp_path / "none")]
    if words[:3] == ["run", "--agent", "ppo"]:
        folder += ["--models", str(tmp_path)]
    done = command(*words, *folder)
    assert done.returncode == 2
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_lists_are_readable_and_machine_readable() -> None:
    for what in ("agents", "pools", "suites", "tracks"):
        assert len(command("list", what).stdout.splitlines()) >= 3
        rows: Any = json.loads(command("list", what, "--json").stdout)
        assert all(what[:-1] in row for row in rows)


def test_report_says_what_is_simulated_and_writes_table_json_and_plot(results: Path) -> None:
    done = command("report", "--results", str(results))
    assert done.returncode == 0, done.stderr
    said = "All outcomes are simulated, under mid assumptions."
    assert said in done.stdout
    text = (results / "leaderboard.md").read_text()
    assert said in text
    assert "docs/fidelity.md" in text
    assert "| clairvoyant (ref) |" in text
    board = json.loads((results / "leaderboard.json").read_text())
    assert board[0]["rows"][0]["agent"] == "clairvoyant"
    assert (results / "paper.png").stat().st_size > 10_000


def test_scale_is_zero_at_best_single_and_one_at_clairvoyant(results: Path) -> None:
    (board,) = read_boards(results)
    by_agent = {row.result.agent: row for row in board.rows}
    assert by_agent["best-single"].scaled == 0.0
    assert by_agent["clairvoyant"].scaled == 1.0
    assert by_agent["best-single"].gain is not None
    assert by_agent["best-single"].gain.model_dump() == {"mean": 0.0, "low": 0.0, "high": 0.0}


def test_utility_by_domain_adds_up_to_the_overall_mean(results: Path) -> None:
    (board,) = read_boards(results)
    (by_domain,) = breakdowns(board)
    assert sum(by_domain.sizes) == 300
    assert len(by_domain.groups) == 7
    for row in board.rows:
        assert row.at is not None
        mean = np.average(by_domain.utility[row.result.agent], weights=by_domain.sizes)
        assert mean == pytest.approx(row.at.utility.mean, abs=1e-9)


def test_references_take_no_rank_by_domain(results: Path) -> None:
    (board,) = read_boards(results)
    (by_domain,) = breakdowns(board)
    assert set(by_domain.rank) == {"best-single", "cascade", "submit-nothing"}
    for domain in range(7):
        mine = {agent: by_domain.utility[agent][domain] for agent in by_domain.rank}
        ranks = {agent: by_domain.rank[agent][domain] for agent in by_domain.rank}
        assert ranks[max(mine, key=mine.__getitem__)] == 1
        assert max(ranks.values()) <= 3


def test_paired_intervals_are_narrower_than_unpaired_ones(results: Path) -> None:
    (board,) = read_boards(results)
    at = {row.result.agent: row.at for row in board.rows}
    cascade, single = at["cascade"], at["best-single"]
    assert cascade is not None
    assert single is not None
    gain = paired_gain(cascade, single)
    assert gain is not None
    assert gain.mean == pytest.approx(cascade.utility.mean - single.utility.mean)
    apart = math.hypot(
        cascade.utility.high - cascade.utility.low, single.utility.high - single.utility.low
    )
    assert gain.high - gain.low < apart


def test_bootstrap_agrees_with_the_normal_approximation_on_many_episodes() -> None:
    values = np.random.default_rng(1).normal(3.0, 2.0, 4000)
    got = estimate(values)
    half = 1.96 * 2.0 / math.sqrt(4000)
    assert got.mean == pytest.approx(values.mean())
    assert got.high - got.mean == pytest.approx(half, rel=0.12)
    assert got.mean - got.low == pytest.approx(half, rel=0.12)
    assert np.allclose(resample_weights(50).sum(axis=1), 1.0, atol=1e-5)


def test_rows_of_other_queries_are_left_out_and_named(results: Path) -> None:
    rows = [read_result(path) for path in sorted((results / "paper").glob("*.json"))]
    other = rows[0].model_copy(update={"agent": "stranger", "episodes": 299})
    board = make_board("paper", [other, *rows])
    assert "stranger" not in {row.result.agent for row in board.rows}
    assert len(board.rows) == len(rows)
    assert "stranger (299 episodes)" in " ".join(board.notes)


def test_a_smaller_run_never_replaces_a_fuller_one(results: Path, tmp_path: Path) -> None:
    whole = read_result(results / "paper" / "cascade.json")
    path = write_result(whole, tmp_path)
    for less in ({"episodes": 20}, {"at": whole.at[:1]}):
        beside = write_result(whole.model_copy(update=less), tmp_path)
        assert beside == tmp_path / "paper" / "partial" / "cascade.json"
        assert read_result(path) == whole
    assert write_result(whole, tmp_path) == path


@pytest.mark.parametrize("shown", ["submit-nothing", "not applicable"])
def test_a_board_with_nothing_to_draw_is_printed_all_the_same(
    results: Path, tmp_path: Path, shown: str
) -> None:
    result = read_result(results / "paper" / "submit-nothing.json")
    if shown == "not applicable":
        result = result.model_copy(update={"at": [], "not_applicable": "needs a vote"})
    write_result(result, tmp_path)
    done = command("report", "--results", str(tmp_path))
    assert done.returncode == 0, done.stderr
    assert "submit-nothing" in done.stdout
    assert (tmp_path / "paper.png").is_file()


def test_a_stopped_run_keeps_what_was_finished_and_nothing_half(tmp_path: Path) -> None:
    words = ["run", "--agent", "all", "--track", "paper", "--results", str(tmp_path)]
    process = subprocess.Popen(
        [sys.executable, "-c", "from conductor_gym.cli import main; main()", *words],
        stderr=subprocess.PIPE,
        text=True,
        # A shell's background job ignores Ctrl-C, and its children inherit that.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    assert process.stderr is not None
    first = process.stderr.readline()
    process.send_signal(signal.SIGINT)
    rest = process.communicate(timeout=60)[1]
    assert "submit-nothing" in first
    assert process.returncode == 130
    assert "stopped: finished results" in rest
    assert "Traceback" not in rest
    kept = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert "submit-nothing.json" in {path.name for path in kept}
    assert all(read_result(path).episodes == 4000 for path in kept)


def test_a_file_of_another_format_says_so(results: Path, tmp_path: Path) -> None:
    old = json.loads((results / "paper" / "cascade.json").read_text())
    old |= {"format": 1, "status": "first"}
    path = tmp_path / "cascade.json"
    path.write_text(json.dumps(old))
    with pytest.raises(DataFileError, match="result format 1, this version reads 3"):
        read_result(path)


def test_a_results_command_names_every_setting_that_was_not_the_default() -> None:
    result = evaluate("best-single", "paper", episodes=20, cost_weights=(0.3,), seed=4)
    assert result.command == (
        "conductor-gym run --agent best-single --track paper --episodes 20 --seed 4 "
        "--assumptions mid --cost-weight 0.3"
    )


@pytest.mark.parametrize("damage", ["", "{", '{"agent": 3}', "half"])
def test_a_broken_result_file_is_named(results: Path, tmp_path: Path, damage: str) -> None:
    whole = (results / "paper" / "cascade.json").read_text()
    path = tmp_path / "paper" / "cascade.json"
    path.parent.mkdir()
    path.write_text(whole[: len(whole) // 2] if damage == "half" else damage)
    with pytest.raises(DataFileError, match=r"cascade\.json: not a result file.*run the agent"):
        read_boards(tmp_path)


def test_agents_without_what_they_need_show_not_applicable(results: Path) -> None:
    result = read_result(results / "paper" / "cascade.json")
    bare = result.model_copy(update={"at": [], "not_applicable": "needs stated confidence"})
    reference = read_result(results / "paper" / "best-single.json")
    text = markdown([make_board("paper", [reference, bare])], {})
    assert "| cascade | n/a |" in text
    assert "needs stated confidence" in text


def _read(path: Path, key: str) -> dict[str, dict[str, str]]:
    with gzip.open(path, "rt", encoding="utf-8", newline="") as file:
        return {row[key]: row for row in csv.DictReader(file)}


@pytest.mark.recorded
@pytest.mark.parametrize(
    ("track", "key", "files"),
    [
        ("crux", "id", "zeroeval/crux_{}.csv.gz"),
        ("gsm8k", "id", "zeroeval/gsm_{}.csv.gz"),
        ("mmlu-pro", "question_id", "mmlu_pro_29/{}.csv.gz"),
    ],
)
@pytest.mark.parametrize("weight", [0.0, 0.05, 1.0])
def test_recorded_references_equal_those_computed_from_the_table(
    recorded_folder: Path, track: str, key: str, files: str, weight: float
) -> None:
    from conductor_gym.recordings.detect import load_recording_card
    from conductor_gym.tasks.suite import load_split

    outcomes = _read(recorded_folder / files.format("correct"), key)
    lengths = _read(recorded_folder / files.format("output_chars"), key)
    questions = _read(recorded_folder / files.format("questions"), key)
    pool, suite = load_pool(find_track(track).pool), find_track(track).suite
    assert pool.recording is not None
    columns = load_recording_card(pool.recording).queries.text

    def table(split: str) -> tuple[np.ndarray, np.ndarray]:
        quality: list[list[float]] = []
        usd: list[list[float]] = []
        for uid in load_split(suite, split).ids:
            text = "\n\n".join(questions[uid][column] for column in columns)
            tokens_in = math.ceil(len(text) / 4)
            row: list[float] = []
            for worker in pool.workers:
                tokens_out = math.ceil(int(lengths[uid][worker.name]) / 4)
                micro = tokens_in * worker.usd_per_m_input + tokens_out * worker.usd_per_m_output
                row.append(micro / 1e6)
            usd.append(row)
            quality.append([float(outcomes[uid][worker.name]) for worker in pool.workers])
        return np.array(quality), np.array(usd)

    train_quality, train_usd = table("train")
    quality, usd = table("test")
    best = int((train_quality - weight * train_usd / 0.01).mean(axis=0).argmax())
    gains = quality - weight * usd / 0.01

    def on_board(agent: str) -> Result:
        return evaluate(agent, track, cost_weights=(weight,))

    single = on_board("best-single").at[0]
    assert single.quality.mean == pytest.approx(quality[:, best].mean(), abs=1e-12)
    assert single.cost_usd.mean == pytest.approx(usd[:, best].mean(), abs=1e-9)
    assert single.utility.mean == pytest.approx(gains[:, best].mean(), abs=1e-6)
    top = np.maximum(gains.max(axis=1), 0.0).mean()
    assert on_board("clairvoyant").at[0].utility.mean == pytest.approx(top, abs=1e-6)


def test_a_track_of_ones_own_has_a_board_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.toml").write_text(
        'title = "Mine"\nkind = "simulated"\npool = "paper"\nsuite = "paper-v1"\n'
        'split = "dev"\nkey = "public"\n'
    )
    for agent in ("best-single", "clairvoyant"):
        write_result(evaluate(agent, "mine.toml", 50, (0.05,)), tmp_path / "results")
    (board,) = read_boards(tmp_path / "results")
    assert board.track == "mine"
    assert (board.card.split, board.card.kind) == ("dev", "simulated")
    assert [row.result.agent for row in board.rows] == ["clairvoyant", "best-single"]
