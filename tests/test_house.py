"""The house itself: floors, nevers, sizes and words, as docs and STYLE have them."""

import ast
import inspect
import re
import subprocess
import sys
from dataclasses import fields, is_dataclass
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

import pytest
from oracles import NEEDS_ORACLES, failed_if_absent

import restore

SOURCE = Path(restore.__file__).parent
ORACLES = "relion|chromium|playwright|openvino|tifffile|cryosparc|starfile|shtab|yaml"
SKIPS = ("pytest.skip", "pytest.importorskip", "pytest.mark.skipif")

FLOORS = (
    ("errors", "version"),
    (
        "commands",
        "records",
        "settings",
        "micrograph",
        "atoms",
        "symmetry",
        "fourier",
        "thumbnails",
        "background",
    ),
    (
        "quantities",
        "provenance",
        "ctf",
        "io",
        "runtime",
        "maps",
        "hot_pixels",
        "blank_pixels",
        "blank_filling",
        "border_jump",
    ),
    (
        "preprocessing",
        "image_tensors",
        "joint_work",
        "movies",
        "simulation",
        "evaluation.records",
        "structure.records",
    ),
    ("report", "tables", "evaluation.estimators"),
    ("model", "postprocessing"),
    ("evaluation", "particles"),
    ("training", "denoising"),
    ("inspection", "structure", "face"),
    ("live",),
    ("cli",),
)
"""A module imports only from floors under its own; inside a folder (io, cli …) what matters is that
there is no circle. The records of a room stand lower than the room, so that report can draw them.
"""

FLOOR = {name: number for number, names in enumerate(FLOORS) for name in names}


@cache
def modules():
    """Every module of the package by its dotted name, without "restore."."""
    paths = sorted(SOURCE.rglob("*.py"))
    names = [".".join(path.relative_to(SOURCE).with_suffix("").parts) for path in paths]
    return {name.removesuffix(".__init__"): path for name, path in zip(names, paths, strict=True)}


@cache
def tree(name):
    return ast.parse(modules()[name].read_text(encoding="utf-8"))


def for_type_checkers(node):
    return isinstance(node, ast.If) and getattr(node.test, "id", "") == "TYPE_CHECKING"


def walk(node):
    """The nodes that run: what only type checkers see is left out."""
    for child in ast.iter_child_nodes(node):
        if not for_type_checkers(child):
            yield child
            yield from walk(child)


def imports(name):
    """The full names that a module imports, at its top or inside its functions."""
    for node in walk(tree(name)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name}: a relative import"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def own_imports(name):
    """The modules of this package that a module imports."""
    for full in imports(name):
        parts = full.split(".")
        if parts[0] == "restore":
            inside = parts[1:]
            while inside and ".".join(inside) not in modules():
                inside = inside[:-1]
            if inside:
                yield ".".join(inside)


def top(name):
    return name.split(".")[0]


def floor(name):
    """The floor of a module: its own, or that of the innermost room that has one."""
    while name not in FLOOR:
        name = name.rpartition(".")[0]
    return FLOOR[name]


INSIDE = [name for name in modules() if name not in ("__init__", "__main__")]


def test_every_module_has_a_floor():
    assert {top(name) for name in INSIDE} - set(FLOOR) == set(), (
        "give the new module a floor, here and in STYLE's plan"
    )
    assert set(FLOOR) - {top(name) for name in INSIDE} - set(INSIDE) == set(), (
        "a floor names a module that is gone"
    )


@pytest.mark.parametrize("name", INSIDE)
def test_imports_go_only_downward(name):
    for other in own_imports(name):
        if top(other) != top(name):
            assert floor(other) < floor(name), f"{name} imports {other}"


def test_there_are_no_circles():
    TopologicalSorter({name: set(own_imports(name)) - {name} for name in modules()}).prepare()


def test_nobody_imports_cli_but_the_front_door():
    assert {
        name
        for name in modules()
        if top(name) != "cli"
        for other in own_imports(name)
        if top(other) == "cli"
    } <= {"__main__"}


def test_training_and_denoising_never_import_each_other():
    pairs = {(top(name), top(other)) for name in INSIDE for other in own_imports(name)}
    assert ("training", "denoising") not in pairs and ("denoising", "training") not in pairs


def test_only_cli_and_the_face_import_simulation():
    users = {
        top(name) for name in INSIDE for other in own_imports(name) if top(other) == "simulation"
    }
    assert users <= {"cli", "face", "simulation"}


def test_estimators_never_see_files_or_plots():
    for name in (name for name in INSIDE if name.startswith(("evaluation.estimators", "maps"))):
        reached = {top(other) for other in own_imports(name)} | {
            full.split(".")[0] for full in imports(name)
        }
        assert not reached & {"io", "matplotlib", "mrcfile", "h5py", "pathlib"}, name


