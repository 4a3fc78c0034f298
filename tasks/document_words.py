"""Words of which the documents of the long-context family are made."""

from pathlib import Path

from conductor_gym.data_files import StrictModel, load_toml

WORDS_FILE = Path(__file__).with_name("document_words.toml")

Names = tuple[str, ...]


class Words(StrictModel):
    """Lists of words. No item of a list stands inside another of the same list."""

    first_names: Names
    last_names: Names
    towns: Names
    unit_stems: Names
    unit_middles: Names
    unit_kinds: Names
    firm_stems: Names
    firm_kinds: Names
    goods: Names
    purposes: Names
    devices: Names
    posts: Names
    boards: Names
    remarks: Names


WORDS = load_toml(WORDS_FILE, Words)
