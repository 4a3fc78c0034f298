"""Fetching public sets on the user's machine: downloaded, checked, kept as the card reads them."""

import csv
import gzip
import hashlib
import io
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from conductor_gym.data_files import make_folder, recorded_folder, write_beside_and_rename
from conductor_gym.errors import DataFileError, MissingExtraError
from conductor_gym.recordings.card import Download, RecordingCard
from conductor_gym.recordings.detect import load_recording_card
from conductor_gym.recordings.table_file import open_table, table_path

TIMEOUT_SECONDS = 30


class Bar(Protocol):
    """A progress bar as pooch drives it, in bytes."""

    total: int

    def update(self, amount: int) -> Any:
        """So many more bytes are here."""

    def reset(self) -> Any:
        """The file is whole; the bar is set to its end."""

    def close(self) -> Any:
        """Done with the file."""


@dataclass(frozen=True)
class Fetched:
    """A table that lies where its card reads it.

    Attributes:
        path: The table.
        sha256: Of its text, before compression.
        pinned: Whether the card names that sum; if not, the first download was trusted.
        was_here: Whether nothing had to be downloaded.
    """

    path: Path
    sha256: str
    pinned: bool
    was_here: bool


def fetch_recording(
    name: str, new_bar: Callable[[Download], Bar] | None = None
) -> tuple[Fetched, ...]:
    """Fetch the tables of a recording; those that are here and right are left alone.

    Args:
        name: A shipped recording or a card (``.toml``) with ``[[downloads]]``.
        new_bar: Makes a progress bar for a download.

    Raises:
        UnknownNameError: No such recording.
        DataFileError: Nothing to fetch, not reachable, or not the file that it should be.
        MissingExtraError: pooch is not installed.
    """
    card = load_recording_card(name)
    if not card.downloads:
        files = ", ".join(str(table_path(file)) for file in card.files)
        raise DataFileError(
            f"recording {card.name!r} cannot be fetched: its tables are derived from the source, "
            f"{card.origin or 'which the card does not name'}. Put them there by hand: {files}."
        )
    return tuple(
        _fetch(card, download, new_bar(download) if new_bar else None)
        for download in card.downloads
    )


def is_here(card: RecordingCard) -> bool:
    """Whether every file of a recording is on this machine."""
    return all(table_path(file).is_file() for file in card.files)


def _fetch(card: RecordingCard, download: Download, bar: Bar | None) -> Fetched:
    target = table_path(download.save_as)
    kept_sum = target.with_name(f"{target.name}.sha256")
    expected = download.sha256 or _read_sum(kept_sum)
    pinned = download.sha256 is not None
    if target.is_file():
        found = _sum(_text(target))
        if expected not in (None, found):
            raise DataFileError(
                f"{target}: sha256 is {found}, {expected} was expected. It was left as it is; "
                "move it away and fetch again."
            )
        if not pinned:
            _keep_sum(kept_sum, found)
        return Fetched(target, found, pinned, was_here=True)
    make_folder(target.parent)
    parts = target.with_name(f".{target.name}.parts")
    paths = [_download(card, url, parts, f"{k:03}.csv", bar) for k, url in enumerate(download.urls)]
    text = _joined(download, paths) if download.parts else paths[0].read_bytes()
    found = _sum(text)
    if expected not in (None, found):
        shutil.rmtree(parts)
        raise DataFileError(
            f"{download.urls[0]}: sha256 of {target.name} is {found}, {expected} was expected. "
            "Nothing was kept. Try again; if it stays so, the source has changed "
            f"({card.origin})."
        )
    packed = gzip.compress(text, mtime=0) if target.suffix == ".gz" else text
    write_beside_and_rename(target, packed)
    if not pinned:
        _keep_sum(kept_sum, found)
    shutil.rmtree(parts)
    return Fetched(target, found, pinned, was_here=False)


def _download(card: RecordingCard, url: str, folder: Path, name: str, bar: Bar | None) -> Path:
    """One file; one that an earlier try had finished is not downloaded again."""
    try:
        import pooch  # pyright: ignore[reportMissingTypeStubs]
        import requests
    except ImportError:
        raise MissingExtraError("fetching", "fetch") from None
    module: Any = pooch
    module.get_logger().setLevel("WARNING")  # it would print advice on sums
    try:
        # The sum is checked when all parts are there.
        path = module.retrieve(
            url,
            known_hash=None,
            fname=name,
            path=folder,
            downloader=module.HTTPDownloader(progressbar=bar or False, timeout=TIMEOUT_SECONDS),
        )
    except requests.HTTPError as error:
        answer = error.response
        raise DataFileError(
            f"{url}: the server answered {'?' if answer is None else answer.status_code}. Has the "
            f"set moved? Its origin is {card.origin}."
        ) from None
    except requests.RequestException as error:
        raise DataFileError(
            f"{url}: not reachable or cut off ({type(error).__name__}). Try again: files that "
            f"were finished are kept and not fetched twice. Folder: {recorded_folder()}."
        ) from None
    except OSError as error:
        raise DataFileError(f"{folder}: cannot be written ({error.strerror}).") from None
    return Path(path)


def _joined(download: Download, paths: list[Path]) -> bytes:
    """The parts below each other, each row with the name of its part first."""
    out = io.StringIO(newline="")
    writer = csv.writer(out, lineterminator="\n")
    header: tuple[str, ...] | None = None
    for part, url, path in zip(download.parts, download.urls, paths, strict=True):
        table = open_table(path)
        if header is None:
            header = table.columns
            writer.writerow((download.part_column, *header))
        elif table.columns != header:
            raise DataFileError(
                f"{url}: its columns are {', '.join(table.columns)}, those of the first part "
                f"{', '.join(header)}. The source has changed."
            )
        writer.writerows((part, *row.cells) for row in table.rows)
    return out.getvalue().encode()


def _text(path: Path) -> bytes:
    try:
        raw = path.read_bytes()
        return gzip.decompress(raw) if path.suffix == ".gz" else raw
    except (OSError, EOFError) as error:
        raise DataFileError(f"{path}: not readable ({error}). Move it away.") from None


def _sum(text: bytes) -> str:
    return hashlib.sha256(text).hexdigest()


def _read_sum(path: Path) -> str | None:
    return path.read_text(encoding="utf-8").split()[0] if path.is_file() else None


def _keep_sum(path: Path, value: str) -> None:
    if _read_sum(path) != value:
        write_beside_and_rename(path, f"{value}\n".encode())