def test_the_library_never_prints():
    for name in (name for name in INSIDE if top(name) != "cli"):
        calls = [node for node in ast.walk(tree(name)) if isinstance(node, ast.Call)]
        assert not [call.lineno for call in calls if getattr(call.func, "id", "") == "print"], name


def test_nothing_below_cli_knows_argparse():
    for name in (name for name in INSIDE if top(name) != "cli"):
        assert "argparse" not in {full.split(".")[0] for full in imports(name)}, name


OF_OTHER_PROGRAMS = {"particles.extraction.relion", "particles.reconstruction.relion"}
"""They start RELION's programs, with RELION's options."""


def option_names_of_settings(name):
    """The strings that say, in a settings record, what a field is called on the command line."""
    for node in ast.walk(tree(name)):
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "setting":
            named = [keyword.value for keyword in node.keywords if keyword.arg == "off"]
            yield from (*node.args[2:], *named)


def test_no_text_below_cli_names_an_option():
    offenders = {}
    for name in (name for name in INSIDE if top(name) != "cli"):
        names = set(option_names_of_settings(name))
        offenders[name] = [
            node.value
            for node in ast.walk(tree(name))
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and node not in names
            if re.search(r"(?<![\w-])--[a-z]\w", node.value)
            and "pip install --upgrade" not in node.value
        ]
    named = {name: texts for name, texts in offenders.items() if texts}
    for name in OF_OTHER_PROGRAMS:
        named.pop(name, None)
    assert not named, "name the field, in backticks; restore.cli.wording makes an option of it"


def test_report_draws_and_never_computes():
    """What it shows comes to it finished: from the rooms that compute it takes records only, which
    are classes.
    """
    computing = {"ctf", "denoising", "evaluation", "maps", "model", "particles", "preprocessing"}
    for name in (name for name in INSIDE if top(name) == "report"):
        for full in imports(name):
            room = full.removeprefix("restore.").split(".")[0]
            if full.startswith("restore.") and room in computing | {"structure", "training"}:
                assert full.split(".")[-1][0].isupper(), f"{name} imports {full}"


def in_a_fresh_process(program):
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=50, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_errors_micrograph_provenance_and_io_never_import_torch():
    light = ["restore"] + [
        f"restore.{name}"
        for name in INSIDE
        if top(name) in ("errors", "micrograph", "provenance", "io")
    ]
    program = f"import sys, {', '.join(light)}; print('torch' in sys.modules)"
    assert in_a_fresh_process(program).strip() == "False"


def test_help_does_not_import_torch():
    program = (
        "import sys; from restore.cli.main import main; main(['--help']); print('torch' in "
        "sys.modules)"
    )
    output = in_a_fresh_process(program)
    assert "restore train" in output and output.strip().endswith("False")


def test_the_version_does_not_import_torch():
    program = (
        "import sys; from restore.cli.main import main; main(['--version']); print('torch' in "
        "sys.modules)"
    )
    assert in_a_fresh_process(program).split()[-2:] == [restore.__version__, "False"]


@pytest.mark.parametrize("name", modules())
def test_no_file_is_longer_than_300_lines(name):
    lines = len(modules()[name].read_text(encoding="utf-8").splitlines())
    assert lines <= 300


def functions(name):
    return [
        node
        for node in ast.walk(tree(name))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    ]


@pytest.mark.parametrize("name", modules())
def test_no_function_is_longer_than_45_lines_without_its_docstring(name):
    for node in functions(name):
        first = node.body[1] if ast.get_docstring(node) and len(node.body) > 1 else node.body[0]
        length = (node.end_lineno or 0) - first.lineno + 1
        assert length <= 45, f"{name}.{node.name}: {length} lines"


@pytest.mark.parametrize("name", modules())
def test_everything_public_has_a_docstring(name):
    assert ast.get_docstring(tree(name)), f"{name} itself"

    def undocumented(node, prefix):
        for child in node.body:
            if isinstance(child, ast.ClassDef | ast.FunctionDef) and not child.name.startswith("_"):
                if not ast.get_docstring(child):
                    yield prefix + child.name
                if isinstance(child, ast.ClassDef):
                    yield from undocumented(child, f"{prefix}{child.name}.")

    assert not list(undocumented(tree(name), ""))


def test_no_module_has_a_name_that_says_nothing():
    nothing = {"utils", "util", "helpers", "common", "misc", "base", "manager", "core", "tools"}
    assert not [name for name in modules() if nothing & set(name.split("."))]


@pytest.mark.parametrize("name", modules())
def test_no_public_function_takes_keywords_that_it_does_not_name(name):
    assert not [
        node.name for node in functions(name) if node.args.kwarg and not node.name.startswith("_")
    ]


