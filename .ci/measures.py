"""What the lines of the house's table count, read off the syntax trees of a checkout.

*Code* is every Python file of the packages `stickers`, `actors`, `recipes`, `serve` and `experiments`.

- *Files per folder*: the Python files that lie directly in one folder, `__init__.py` too; the most over the folders of
  the code and of the tests.
- *Import circles*: groups of modules that reach each other by imports, those inside functions and type-checking blocks
  too. `from package import module` leads to the module.
- *Vague names*: of a thousand bindings, those whose name, without underscores at its ends, is one of `VAGUE`. A binding
  is a name where it is set: an assignment, an annotated field, a loop variable, a comprehension's target, a target of
  `with` or `except`, an argument (but `self` and `cls`), a function, a class, an attribute set on `self`, an import's
  `as`.
- *Without docstring*: the share of public functions, classes and methods that have none. Public means no underscore in
  front, nor in front of the class round it, and not nested in a function. `@overload`, `@override` and setters need
  none.
- *Magic numbers*: number literals inside function bodies, per 1,000 lines of the code without the toy world and the
  recipes. Signs are free, and so are the numbers of `PLAIN`. Defaults, annotations, decorators and fields of classes
  are outside of bodies.
- *Longest function*: from its `def` line to its last line, docstring included, decorators not.
- *README words*: as `wc -w` counts.
"""

import ast
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import grimp

#: Each package of ours with the folder it is imported from.
PACKAGES = {"stickers": "platform", "actors": ".", "recipes": ".", "serve": ".", "experiments": "."}
#: Where numbers are the content: the toy world (its folder today, and before) and the recipes.
TOY = (
    "platform/stickers/toy/",
    "platform/stickers/data/toy/",
    "platform/stickers/evaluation/oracle.py",
    "platform/stickers/hitl/panel.py",
)
VALUES = "recipes/"
#: The names of DESIGN §5 that name nothing.
VAGUE = frozenset(
    {"found", "each", "said", "there", "given", "asked", "made", "wanted", "what", "mine", "place"}
    | {"whole", "some", "every", "own", "also", "left", "known", "seen", "told", "out"}
)
#: Numbers that need no name: counting, halving, percent, and the powers that turn one unit into another.
PLAIN = frozenset({0, 1, 2, 0.5, 100, 1000, 1024, 10**6, 10**9})
PER_THOUSAND = 1000
#: Decorators of functions whose docstring stands elsewhere.
EXEMPT = frozenset({"overload", "override", "setter"})

FunctionNode = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True)
class CodeFile:
    """One file of the code: its path from the root, its text and its syntax tree."""

    path: str
    text: str
    tree: ast.Module

    @property
    def num_lines(self) -> int:
        """Its lines, blank ones too."""
        return len(self.text.splitlines())


@dataclass(frozen=True)
class Measure:
    """One line of the table: its figure, its bar and where the figure comes from. NaN where nothing was measured."""

    key: str
    title: str
    value: float
    bar: float
    places: tuple[str, ...]
    unit: str = ""
    at_least: bool = False


@cache
def read_code(root: Path) -> tuple[CodeFile, ...]:
    """Every Python file of our packages under `root`, in order of its path."""
    paths = (path for package, base in PACKAGES.items() for path in (root / base / package).rglob("*.py"))
    return tuple(read_source(root, path) for path in sorted(paths))


def read_source(root: Path, path: Path) -> CodeFile:
    """The file at `path` with its path from `root`."""
    text = path.read_text(encoding="utf-8")
    return CodeFile(path.relative_to(root).as_posix(), text, ast.parse(text, filename=str(path)))


def measure_folders(root: Path) -> Measure:
    """The most Python files that lie directly in one folder of the code or of the tests."""
    counts: dict[str, int] = {}
    tests = [path.relative_to(root).as_posix() for path in (root / "tests").rglob("*.py")]
    for path in [*(source.path for source in read_code(root)), *tests]:
        folder = path.rpartition("/")[0]
        counts[folder] = counts.get(folder, 0) + 1
    fullest = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return Measure(
        "folders",
        "files in the fullest folder",
        fullest[0][1],
        25,
        tuple(f"{folder}: {number} files" for folder, number in fullest),
    )


@contextmanager
def imported_from(root: Path) -> Iterator[None]:
    """Let our packages be looked up in `root` while the block runs; nothing imports them."""
    before = list(sys.path)
    sys.path[:0] = [str(root), str(root / "platform")]
    try:
        yield
    finally:
        sys.path[:] = before


def measure_circles(root: Path) -> Measure:
    """How many groups of modules reach each other by imports."""
    with imported_from(root):
        graph = grimp.build_graph(*PACKAGES, exclude_type_checking_imports=False, cache_dir=None)
    circles = {
        frozenset(graph.find_upstream_modules(module) & graph.find_downstream_modules(module) | {module})
        for module in graph.modules
    }
    names = sorted(" ↔ ".join(sorted(circle)) for circle in circles if len(circle) > 1)
    return Measure("circles", "import circles", len(names), 0, tuple(names))


