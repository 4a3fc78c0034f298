"""A recorded pool from a recording: its workers, with prices that it tells or implies."""

from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy.optimize import nnls

from conductor_gym.errors import DataFileError
from conductor_gym.recordings.card import RecordedWorker
from conductor_gym.recordings.recording import Recording, load_recording
from conductor_gym.recordings.workers_file import read_workers
from conductor_gym.types import NANO_USD
from conductor_gym.workers.pool import Assumed, Known, Pool, Source, WorkerCard

MAX_POOL = 64
"""Worker slots that an environment can have."""
UNKNOWN_WINDOW = 131_072
"""Tokens of a window that nobody states (assumed)."""
ASSUMED_USD_PER_M = 1.0
"""USD per million tokens, in and out, where prices are wanted but not known (assumed)."""
STAND_IN_USD_PER_M = 10.0
"""USD per million output tokens where bills are recorded but no tokens (assumed)."""
FEWEST_BILLS = 2
UNKNOWN_CAP = 4096
"""Output tokens held against the budget where none are recorded (assumed)."""
MAX_CAP = 1e6
MAX_USD_PER_M = 1e5

Array = npt.NDArray[np.float64]


def recording_pool(
    name: str,
    workers: tuple[str, ...] | None = None,
    prices: Path | None = None,
    assume_prices: bool = False,
) -> Pool:
    """Make a recorded pool.

    A call costs what was recorded; where no bill was recorded, tokens times prices. Prices stand
    in `prices`, in the recording's table of workers or in its card, in this order; else they are
    implied by the recorded bills.

    Args:
        name: A recording, see `load_recording_card`.
        workers: The workers to keep; None: all.
        prices: A table of workers with prices, CSV or Parquet.
        assume_prices: Assume a price where none is known, instead of refusing.

    Raises:
        UnknownNameError: No such recording.
        DataFileError: A broken file, unknown or too many workers, or a worker without a price.
    """
    recording = load_recording(name)
    names = workers or recording.outcomes.workers
    where = recording.card.outcomes.files[0]
    if len(names) > MAX_POOL:
        raise DataFileError(
            f"{where}: {len(names)} workers, a pool holds at most {MAX_POOL}. Write a pool file "
            "that names some of them, or leave columns out."
        )
    doubles = sorted({worker for worker in names if names.count(worker) > 1})
    if doubles:
        raise DataFileError(f"{where}: workers are named twice: {', '.join(doubles)}.")
    columns = [recording.column(worker) for worker in names]
    told = dict(zip(recording.outcomes.workers, recording.workers, strict=True))
    if prices is not None:
        for given in read_workers(prices):
            known = told.get(given.name, given).model_dump(exclude_none=True)
            merged = known | given.model_dump(exclude_none=True)
            told[given.name] = RecordedWorker.model_validate(merged)
    cards = [
        _worker(recording, told[worker], column, assume_prices)
        for worker, column in zip(names, columns, strict=True)
    ]
    overhead = _overhead(recording, columns)
    return Pool(
        name=recording.card.name,
        title=f"{recording.card.title} (recorded)",
        backend="recorded",
        prices_as_of="unknown",
        output_cap=_cap(recording, columns, cards, overhead),
        overhead_tokens=overhead,
        workers=tuple(cards),
        recording=name,
    )


def _worker(
    recording: Recording, told: RecordedWorker, column: int, assume_prices: bool
) -> WorkerCard:
    source: Source = "recorded"
    price_in, price_out = told.usd_per_m_input, told.usd_per_m_output
    note = "prices as the recording states them"
    if price_in is None or price_out is None:
        implied = _implied_prices(recording, column)
        if implied is not None:
            price_in, price_out, note = implied
            source = "fitted"
        elif assume_prices:
            price_in = price_out = ASSUMED_USD_PER_M
            source = "assumed"
            note = f"no price is known: {ASSUMED_USD_PER_M:g} USD per million tokens both ways"
        else:
            raise DataFileError(
                f"{recording.card.outcomes.files[0]}: worker {told.name!r} has no price and no "
                "recorded bills. Give usd_per_m_input and usd_per_m_output in a table `workers` "
                "beside the outcomes, or under [[workers]] of a card (docs/recordings.md)."
            )
    found = recording.outcomes
    if found.tokens_out is None and found.usd is None:
        note += "; no output tokens are recorded, so only input is billed"
    if told.window is None:
        note += f"; no window is known, {UNKNOWN_WINDOW:,} tokens are assumed"
    return WorkerCard(
        uid=f"{recording.card.name}/{told.name}",
        name=told.name,
        usd_per_m_input=price_in,
        usd_per_m_output=price_out,
        window=told.window or UNKNOWN_WINDOW,
        source=source,
        note=note,
    )


