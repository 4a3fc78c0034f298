"""Fetching: from a real server, checked against the sum, and nothing half is ever kept."""

import csv
import gzip
import hashlib
import http.server
import io
import json
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from conductor_gym.cli import app
from conductor_gym.errors import DataFileError, MissingExtraError, UnknownNameError
from conductor_gym.recordings.card import RecordingCard, list_recordings
from conductor_gym.recordings.detect import load_recording_card
from conductor_gym.recordings.fetch import fetch_recording
from conductor_gym.recordings.recording import load_recording

TABLE = 'id,text,a,b\nq1,"two,\nlines",1,0\nq2,é,0,1\n'


class Server(http.server.ThreadingHTTPServer):
    """Serves made-up files; `cut` ones break off in the middle."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.files: dict[str, bytes] = {}
        self.cut: set[str] = set()
        self.asked: list[str] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Handler(http.server.BaseHTTPRequestHandler):
    server: Server  # pyright: ignore[reportIncompatibleVariableOverride]

    def do_GET(self) -> None:
        self.server.asked.append(self.path)
        body = self.server.files.get(self.path)
        if body is None:
            self.send_error(404)
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        is_cut = self.path in self.server.cut
        self.wfile.write(body[: len(body) // 2] if is_cut else body)

    def log_message(self, *args: Any) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Stay silent."""


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with Server() as made:
        thread = threading.Thread(target=made.serve_forever)
        thread.start()
        yield made
        made.shutdown()
        thread.join()


def sha256(text: str | bytes) -> str:
    return hashlib.sha256(text.encode() if isinstance(text, str) else text).hexdigest()


def card_at(folder: Path, download: str, save_as: str = "table.csv.gz") -> str:
    path = folder / "made-up.toml"
    path.write_text(
        'name = "made-up"\ntitle = "Made up"\nlicence = "CC0-1.0"\norigin = "a test"\n'
        f'[queries]\ntext = ["text"]\n[outcomes]\nlayout = "wide"\nfiles = ["{save_as}"]\n'
        f'[[downloads]]\nsave_as = "{save_as}"\nmegabytes = 0.1\n{download}',
        encoding="utf-8",
    )
    return str(path)


def left_over(folder: Path) -> list[str]:
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.suffix != ".toml")


@pytest.mark.parametrize("save_as", ["table.csv", "table.csv.gz", "deeper/table.csv.gz"])
def test_a_table_is_fetched_checked_and_read(server: Server, tmp_path: Path, save_as: str):
    server.files["/t.csv"] = TABLE.encode()
    text = f'url = "{server.url}/t.csv"\nsha256 = "{sha256(TABLE)}"\n'
    card = card_at(tmp_path, text, save_as)
    with pytest.raises(DataFileError, match=r"`conductor-gym fetch .* gets it.*CC0-1.0, a test"):
        load_recording(card)
    (table,) = fetch_recording(card)
    assert (table.sha256, table.pinned, table.was_here) == (sha256(TABLE), True, False)
    assert load_recording(card).outcomes.score[:, :, 0].tolist() == [[1.0, 0.0], [0.0, 1.0]]
    assert [name for name in left_over(tmp_path) if name != "deeper"] == [save_as]
    (again,) = fetch_recording(card)
    assert again.was_here
    assert server.asked == ["/t.csv"]


def test_a_file_with_another_sum_is_not_kept(server: Server, tmp_path: Path):
    server.files["/t.csv"] = TABLE.encode()
    card = card_at(tmp_path, f'url = "{server.url}/t.csv"\nsha256 = "{sha256("else")}"\n')
    with pytest.raises(DataFileError) as caught:
        fetch_recording(card)
    for part in (server.url, sha256(TABLE), sha256("else"), "Nothing was kept", "Try again"):
        assert part in str(caught.value)
    assert left_over(tmp_path) == []


