"""The house's own rules, as far as they are not a tool's."""

import ast
import re
from pathlib import Path

from tests.support.markdown import code_spans, pages
from tests.support.paths import ROOT


def does_something(module: Path) -> bool:
    """Whether there is a function with more in it than a docstring, or dots."""
    functions = [
        node
        for node in ast.walk(ast.parse(module.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    ]
    return any(
        not (isinstance(line, ast.Expr) and isinstance(line.value, ast.Constant))
        for function in functions
        for line in function.body
    )


def mirrors(module: Path) -> list[Path]:
    """Where the tests of `sidecar/x/y.py` may be; a package's own are beside its folder or in it."""
    *folders, name = module.relative_to(ROOT / "sidecar").with_suffix("").parts
    if name != "__init__":
        return [ROOT.joinpath("tests", *folders, f"test_{name}.py")]
    *above, package = folders
    return [
        ROOT.joinpath("tests", *above, f"test_{package}.py"),
        ROOT.joinpath("tests", *folders, f"test_{package}.py"),
    ]


def test_each_module_has_its_tests():
    modules = [module for module in sorted(ROOT.glob("sidecar/**/*.py")) if does_something(module)]
    lonely = [module for module in modules if not any(path.exists() for path in mirrors(module))]

    assert len(modules) > 40
    assert [str(module.relative_to(ROOT)) for module in lonely] == []


def unmapped(package: Path) -> list[str]:
    """The modules and packages in a package that the map in its docstring does not name."""
    listed = set(
        re.findall(r"\w+", ast.get_docstring(ast.parse((package / "__init__.py").read_text())) or "")
    )
    inside = [path for path in package.iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()]
    return sorted(path.stem for path in inside if path.stem not in listed and not path.stem.startswith("__"))


def test_the_map_of_each_package_names_all_of_its_modules():
    packages = [path.parent for path in sorted(ROOT.glob("sidecar/*/**/__init__.py"))]

    assert len(packages) > 15
    assert {
        str(package.relative_to(ROOT)): names for package in packages if (names := unmapped(package))
    } == {}


def test_each_module_that_the_pages_name_exists():
    known = {
        str(path.relative_to(ROOT))
        for top in ("sidecar", "tests", "bench")
        for path in ROOT.glob(f"{top}/**/*.py")
    }
    ends = {"/".join(name.split("/")[-length:]) for name in known for length in range(1, name.count("/") + 2)}
    named = {
        (str(page.relative_to(ROOT)), span)
        for page in pages()
        for span in code_spans(page.read_text())
        if re.fullmatch(r"[\w/]+\.py", span) and page.name != "CHANGELOG.md"
    }

    assert len(named) > 50
    assert sorted(each for each in named if each[1] not in ends) == []
