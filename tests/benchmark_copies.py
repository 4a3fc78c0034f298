"""Made-up rows with the columns of the published benchmarks: every question here is our own."""

import json
from importlib import import_module
from pathlib import Path
from typing import Any

Rows = list[dict[str, Any]]


def _tests(*tests: tuple[str, str, str]) -> str:
    return json.dumps([dict(zip(("input", "output", "testtype"), t, strict=True)) for t in tests])


def _livecodebench(uid: str, difficulty: str, tests: str, **more: str) -> dict[str, Any]:
    return {
        "question_title": f"Task {uid}",
        "question_content": "Add what you are given.",
        "platform": "made-up",
        "question_id": uid,
        "contest_id": "none",
        "contest_date": "2020-01-01T00:00:00",
        "starter_code": "",
        "difficulty": difficulty,
        "public_test_cases": tests,
        "private_test_cases": "gASVCAAAAAAAAACMBGJvb22ULg==",  # a pickle: must stay closed
        "metadata": "{}",
        **more,
    }


def _bigcodebench(number: int) -> dict[str, Any]:
    return {
        "task_id": f"MadeUp/{number}",
        "complete_prompt": "unread",
        "instruct_prompt": f"Write task_func, which adds {number} to its argument.",
        "canonical_solution": f"    return n + {number}\n",
        "code_prompt": "def task_func(n):\n",
        "test": "import unittest\nclass TestCases(unittest.TestCase):\n    pass\n",
        "entry_point": "task_func",
        "doc_struct": "{}",
        "libs": "['math']",
    }


def _math500(uid: str, answer: str, level: int, problem: str = "") -> dict[str, Any]:
    return {
        "problem": problem or f"Made-up problem {uid}",
        "solution": "unread",
        "answer": answer,
        "subject": "Algebra",
        "level": level,
        "unique_id": uid,
    }


def _rlpr(question: str, answer: str) -> dict[str, Any]:
    return {
        "data_source": "made-up",
        "prompt": [
            {"role": "system", "content": "Think."},
            {"role": "user", "content": question},
        ],
        "ability": "physics",
        "reward_model": {"ground_truth": answer, "style": "rule"},
        "extra_info": {"index": 3},
    }


ROWS: dict[str, Rows] = {
    "MATH500": [
        _math500("test/algebra/90001.json", "\\frac{3}{4}", 2, "Half of $\\frac{3}{2}$?"),
        _math500("test/geometry/90002.json", "\\text{north}", 5),
        _math500("test/algebra/90003.json", "2\\sqrt{5}", 1),
    ],
    "MMLU": [
        {
            "question": "Which of these is made of wood?",
            "subject": "carpentry",
            "choices": ["A kettle", "A plank", "A coin", "A pane"],
            "answer": 1,
        },
        {
            "question": "Which of these floats?",
            "subject": "carpentry",
            "choices": ["Cork", "Lead", "Gold", "Iron"],
            "answer": 0,
        },
    ],
    "RLPR": [
        _rlpr("A cart rolls 6 m in 4 s. How fast, in m/s?", "1.5"),
        _rlpr("What holds planets in orbit?", "Gravity"),
        _rlpr("What holds planets in orbit?", "Gravity"),
    ],
    "LiveCodeBench": [
        _livecodebench("9001_A", "easy", _tests(("1 2\n", "3\n", "stdin"), ("0 0", "0", "stdin"))),
        _livecodebench(
            "9002",
            "hard",
            _tests(('[1, 2]\n"x"', "[3, null]", "functional")),
            starter_code="class Solution:\n    def addAll(self, a: list, b: str):\n        ",
            metadata='{"func_name": "addAll"}',
        ),
    ],
    "AIME25": [
        {"question": "How many minutes are in 5 hours?", "answer": "300"},
        {"question": "Which angle do the hands of a clock show at 3 pm?", "answer": "090^\\circ"},
    ],
    "BigCodeBench": [_bigcodebench(4), _bigcodebench(5)],
    "BigCodeBench-Hard": [_bigcodebench(6)],
    "GPQA-D": [
        {
            "Record ID": f"rec{i}",
            "Question": f"Which particle is number {i} of ours?",
            "Correct Answer": f"the right one {i}\n",
            "Incorrect Answer 1": f"one {i}",
            "Incorrect Answer 2": f"two {i}",
            "Incorrect Answer 3": f"three {i}",
            "Explanation": "unread",
        }
        for i in range(40)
    ],
}


def jsonl(folder: Path, rows: Rows, name: str = "copy.jsonl") -> Path:
    """Rows as a JSONL file."""
    path = folder / name
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def parquet(folder: Path, rows: Rows) -> Path:
    """Rows as a Parquet file."""
    arrow: Any = import_module("pyarrow")
    path = folder / "copy.parquet"
    import_module("pyarrow.parquet").write_table(arrow.Table.from_pylist(rows), path)
    return path
