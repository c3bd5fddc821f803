"""values.yaml with its comments: key, type, default, what it says. And the README that is made of it, in helm-docs' form."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import yaml

from tests.charts.helm import CHART, Manifest

BADGE = "![{what}: {text}](https://img.shields.io/badge/{what}-{text}-informational?style=flat-square) "


@dataclass(frozen=True)
class Value:
    """One that may be set: its path with dots, its default as YAML reads it, and the comment above it."""

    key: str
    default: object
    says: str


def values(file: Path = CHART / "values.yaml") -> list[Value]:
    """All that are described by a `# -- ` comment, in the file's order; and those without, with an empty one."""
    text = file.read_text()
    return list(_below("", yaml.compose(text), yaml.safe_load(text), text.splitlines()))


def _below(path: str, node: yaml.MappingNode, default: Manifest, lines: list[str]) -> Iterator[Value]:
    for key, value in node.value:
        name, says = f"{path}{key.value}", _comment(lines, key.start_mark.line)
        inner = default[key.value]
        if not says and isinstance(inner, dict) and inner:
            yield from _below(f"{name}.", value, inner, lines)
        else:
            yield Value(name, inner, says)


def _comment(lines: list[str], at: int) -> str:
    """From the last `# -- ` on, of the comment lines right above this line."""
    found: list[str] = []
    for line in reversed(lines[:at]):
        if not (match := re.fullmatch(r"\s*# ?(.*)", line)):
            return ""
        found.insert(0, match[1])
        if match[1].startswith("-- "):
            return " ".join(found).removeprefix("-- ")
    return ""


def readme(chart: Path = CHART) -> str:
    """The chart's README: README.md.gotmpl, with helm-docs' templates that it names filled in."""
    about = yaml.safe_load((chart / "Chart.yaml").read_text())
    templates = {
        "chart.header": f"# {about['name']}\n",
        "chart.description": about["description"],
        "chart.versionBadge": BADGE.format(what="Version", text=about["version"]),
        "chart.appVersionBadge": BADGE.format(what="AppVersion", text=about["appVersion"]),
        "chart.valuesSection": _table(values(chart / "values.yaml")),
    }
    words = (chart / "README.md.gotmpl").read_text()
    return re.sub(r'\{\{ template "([\w.]+)" \. \}\}', lambda match: templates[match[1]], words)


def _table(described: list[Value]) -> str:
    rows = [
        f"| {value.key} | {_type(value.default)} | `{json.dumps(value.default, ensure_ascii=False)}` | {_cell(value.says)} |"
        for value in sorted(described, key=lambda value: value.key)
    ]
    head = [
        "## Values",
        "",
        "| Key | Type | Default | Description |",
        "|-----|------|---------|-------------|",
    ]
    return "\n".join([*head, *rows])


def _type(default: object) -> str:
    names = {bool: "bool", int: "int", float: "float", str: "string", list: "list", dict: "object"}
    return names[type(default)]


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