def test_every_room_has_its_tests_in_the_same_place():
    folder = Path(__file__).parent
    untested = {
        name
        for name in {top(name) for name in FLOOR}
        if not (folder / f"test_{name}.py").exists()
        and not list((folder / name).glob("**/test_*.py"))
    }
    assert untested <= {"version", "thumbnails", "quantities"}


def test_every_name_on_the_packages_face_is_there():
    for name in restore.__all__:
        assert getattr(restore, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = restore.nothing


FACE = [getattr(restore, name) for name in restore.__all__ if not name.startswith("__")]


def sections(thing):
    """The headings of a docstring in numpydoc's form."""
    return set(re.findall(r"^(\w+)\n-+$", inspect.cleandoc(thing.__doc__), re.MULTILINE))


@pytest.mark.parametrize("function", [thing for thing in FACE if inspect.isfunction(thing)])
def test_a_function_of_the_face_says_what_it_takes_gives_and_raises_with_an_example(function):
    wanted = {"Parameters", "Raises", "Examples"}
    if inspect.signature(function).return_annotation not in (None, "None"):
        wanted.add("Returns")
    assert wanted <= sections(function)
    described = inspect.cleandoc(function.__doc__)
    for name in inspect.signature(function).parameters:
        assert re.search(rf"^(\w+, )*{name}(, \w+)*$", described, re.MULTILINE), name


@pytest.mark.parametrize(
    "record", [thing for thing in FACE if is_dataclass(thing) and "Settings" not in thing.__name__]
)
def test_a_record_of_the_face_says_what_its_fields_are(record):
    assert "Attributes" in sections(record)
    described = inspect.cleandoc(record.__doc__)
    for field in fields(record):
        assert re.search(rf"^(\w+, )*{field.name}(, \w+)*$", described, re.MULTILINE), field.name


FORBIDDEN_NAMES = {
    "keep_heap",
    "greys",
    "leads",
    "agree",
    "meeting",
    "Share",
    "Reach",
    "falloff",
    "gathering",
    "growing",
    "doubt",
    "doubts",
    "Cast",
    "Yardsticks",
    "road",
    "door",
}
"""Names that the house has replaced by the field's own terms."""


PRONOUNS = {"each", "found", "told", "said", "made"}
"""Pronouns and participles: a variable of this name says nothing of what it is."""

ROOT = Path(__file__).parents[1]

ROOMS_OF_SCRIPTS = ("src", "tests", "benchmarks", "general")

SCRIPTS = sorted(path for room in ROOMS_OF_SCRIPTS for path in (ROOT / room).rglob("*.py"))


NAMED = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.ExceptHandler


def bound_names(module):
    """The names that a module defines: variables, arguments, functions, classes, exceptions."""
    for node in ast.walk(module):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id
        elif isinstance(node, ast.arg):
            yield node.arg
        elif isinstance(node, NAMED) and node.name:
            yield node.name


@pytest.mark.parametrize("name", modules())
def test_no_name_that_the_house_has_replaced_comes_back(name):
    assert not FORBIDDEN_NAMES & set(bound_names(tree(name)))


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_variable_is_named_by_what_it_is(path):
    assert not PRONOUNS & set(bound_names(ast.parse(path.read_text(encoding="utf-8"))))


@pytest.mark.parametrize(
    ("reason", "needed", "outcome"),
    [
        ("Skipped: relion_postprocess is not installed", True, "failed"),
        ("Skipped: could not import 'openvino': No module named 'openvino'", True, "failed"),
        ("Skipped: relion_postprocess is not installed", False, "skipped"),
        ("Skipped: real data is absent: there is no folder shared/data", True, "skipped"),
    ],
)
def test_a_test_that_lacks_its_oracle_fails_where_all_oracles_must_be_there(
    reason, needed, outcome
):
    place = ("tests/test_it.py", 3, reason)
    report = pytest.TestReport("test_it", place, {}, "skipped", place, "call")
    assert failed_if_absent(report, needed).outcome == outcome


def test_every_skip_for_want_of_an_oracle_is_known_by_its_words():
    """Other skips are for want of real data, or of something in the machine."""
    for path in sorted(Path(__file__).parent.rglob("*.py")):
        text = path.read_text(encoding="utf-8")
        if "skip" not in text or path == Path(__file__):
            continue
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.Call) and ast.unparse(node.func) in SKIPS:
                words = ast.unparse(node)
                about_oracle = re.search(ORACLES, words.lower())
                python_says_so = "importorskip" in words and "reason=" not in words
                known = python_says_so or "is not installed" in words
                assert known or not about_oracle, f"{path}: {words}"


def test_all_oracles_must_be_there_where_everything_is_checked():
    script = (ROOT / ".ci/run").read_text(encoding="utf-8")
    assert script.index(f"export {NEEDS_ORACLES}=1") < script.index("make test")