def bindings(tree: ast.Module) -> Iterator[tuple[str, int]]:
    """Every name that `tree` sets, with its line; a name set twice counts twice."""
    for node in ast.walk(tree):
        match node:
            case ast.Name(id=name, ctx=ast.Store()):
                yield name, node.lineno
            case ast.arg(arg=name) if name not in ("self", "cls"):
                yield name, node.lineno
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                yield name, node.lineno
            case ast.Attribute(value=ast.Name(id="self"), attr=name, ctx=ast.Store()):
                yield name, node.lineno
            case ast.ExceptHandler(name=str(name)):
                yield name, node.lineno
            case ast.alias(asname=str(name)):
                yield name, node.lineno


def measure_vague(root: Path, key: str = "vague") -> Measure:
    """Vague names in a thousand bindings of the code, or of the tests for the key `vague-tests`."""
    sources = read_code(root)
    if key == "vague-tests":
        sources = tuple(read_source(root, path) for path in sorted((root / "tests").rglob("*.py")))
    names = [
        (name, f"{source.path}:{line} {name}") for source in sources for name, line in bindings(source.tree)
    ]
    places = tuple(line for name, line in names if name.strip("_").lower() in VAGUE)
    title = "vague names in a thousand" + (", tests" if key == "vague-tests" else "")
    return Measure(key, title, PER_THOUSAND * len(places) / max(len(names), 1), 8, places)


def public_definitions(
    body: list[ast.stmt], prefix: str = ""
) -> Iterator[tuple[str, ast.ClassDef | FunctionNode]]:
    """Public functions and classes of a module's or class's body, with their public methods, named from the module."""
    for node in body:
        match node:
            case ast.FunctionDef() | ast.AsyncFunctionDef() if not node.name.startswith("_"):
                if not {decorator_name(decorator) for decorator in node.decorator_list} & EXEMPT:
                    yield prefix + node.name, node
            case ast.ClassDef() if not node.name.startswith("_"):
                yield prefix + node.name, node
                yield from public_definitions(node.body, f"{prefix}{node.name}.")
            case ast.If():
                yield from public_definitions([*node.body, *node.orelse], prefix)


def decorator_name(node: ast.expr) -> str:
    """The last part of a decorator's name."""
    if isinstance(node, ast.Call):
        node = node.func
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""


def measure_docstrings(root: Path) -> Measure:
    """The share of public functions, classes and methods without a docstring, in percent."""
    total, places = 0, []
    for source in read_code(root):
        for name, node in public_definitions(source.tree.body):
            total += 1
            if ast.get_docstring(node) is None:
                places.append(f"{source.path}:{node.lineno} {name}")
    return Measure(
        "docstrings",
        "public functions and classes without docstring",
        100 * len(places) / total,
        3,
        tuple(places),
        " %",
    )


def body_numbers(node: ast.AST, in_body: bool = False) -> Iterator[ast.Constant]:
    """Number literals in function bodies under `node` that are not `PLAIN`."""
    match node:
        case ast.FunctionDef() | ast.AsyncFunctionDef():
            children: Iterable[ast.AST] = node.body
            in_body = True
        case ast.ClassDef():
            children = node.body
            in_body = False
        case ast.AnnAssign():
            children = [node.value] if node.value else []
        case ast.Lambda():
            children = [node.body]
        case ast.Constant(value=int() | float() | complex() as number) if not isinstance(number, bool):
            if in_body and number not in PLAIN:
                yield node
            return
        case _:
            children = ast.iter_child_nodes(node)
    for child in children:
        yield from body_numbers(child, in_body)


def measure_magic(root: Path) -> Measure:
    """Magic numbers per 1,000 lines of the code without the toy world and the recipes."""
    sources = [source for source in read_code(root) if not source.path.startswith((*TOY, VALUES))]
    places = [
        f"{source.path}:{node.lineno} {ast.unparse(node)}"
        for source in sources
        for node in body_numbers(source.tree)
    ]
    lines = sum(source.num_lines for source in sources)
    return Measure(
        "magic", "magic numbers per 1,000 lines", PER_THOUSAND * len(places) / lines, 15, tuple(places)
    )


def measure_longest(root: Path) -> Measure:
    """The lines of the longest function; the places name every function, longest first."""
    lengths = [
        (node.end_lineno - node.lineno + 1, f"{source.path}:{node.lineno} {node.name}")
        for source in read_code(root)
        for node in ast.walk(source.tree)
        if isinstance(node, FunctionNode) and node.end_lineno is not None
    ]
    lengths.sort(key=lambda item: (-item[0], item[1]))
    return Measure(
        "longest",
        "lines of the longest function",
        lengths[0][0],
        60,
        tuple(f"{name}: {number} lines" for number, name in lengths),
    )


def measure_readme(root: Path) -> Measure:
    """The words of the README."""
    words = len((root / "README.md").read_text(encoding="utf-8").split())
    return Measure("readme", "words of the README", words, 700, (f"README.md: {words} words",))


def measure_tree(root: Path) -> list[Measure]:
    """Every line of the table for which nothing has to run."""
    return [
        measure_folders(root),
        measure_circles(root),
        measure_vague(root),
        measure_vague(root, "vague-tests"),
        measure_docstrings(root),
        measure_magic(root),
        measure_longest(root),
        measure_readme(root),
    ]