def _column(values: Array | None, column: int, like: Array) -> Array:
    """A worker's recorded measure, flat; NaN where it is not recorded."""
    return np.full(like.size, np.nan) if values is None else values[:, column].ravel()


def _implied_prices(recording: Recording, column: int) -> tuple[float, float, str] | None:
    """Prices that explain a worker's recorded bills, None where there are too few.

    Returns:
        USD per million input and output tokens, and how they were found.
    """
    found = recording.outcomes
    score = found.score[:, column]
    if found.usd is None:
        return None
    usd = _column(found.usd, column, score)
    billed = np.isfinite(usd) & np.isfinite(score.ravel())
    if int(billed.sum()) < FEWEST_BILLS:
        return None
    tokens_in = _column(found.tokens_in, column, score)
    prompts = np.repeat(recording.prompt_tokens(), score.shape[1]).astype(np.float64)
    tokens_in = np.where(np.isfinite(tokens_in), tokens_in, prompts)
    tokens_out = _column(found.tokens_out, column, score)
    rows = billed & np.isfinite(tokens_out)
    if int(rows.sum()) < FEWEST_BILLS:
        return (
            0.0,
            STAND_IN_USD_PER_M,
            f"bills are recorded, tokens are not: {STAND_IN_USD_PER_M:g} USD per million output "
            "tokens stand in",
        )
    tokens = np.stack([tokens_in[rows], tokens_out[rows]], axis=1)
    per_token, _ = nnls(tokens, usd[rows])
    price_in, price_out = (round(float(usd) * 1e6, 6) for usd in per_token)
    if price_out == 0.0 and tokens_out[rows].any():
        # Output must have a price, or no cap on it could hold against a budget.
        price_in, price_out = 0.0, round(float(usd[rows].sum() / tokens_out[rows].sum()) * 1e6, 6)
    if max(price_in, price_out) > MAX_USD_PER_M:
        raise DataFileError(
            f"{recording.card.outcomes.files[0]}: the bills of {found.workers[column]!r} imply "
            f"{max(price_in, price_out):,.0f} USD per million tokens. Are they in USD?"
        )
    return price_in, price_out, f"prices that fit {int(rows.sum()):,} recorded bills best"


def _overhead(recording: Recording, columns: list[int]) -> Known | Assumed:
    """Input tokens beyond the prompt, where every call has recorded ones."""
    found = recording.outcomes
    if found.tokens_in is not None:
        tokens = found.tokens_in[:, columns]
        made = np.isfinite(found.score[:, columns])
        if np.isfinite(tokens[made]).all():
            beyond = tokens - recording.prompt_tokens()[:, None, None]
            most = max(0.0, float(np.ceil(beyond[made].max())))
            return Known(value=most, source="recorded", note="most input beyond the prompt")
    note = "input tokens are counted from the prompt"
    return Assumed(low=0, mid=0, high=0, source="assumed", note=note)


def _cap(
    recording: Recording, columns: list[int], cards: list[WorkerCard], overhead: Known | Assumed
) -> Known | Assumed:
    """The longest recorded output, or as much as makes no bill exceed the worst price."""
    found = recording.outcomes
    if found.tokens_out is None and found.usd is None:
        note = "no output tokens and no bills are recorded"
        cap = UNKNOWN_CAP
        return Assumed(low=cap, mid=cap, high=cap, source="assumed", note=note)
    extra = overhead.value if isinstance(overhead, Known) else 0.0
    expected = np.repeat(recording.prompt_tokens() + extra, found.score.shape[2])
    longest, needed = 0.0, 0.0
    for card, column in zip(cards, columns, strict=True):
        score = found.score[:, column]
        made = np.isfinite(score.ravel())
        tokens_in = _column(found.tokens_in, column, score)
        tokens_in = np.where(np.isfinite(tokens_in), tokens_in, expected)
        tokens_out = np.nan_to_num(_column(found.tokens_out, column, score))
        longest = max(longest, float(tokens_out[made].max()))
        price_in, price_out = round(card.usd_per_m_input, 6), round(card.usd_per_m_output, 6)
        if price_out == 0.0:
            continue
        usd = _column(found.usd, column, score)
        priced = tokens_in * price_in + tokens_out * price_out
        # One nano-USD more, for the rounding of bills.
        bill = np.where(np.isfinite(usd), usd * 1e6 + 1e6 / NANO_USD, priced)
        needed = max(needed, float((bill - expected * price_in)[made].max()) / price_out)
    note = "the longest recorded output"
    if np.ceil(needed) > np.ceil(longest):
        note = "as much as the dearest recorded bill needs; the longest recorded output is "
        note += f"{longest:.0f}"
    value = min(MAX_CAP, max(1.0, float(np.ceil(max(longest, needed - 1e-6)))))
    return Known(value=value, source="recorded", note=note)