def test_a_file_that_is_here_but_wrong_is_told_and_left_alone(server: Server, tmp_path: Path):
    card = card_at(tmp_path, f'url = "{server.url}/t.csv"\nsha256 = "{sha256(TABLE)}"\n')
    path = tmp_path / "table.csv.gz"
    path.write_bytes(gzip.compress(b"mine"))
    with pytest.raises(DataFileError, match="left as it is; move it away"):
        fetch_recording(card)
    assert gzip.decompress(path.read_bytes()) == b"mine"
    assert server.asked == []


def test_a_first_download_without_a_sum_is_trusted_and_checked_from_then_on(
    server: Server, tmp_path: Path
):
    server.files["/t.csv"] = TABLE.encode()
    card = card_at(tmp_path, f'url = "{server.url}/t.csv"\n')
    (table,) = fetch_recording(card)
    assert not table.pinned
    assert left_over(tmp_path) == ["table.csv.gz", "table.csv.gz.sha256"]
    table.path.unlink()
    server.files["/t.csv"] = TABLE.replace("q2", "q3").encode()
    with pytest.raises(DataFileError, match=f"{sha256(TABLE)} was expected"):
        fetch_recording(card)
    assert left_over(tmp_path) == ["table.csv.gz.sha256"]


def test_an_address_that_does_not_answer_is_told(server: Server, tmp_path: Path):
    with pytest.raises(DataFileError, match=r"answered 404\. Has the set moved.*origin is a test"):
        fetch_recording(card_at(tmp_path, f'url = "{server.url}/gone.csv"\n'))
    with pytest.raises(DataFileError, match="not reachable or cut off"):
        fetch_recording(card_at(tmp_path, 'url = "http://127.0.0.1:9/t.csv"\n'))
    assert not [name for name in left_over(tmp_path) if name.endswith((".csv", ".gz"))]


PARTS = {"law": "text,a,b\nx,1,0\n", "art": "text,a,b\ny,0,1\nz,1,1\n"}
JOINED = "domain,text,a,b\nlaw,x,1,0\nart,y,0,1\nart,z,1,1\n"


def parts_card(server: Server, folder: Path, extra: str = "") -> str:
    server.files |= {f"/m_{name}.csv": text.encode() for name, text in PARTS.items()}
    return card_at(
        folder,
        f'url = "{server.url}/m_{{part}}.csv"\nparts = ["law", "art"]\npart_column = "domain"\n'
        f"{extra}",
    )


def test_after_a_cut_connection_only_what_is_missing_is_fetched(server: Server, tmp_path: Path):
    card = parts_card(server, tmp_path, f'sha256 = "{sha256(JOINED)}"\n')
    server.cut.add("/m_art.csv")
    with pytest.raises(DataFileError, match=r"m_art.csv: not reachable or cut off.*Try again"):
        fetch_recording(card)
    assert not (tmp_path / "table.csv.gz").exists()
    server.cut.clear()
    (table,) = fetch_recording(card)
    assert gzip.decompress(table.path.read_bytes()).decode() == JOINED
    assert server.asked == ["/m_law.csv", "/m_art.csv", "/m_art.csv"]
    assert left_over(tmp_path) == ["table.csv.gz"]


def test_parts_that_do_not_fit_together_are_refused(server: Server, tmp_path: Path):
    card = parts_card(server, tmp_path)
    server.files["/m_art.csv"] = b"text,a,c\ny,0,1\n"
    with pytest.raises(DataFileError, match=r"m_art.csv: its columns are text, a, c.*changed"):
        fetch_recording(card)
    server.files["/m_art.csv"] = b""
    with pytest.raises(DataFileError):
        fetch_recording(card)
    assert not (tmp_path / "table.csv.gz").exists()


@pytest.mark.parametrize(
    ("download", "part"),
    [
        ('url = "https://x/y.pkl"\n', "a pickle runs code"),
        ('url = "ftp://x/y.csv"\n', "downloads.0.url"),
        ('url = "https://x/{part}.csv"\n', "{part} where there are parts"),
        ('url = "https://x/y.csv"\nsha256 = "abc"\n', "downloads.0.sha256"),
    ],
)
def test_a_download_that_cannot_be_meant_is_refused(tmp_path: Path, download: str, part: str):
    with pytest.raises(DataFileError) as caught:
        fetch_recording(card_at(tmp_path, download))
    assert part in str(caught.value)
    with pytest.raises(DataFileError, match="stay in its folder"):
        fetch_recording(card_at(tmp_path, 'url = "https://x/y.csv"\n', "../table.csv"))


