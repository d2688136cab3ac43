"""What the documentation says is so."""

import importlib
import re
import shutil

import pytest
from folders import ROOT

from restore.cli.main import COMMANDS, command_parser
from restore.cli.options import with_underscores
from restore.cli.reference import reference


def test_the_command_line_page_is_what_the_parsers_say():
    assert (ROOT / "docs/cli.md").read_text() == reference(), (
        "make it again: python -m restore.cli.reference > docs/cli.md"
    )


@pytest.mark.parametrize("page", ["conventions", "formats"])
def test_every_test_that_a_page_of_facts_names_is_there(page):
    for name in re.findall(r"(?:\w+/)*test_\w+\.py", (ROOT / f"docs/{page}.md").read_text()):
        assert (ROOT / "tests" / name).exists(), name


def commands_in(page):
    text = (ROOT / page).read_text().replace("\\\n", " ")
    launcher = r"(?:srun .*?|torchrun .*? -m )?"
    lines = re.findall(
        rf"^ {{0,4}}{launcher}(restore (?:{'|'.join(COMMANDS)})\b.*)$", text, re.MULTILINE
    )
    return [(page, re.split("[#$]", line)[0]) for line in lines]


PAGES = (
    "README.md",
    "docs/tutorial.md",
    "docs/benchmarks.md",
    "docs/evaluation.md",
    "docs/cluster.md",
    "docs/halves.md",
    "docs/relion.md",
    "docs/cryosparc.md",
    "docs/structure.md",
)


@pytest.mark.parametrize(("page", "line"), [each for page in PAGES for each in commands_in(page)])
def test_every_command_in_the_docs_can_be_parsed(page, line):
    _, command, *arguments = with_underscores(line.split())
    command_parser(command).parse_args(arguments)


def test_files_that_the_docs_link_to_exist():
    for page in [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]:
        for target in re.findall(r"\]\((?!http)([^)#]+)\)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name} links to {target}"


def test_what_the_walks_of_contributing_name_is_there():
    names = re.findall(r"`restore\.([\w.]+)`", (ROOT / "CONTRIBUTING.md").read_text())
    assert len(names) > 20
    for name in names:
        module, _, attribute = f"restore.{name}".rpartition(".")
        assert hasattr(importlib.import_module(module), attribute), name


def test_every_decision_is_in_the_list_of_decisions():
    folder = ROOT / "docs/decisions"
    listed = re.findall(r"\]\((\d+[^)]*)\)", (folder / "index.md").read_text())
    assert sorted(listed) == sorted(path.name for path in folder.glob("[0-9]*.md"))


def test_every_page_is_in_the_navigation_of_the_site():
    pages = {str(path.relative_to(ROOT / "docs")) for path in (ROOT / "docs").glob("*.md")}
    assert pages <= set(re.findall(r"[\w/]+\.md", (ROOT / "mkdocs.yml").read_text()))


PYTHON = [
    pytest.param(block, id=f"{page.name}-{number}")
    for page in [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
    for number, block in enumerate(re.findall(r"```python\n(.*?)```", page.read_text(), re.DOTALL))
]


def test_there_are_python_blocks():
    assert PYTHON


@pytest.mark.parametrize("block", PYTHON)
def test_every_python_block_in_the_docs_runs(block, example_world, tmp_path, monkeypatch):
    """In a small session, and for a second where a page says minutes."""
    shutil.copytree(example_world / "session", tmp_path / "project")
    monkeypatch.chdir(tmp_path / "project")
    exec(re.sub(r"minutes=\d+", "steps=2", block), {})
