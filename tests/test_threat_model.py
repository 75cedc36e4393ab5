"""Each line of the threat model is held by a test that exists."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
TEXT = (ROOT / "docs" / "threat-model.md").read_text(encoding="utf-8")
LINES = [line for line in TEXT.splitlines() if line.startswith("| ") and not line.startswith("| threat |")]


@pytest.mark.parametrize("line", LINES)
def test_every_line_names_a_test_that_exists(line):
    named = re.findall(r"`(test_\w+\.py)(?:::(test_\w+))?`", line.split("|")[3])
    assert named
    for file, test in named:
        tree = ast.parse((ROOT / "tests" / file).read_text(encoding="utf-8"))
        functions = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
        assert not test or test in functions, f"{file} has no {test}"


def test_the_model_is_one_page():
    assert len(LINES) > 20
    assert len(TEXT.splitlines()) <= 70
