"""docs/live.md: its files, commands and code work from top to bottom against a local server."""

import hashlib
import re
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from fault_server import FaultServer
from page_commands import command, python_block
from text_suites import row, write_rows

from conductor_gym.types import Status
from conductor_gym.workers.endpoint import Endpoint
from conductor_gym.workers.pool import load_pool

BLOCK = re.compile(
    r"(?:<!-- (file: \S+|above the first section of: \S+|run) -->\n)?```(\w+)\n(.*?)```", re.DOTALL
)
TRAIN = 250  # of a suite that is not shipped, half are fitted
SHARES = {"small-llm": 0.5, "large-llm": 0.8}


class Adds(FaultServer):
    """Two models that add the numbers of a task, as often rightly as `SHARES` says."""

    async def _models(self, request: web.Request) -> web.Response:
        del request
        return web.json_response({"data": [{"id": name} for name in SHARES]})

    def reply(self, asked: Any, **changes: Any) -> dict[str, Any]:
        """An answer, and a verdict."""
        text = asked["messages"][-1]["content"]
        found = re.search(r"What is (\d+) \+ (\d+)\?", text)
        assert found is not None
        luck = hashlib.blake2b(f"{asked['model']} {found[0]}".encode(), digest_size=1).digest()[0]
        wrong = luck >= 256 * SHARES[asked["model"]]
        total = int(found[1]) + int(found[2]) + wrong
        body = super().reply(asked, **changes)
        said = f"Answer: {total}\nVerdict: correct\nConfidence: {90 - luck // 8}%"
        body["choices"][0]["message"]["content"] = said
        return body


class Session:
    """A folder in which the page was followed, on a suite of sums in place of `core-v1`.

    Attributes:
        said: What each command and each Python block printed, by its text.
        paid: Calls that reached the server after each command, by its text.
    """

    def __init__(self, folder: Path, page: str, server: FaultServer) -> None:
        self.folder, self.said, self.paid = folder, dict[str, str](), dict[str, int]()
        for mark, language, text in BLOCK.findall(page):
            what, _, name = mark.partition(": ")
            used = re.sub(r"http://127\.0\.0\.1:800\d/v1", server.url(), text)
            used = used.replace("core-v1", "sums.jsonl").replace("--limit 200", f"--limit {TRAIN}")
            if what == "file":
                (folder / name).write_text(used, encoding="utf-8")
            elif what == "above the first section of":
                before = (folder / name).read_text(encoding="utf-8")
                after = before.replace("\n[", f"\n{used}\n[", 1)
                (folder / name).write_text(after, encoding="utf-8")
            elif language == "sh":
                for line, used_line in zip(text.splitlines(), used.splitlines(), strict=True):
                    self.said[line] = command(used_line)
                    self.paid[line] = server.seen.total()
            elif what == "run":
                self.said[text] = python_block(used, "docs/live.md")
            else:
                pytest.fail(f"docs/live.md: a block that no test runs: {text[:80]}")


@pytest.fixture(scope="module")
def page(repository: Path) -> str:
    return (repository / "docs" / "live.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def followed(page: str, tmp_path_factory: pytest.TempPathFactory) -> Session:
    folder = tmp_path_factory.mktemp("live")
    rows = [
        row(first + i, uid=f"sums/{split}/{i}", split=split, domain="math")
        for split, first, number in (("train", 0, TRAIN), ("test", 1000, 30))
        for i in range(number)
    ]
    write_rows(folder / "sums.jsonl", rows)
    with pytest.MonkeyPatch.context() as patch, Adds() as server:
        patch.chdir(folder)
        return Session(folder, page, server)


def said(session: Session, *parts: str) -> str:
    (found,) = [t for line, t in session.said.items() if all(part in line for part in parts)]
    return found


def utility_of(text: str) -> str:
    found = re.search(r"utility ([+-][\d.]+)", text)
    assert found is not None, text
    return found[1]


def test_the_recorded_backend_replays_the_live_run_exactly(followed: Session) -> None:
    live = utility_of(said(followed, "run --agent", "--backend live"))
    assert utility_of(said(followed, "run --agent", "--backend recorded")) == live
    assert float(live) > 0.3
    assert "(simulated), at most 1 USD" in said(followed, "run --agent", "--backend live")


def test_only_what_is_said_to_cost_money_asks_the_workers(followed: Session) -> None:
    after = [0, *followed.paid.values()]
    paid = {line: b - a for line, a, b in zip(followed.paid, after[:-1], after[1:], strict=True)}
    record, fit, live, simulated, recorded = paid
    assert "--backend live" in live
    assert paid[record] == 2 * TRAIN
    assert 20 <= paid[live] <= 40
    assert paid[fit] == paid[simulated] == paid[recorded] == 0


def test_the_code_prints_a_graded_episode_and_the_calls_of_the_journal(followed: Session) -> None:
    quality, usd, seconds = map(float, said(followed, "gym.make(").split())
    assert quality in (0.0, 1.0)
    assert 0.0 < usd < 0.01
    assert seconds > 0.0
    assert len(said(followed, "journal_table").splitlines()) > 400


def test_every_file_of_the_page_is_a_pool(followed: Session) -> None:
    elsewhere = load_pool(str(followed.folder / "elsewhere.toml"))
    provider, here = elsewhere.workers
    assert "LiteLLM" in provider.note
    assert provider.usd_per_m_output > 0.0
    assert here.live is not None
    assert here.live.client == "transformers"


def test_the_page_names_every_field_of_an_endpoint_and_every_status(page: str) -> None:
    for name in (*Endpoint.model_fields, *(status.name.lower() for status in Status)):
        assert f"`{name}`" in page or name == "ok", name
