"""The house's own rules, as far as they are not a tool's."""

import ast
from pathlib import Path

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
