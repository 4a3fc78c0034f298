"""The board as a page: one file, whole, safe to open whatever the result files say."""

import json
import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from conductor_gym.agents.registry import agents
from conductor_gym.leaderboard.results import Result, evaluate, read_result, write_result
from conductor_gym.leaderboard.table import make_board, read_boards

pytest.importorskip("jinja2", reason="pip install 'conductor-gym[report]'")

from conductor_gym.cli import app
from conductor_gym.leaderboard.page import page

VOID = frozenset({"meta", "img", "br", "hr", "link", "input"})
HOSTILE = "<script>alert(1)</script><img src=x onerror=alert(1)>\"'&amp;{{ 7 * 7 }}</td></table>"


class Page(HTMLParser):
    """What a browser would see: elements in order, attributes, text; refuses bad nesting."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.text = ""
        self.feed(html)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data

    def all(self, tag: str) -> list[dict[str, str]]:
        return [attributes for name, attributes in self.elements if name == tag]


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Result files of four agents on 200 simulated episodes, one under all assumptions."""
    folder = tmp_path_factory.mktemp("results")
    for agent in ("best-single", "clairvoyant", "best-by-domain", "submit-nothing"):
        write_result(evaluate(agent, "paper", 200, (0.0, 0.05)), folder)
    for end in ("low", "high"):
        for agent in ("best-single", "best-by-domain"):
            write_result(evaluate(agent, "paper", episodes=200, assumptions=end), folder)
    return folder


@pytest.fixture(scope="module")
def written(results: Path) -> Page:
    """The page that the command writes."""
    done = CliRunner().invoke(app, ["report", "--results", str(results)])
    assert done.exit_code == 0, done.output
    assert str(results / "index.html") in done.output.replace("\n", "")
    return Page((results / "index.html").read_text(encoding="utf-8"))


def changed(results: Path, of: str, /, **update: Any) -> Result:
    return read_result(results / "paper" / f"{of}.json").model_copy(update=update)


def test_report_writes_a_page_that_loads_nothing_from_anywhere(written: Page):
    assert len(written.all("img")) == 2
    assert all(image["src"].startswith("data:image/png;base64,") for image in written.all("img"))
    assert all(image["alt"] for image in written.all("img"))
    assert written.all("link") == []
    assert [script for script in written.all("script") if script] == []
    links = [link["href"] for link in written.all("a")]
    outside = [link for link in links if not link.startswith("#")]
    assert outside
    assert all(link.startswith("https://arxiv.org/abs/") for link in outside)
    assert "default-src 'none'" in "".join(meta.get("content", "") for meta in written.all("meta"))


def test_every_link_on_the_page_leads_to_one_place(written: Page):
    ids = [attributes["id"] for _, attributes in written.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    inside = [link["href"][1:] for link in written.all("a") if link["href"].startswith("#")]
    assert len(inside) > 4
    assert set(inside) <= set(ids)


def test_the_page_says_what_the_board_says(written: Page, results: Path):
    (board,) = json.loads((results / "leaderboard.json").read_text())
    assert board["outcomes"] in written.text
    for row in board["rows"]:
        assert row["agent"] in written.text
        assert row["command"] in written.text
        assert f"{row['utility']['mean']:+.3f} [{row['utility']['low']:+.3f}" in written.text
    for said in ("at best-single quality", "vs best single at cost weight", "Holm-corrected"):
        assert said in written.text
    assert "worker choice, bits" in written.text
    assert "Kendall tau" in written.text


def test_bars_lie_where_the_intervals_are(written: Page, results: Path):
    (board,) = read_boards(results)
    bars = [bar["style"] for bar in written.all("i") if "style" in bar]
    left = [float(style.split("%")[0].removeprefix("left:")) for style in bars]
    width = [float(style.split("width:")[1].removesuffix("%")) for style in bars]
    shown = [row.at.utility for row in board.rows if row.at is not None]
    assert len(bars) == len(shown) == 4
    zero = next(row.at for row in board.rows if row.result.agent == "best-single")
    assert zero is not None
    right = max(value.high for value in shown)
    unit = 2.0 * (right - zero.utility.mean) / 100.0
    for value, x, wide in zip(shown, left, width, strict=True):
        assert x == pytest.approx(max((value.low - right) / unit + 100.0, 0.0), abs=0.02)
        assert x + wide == pytest.approx(max((value.high - right) / unit + 100.0, 0.0), abs=0.02)
    assert {line["style"] for line in written.all("u")} == {"left:50.0%"}


def test_every_shipped_agent_has_its_card_on_the_page(written: Page):
    for name, card in agents().items():
        assert card.shown_as(name) in written.text
        for said in (card.summary, card.idea, card.paper, card.learns, card.tuning):
            assert said in written.text


def test_texts_of_result_files_stay_texts(results: Path):
    reference = changed(results, "best-single")
    hostile = changed(
        results,
        "best-by-domain",
        agent=HOSTILE,
        command=HOSTILE,
        commit=HOSTILE,
        model={"seed": HOSTILE, "timesteps": HOSTILE, "wall_s": [1], "calls_usd": None},
    )
    unplayed = changed(results, "best-by-domain", agent="x", at=[], not_applicable=HOSTILE)
    plain = changed(results, "best-by-domain", agent="y", command="z", commit="z")
    harmless = changed(results, "best-by-domain", agent="x", at=[], not_applicable="z")
    shown = Page(page([make_board("paper", [reference, hostile, unplayed])], {}))
    usual = Page(page([make_board("paper", [reference, plain, harmless])], {}))
    assert shown.text.count(HOSTILE) >= 5
    assert shown.elements == usual.elements


def test_a_module_that_a_result_file_names_is_not_imported(
    results: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    (tmp_path / "their_agents.py").write_text(
        'open("imported", "w").close()\nclass Theirs:\n    """Runs on import."""\n'
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    theirs = changed(results, "best-by-domain", agent="their_agents:Theirs")
    shown = Page(page([make_board("paper", [changed(results, "best-single"), theirs])], {}))
    assert "their_agents:Theirs" in shown.text
    assert not (tmp_path / "imported").exists()


def test_what_training_took_is_shown_where_the_model_says_it(results: Path):
    model = {"seed": 3, "timesteps": 2_200_000, "wall_s": 71.4, "calls_usd": 1234.5}
    trained = changed(results, "best-by-domain", agent="ppo", model=model)
    html = page([make_board("paper", [changed(results, "best-single"), trained])], {})
    for said in ("<td>2,200,000</td>", "<td>71.40</td>", "<td>1,234.50</td>", "<td>3</td>"):
        assert said in html


@pytest.mark.parametrize("agent", ["submit-nothing", "best-single"])
def test_a_board_of_one_agent_is_a_page_too(results: Path, agent: str):
    shown = Page(page([make_board("paper", [changed(results, agent)])], {}))
    assert agent in shown.text


def test_a_board_where_nothing_could_be_played_is_a_page_too(results: Path):
    unplayed = changed(results, "best-by-domain", at=[], not_applicable="needs stated confidence")
    shown = Page(page([make_board("paper", [unplayed])], {}))
    assert "needs stated confidence" in shown.text
