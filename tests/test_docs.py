"""What the documentation says is so."""

import importlib
import re
import shlex
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


def test_every_convention_names_a_test():
    table = (ROOT / "docs/conventions.md").read_text().partition("## Words")[0]
    rows = [line for line in table.splitlines() if line.startswith("| ")][1:]
    assert len(rows) > 20
    for row in rows:
        assert re.search(r"test_\w+\.py", row.rsplit("|", 2)[1]), row


PAGES = sorted(
    str(page.relative_to(ROOT))
    for page in [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]
    if page.name != "cli.md"
)
"""Every page but the one that the parsers write."""


def commands_in(page):
    """The lines of a page's code that are commands of restore, and those within its sentences that
    have more than a name and are not abbreviated.
    """
    text = (ROOT / page).read_text().replace("\\\n", " ")
    launcher = r"(?:srun .*?|torchrun .*? -m )?"
    command = rf"restore (?:{'|'.join(COMMANDS)})\b"
    lines = re.findall(rf"^ {{0,4}}{launcher}({command}.*)$", text, re.MULTILINE)
    inline = re.findall(rf"`({command}[^`…]* [^`…]*)`", text)
    return [(page, re.split(r"#|\$(?!\{)", line)[0]) for line in lines + inline]


@pytest.mark.parametrize(
    ("page", "line"), [command for page in PAGES for command in commands_in(page)]
)
def test_every_command_in_the_docs_can_be_parsed(page, line):
    _, command, *arguments = with_underscores(shlex.split(line))
    command_parser(command).parse_args(arguments)


OTHER_PROGRAMS = {
    *("--even_odd_split", "--gain_rot", "--gain_flip", "--bin_factor", "--ctf_phase_flipped"),
    "--skip_defect",
    *("--addJobFromStar", "--schedule", "--RunJobs", "--LoG", "--sec_wait_after"),
    *("--odir", "--pickname", "--LoG_diam_min", "--LoG_diam_max", "--coord_dir", "--coord_suffix"),
    *("--part_dir", "--part_star", "--extract", "--extract_size", "--norm", "--bg_radius"),
    *("--stats", "--dont_check_norm", "--repeat", "--min_wait", "--add", "--type", "--i", "--i2"),
    *("--bool", "--o2", "--name", "--value", "--mode", "--set_current_node", "--run", "--abort"),
    # RELION
    *("--nproc-per-node", "--kill-on-bad-exit", "--cpus-per-task", "--gpus-per-task"),
    *("--job-name", "--nodes", "--ntasks-per-node", "--gpus-per-node", "--time", "--signal"),
    *("--ntasks", "--numprocesses", "--to"),  # SLURM, torchrun, pytest, jupytext
}
GONE = {"--views", "--size_px", "--views_px"}
"""Options that docs/decisions/020-drawing.md says are gone."""


def options_of_scripts():
    scripts = [*(ROOT / "benchmarks").glob("*.py"), *(ROOT / "general").glob("*.py")]
    names = {name for path in scripts for name in re.findall(r'"--([\w-]+)"', path.read_text())}
    return {f"--{name}" for name in names} | {f"--no-{name}" for name in names}


@pytest.mark.parametrize("page", PAGES)
def test_every_file_of_the_repository_that_a_page_names_is_there(page):
    text = (ROOT / page).read_text()
    tests = re.findall(r"(?:tests/)?((?:\w+/)*test_\w+\.py)", text)
    sources = re.findall(r"(?<![\w/])((?:src|benchmarks|general)/[\w/.]*\w)", text)
    for name in [*(f"tests/{test}" for test in tests), *sources]:
        assert (ROOT / name).exists(), f"{page} names {name}"


@pytest.mark.parametrize("page", PAGES)
def test_every_option_that_a_page_names_is_there(page):
    known = {
        option
        for command in COMMANDS
        for action in command_parser(command)._actions
        for option in action.option_strings
    }
    known |= {"--version", *OTHER_PROGRAMS, *GONE, *options_of_scripts()}
    named = re.findall(r"(?<![\w-])--[a-zA-Z][\w-]*", (ROOT / page).read_text())
    assert {*named} - known == set()


def test_the_pages_that_the_code_refers_to_exist():
    for folder in ("src", "benchmarks", "general", "tests"):
        for script in (ROOT / folder).rglob("*.py"):
            for page in re.findall(r"\bdocs/[\w/-]+\.md", script.read_text()):
                assert (ROOT / page).exists(), f"{script.name} refers to {page}"


def test_no_two_decisions_have_one_number():
    numbers = [path.name[:3] for path in (ROOT / "docs/decisions").glob("[0-9]*.md")]
    assert len(numbers) == len({*numbers})


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