def test_what_cannot_be_fetched_says_where_it_comes_from():
    with pytest.raises(UnknownNameError, match="Did you mean 'routellm_mmlu'"):
        fetch_recording("routelm_mmlu")
    with pytest.raises(DataFileError, match=r"TIGER-AI-Lab/MMLU-Pro.*by hand: .*correct.csv.gz"):
        fetch_recording("mmlu_pro_29")


def test_without_pooch_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "pooch", None)
    with pytest.raises(MissingExtraError, match=r"conductor-gym\[fetch\]"):
        fetch_recording(card_at(tmp_path, 'url = "https://x/y.csv"\n'))


def test_the_command_shows_licence_origin_and_sum(server: Server, tmp_path: Path):
    card = parts_card(server, tmp_path)
    result = CliRunner().invoke(app, ["fetch", card, "--json"])
    assert result.exit_code == 0, result.output
    (row,) = json.loads(result.stdout)
    assert (row["sha256"], row["pinned"]) == (sha256(JOINED), False)
    for part in ("CC0-1.0", "a test", sha256(JOINED), "trusted on first use"):
        assert part in result.stderr


def test_the_commands_list_what_there_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("CONDUCTOR_GYM_RECORDED", str(tmp_path))
    for command in (["fetch"], ["fetch", "--list"]):
        rows = json.loads(CliRunner().invoke(app, [*command, "--json"]).stdout)
        assert {row["recording"] for row in rows} == {"routellm_gsm8k", "routellm_mmlu"}
        assert all(row["licence"] == "Apache-2.0" and row["megabytes"] > 1 for row in rows)
    rows = json.loads(CliRunner().invoke(app, ["list", "recordings", "--json"]).stdout)
    assert [row["recording"] for row in rows] == list_recordings()
    assert not any(row["data_is_here"] or row["queries"] for row in rows)
    assert "routellm_mmlu" in CliRunner().invoke(app, ["list", "recordings"]).stdout


# --- the shipped cards ---------------------------------------------------------------------------


def shipped() -> list[RecordingCard]:
    return [card for name in list_recordings() if (card := load_recording_card(name)).downloads]


def test_shipped_addresses_are_pinned_to_a_commit_and_a_sum():
    for card in shipped():
        assert card.licence != "unknown"
        for download in card.downloads:
            assert download.sha256 is not None
            assert download.save_as in card.files
            assert "/0b64fdafe049e596a3f5657c219329f24af24198/" in download.url


@pytest.mark.recorded
@pytest.mark.parametrize("name", [card.name for card in shipped()])
def test_the_tables_that_are_here_have_the_shipped_sums(recorded_folder: Path, name: str):
    assert recorded_folder
    assert all(table.was_here and table.pinned for table in fetch_recording(name))


@pytest.mark.recorded
def test_the_parts_of_a_shipped_recording_join_to_its_sum(
    recorded_folder: Path, server: Server, tmp_path: Path
):
    """The 57 files as the source holds them, rebuilt from the table."""
    (download,) = load_recording_card("routellm_mmlu").downloads
    packed = (recorded_folder / download.save_as).read_bytes()
    header, *rows = csv.reader(io.StringIO(gzip.decompress(packed).decode(), newline=""))
    for part in download.parts:
        text = io.StringIO(newline="")
        chosen = [row[1:] for row in rows if row[0] == part]
        csv.writer(text, lineterminator="\n").writerows([header[1:], *chosen])
        server.files[f"/mmlu_{part}.csv"] = text.getvalue().encode()
    names = ", ".join(f'"{part}"' for part in download.parts)
    card = card_at(
        tmp_path,
        f'url = "{server.url}/mmlu_{{part}}.csv"\nparts = [{names}]\n'
        f'part_column = "subject"\nsha256 = "{download.sha256}"\n',
    )
    (table,) = fetch_recording(card)
    assert table.pinned
    assert len(server.asked) == 57
