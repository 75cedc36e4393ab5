"""The README and docs tell the truth: their commands exist, every command is in the README, its tree is the real one."""

import re
import shlex
from pathlib import Path

import pytest
import typer
from typer.main import get_command

from fieldguide import locations
from fieldguide.interfaces.cli import app

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGES = [README, *(path.read_text(encoding="utf-8") for path in (*sorted(ROOT.glob("docs/*.md")), ROOT / "CONTRIBUTING.md"))]
# What stands behind two blanks or more says what the command does.
COMMANDS = sorted(
    {
        re.split(r" {2,}", line.removeprefix("$ "))[0]
        for page in PAGES
        for line in page.splitlines()
        if re.match(r"(\$ )?(fieldguide|make) ", line)
    }
)
SCRIPTS = sorted({script for page in PAGES for script in re.findall(r"python ((?:benchmarks|evaluation|tests)/[^`\n]*)", page)})


def command_paths() -> list[str]:
    group = get_command(app)
    assert isinstance(group, typer.core.TyperGroup)
    paths = []
    for name, command in group.commands.items():
        children = getattr(command, "commands", None)
        paths += [f"{name} {child}" for child in children] if children else [name]
    return paths


@pytest.mark.parametrize("path", command_paths())
def test_every_command_is_in_the_readme(path):
    assert f"fieldguide {path}" in README


@pytest.mark.parametrize("path", command_paths())
def test_every_command_explains_itself(path, capsys):
    with pytest.raises(SystemExit) as end:
        app([*path.split(), "--help"])
    assert end.value.code == 0
    assert len(capsys.readouterr().out.splitlines()) > 5


@pytest.mark.parametrize("line", COMMANDS)
def test_every_command_in_readme_and_docs_exists(line):
    words = shlex.split(line, comments=True)
    if words[0] == "make":
        targets = set(re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
        assert words[1] in targets
        return
    command = get_command(app)
    context = typer.Context(command)
    for word in words[1:]:
        children = getattr(command, "commands", {})
        if word in children:
            command = children[word]
        elif word.startswith("--"):
            known = [option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)]
            assert word in known, f"{line}: {word}"
    assert context
    assert command.name


@pytest.mark.parametrize("line", SCRIPTS)
def test_every_script_in_readme_and_docs_exists_and_takes_these_options(line):
    words = shlex.split(line, comments=True)
    source = (ROOT / words[0]).read_text(encoding="utf-8")
    for word in words[1:]:
        assert not word.startswith("--") or f'"{word}"' in source, word


def test_the_tree_in_the_readme_is_the_real_one():
    tree = README.split("<!-- tree -->")[1].split("```")[1]
    for name in re.findall(r"([\w\-]+\.(?:py|toml|md))", tree):
        assert any(list((ROOT / folder).rglob(name)) for folder in ("src", "corpus", "models", "docs", "tests")), name
    for path in (ROOT / "src" / "fieldguide").rglob("*.py"):
        if path.name not in {"__init__.py", "__main__.py"}:
            assert path.name in tree, path


def test_every_guide_is_named_in_the_readme():
    for path in locations.guides_folder().glob("*.md"):
        assert path.name in README
