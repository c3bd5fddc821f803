"""Grafana's words for what `boards.py` says: queries, panels, tables, variables, annotations, and their places on a board."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

Json = dict[str, Any]

SOURCE: Final = {"type": "prometheus", "uid": "${datasource}"}
WIDTH: Final = 24
# The last sentence of the description of a panel that shows what should not be.
WELL: Final = "Empty when all is well."
TAG: Final = "wp-sidecar"

GOOD, BAD, WARNING, NEUTRAL = "green", "red", "orange", "blue"
# (from this value on, colour)
NOTHING_IS_GOOD: Final = ((None, GOOD), (1, BAD))
ONE_IS_GOOD: Final = ((None, BAD), (1, GOOD))
ALL_NEUTRAL: Final = ((None, NEUTRAL),)


def of(metric: str, *chosen: str, **labels: str) -> str:
    """Return a selector of our metric for the chosen hosts, and for what else is `chosen` (jail, container)."""
    return series(f"wp_sidecar_{metric}", *chosen, **labels)


def series(name: str, *chosen: str, **labels: str) -> str:
    """Return a selector of any metric. A label's value is a regular expression; `not_x` excludes values of x."""
    matchers = [f'{name}=~"${name}"' for name in ("job", "instance", *chosen)]
    for label, value in labels.items():
        matchers.append(f'{label[4:]}!~"{value}"' if label.startswith("not_") else f'{label}=~"{value}"')
    return f"{name}{{{','.join(matchers)}}}"


def counted(counter: str, window: str) -> str:
    """Return how much a counter grew: whole numbers, though `increase()` guesses beyond the samples (5 becomes 5.2).

    Where the counter did not begin again within the window, it is the difference of two samples and exact. After a
    restart it is what `increase()` says, rounded.
    """
    inside = f"{counter}[{window}]"
    return f"({counter} - min_over_time({inside}) and resets({inside}) == 0 or round(increase({inside})))"


def rate(counter: str, by: str, per: str = "minute") -> str:
    """Return how often something happens, by these labels."""
    times = {"second": "", "minute": " * 60"}[per]
    return f"sum by ({by}) (rate({counter}[$__rate_interval])){times}"


def quantile(share: float, histogram: str, window: str = "$__rate_interval") -> str:
    """Return this quantile of a histogram, over all hosts. `histogram` selects its buckets."""
    return f"histogram_quantile({share}, sum by (le) (rate({histogram}[{window}])))"


def or_zero(expression: str) -> str:
    """Return 0 where the expression has nothing, though there is a wp-sidecar."""
    return f"{expression} or 0 * sum({of('ready')})"


@dataclass(frozen=True)
class Panel:
    """A panel of this size; its place follows from those before it."""

    title: str
    description: str
    body: Json
    width: int
    height: int


@dataclass(frozen=True)
class Row:
    """A heading, and the panels below it from left to right."""

    title: str
    panels: tuple[Panel, ...]


def row(title: str, *panels: Panel) -> Row:
    return Row(title, panels)


def stat(
    title: str, description: str, query: str, *, unit: str = "short", steps: Sequence[Any] = ALL_NEUTRAL,
    words: Mapping[str, str] | None = None, decimals: int | None = None, width: int = 4,
) -> Panel:  # fmt: skip
    """One number. `words`: what stands for values."""
    defaults: Json = {"unit": unit, "color": {"mode": "thresholds"}, "thresholds": _steps(steps)}
    if words:
        defaults["mappings"] = [_words(words)]
    if decimals is not None:
        defaults["decimals"] = decimals
    options = {
        "colorMode": "value", "graphMode": "none", "textMode": "value",
        "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
    }  # fmt: skip
    body = {"type": "stat", "targets": [_target(query, instant=True)], "options": options}
    return Panel(title, description, body | _field_config(defaults), width, 4)


def graph(
    title: str, description: str, *queries: tuple[str, str], unit: str = "short", width: int = 12,
    stacked: bool = False, at_most: float | None = None, height: int = 8,
) -> Panel:  # fmt: skip
    """Lines over time; `queries` are expressions with their legends."""
    custom: Json = {"lineWidth": 1, "fillOpacity": 15, "showPoints": "never", "spanNulls": False}
    if stacked:
        custom |= {"stacking": {"mode": "normal"}, "fillOpacity": 40}
    defaults: Json = {"unit": unit, "min": 0, "color": {"mode": "palette-classic"}, "custom": custom}
    if at_most is not None:
        defaults["max"] = at_most
    options = {
        "legend": {"displayMode": "list", "placement": "bottom", "showLegend": True},
        "tooltip": {"mode": "multi", "sort": "desc"},
    }
    targets = [_target(query, legend, number=number) for number, (query, legend) in enumerate(queries)]
    body = {"type": "timeseries", "targets": targets, "options": options}
    return Panel(title, description, body | _field_config(defaults), width, height)


def heatmap(title: str, description: str, histogram: str, *, width: int = 12) -> Panel:
    """How often which duration occurred. `histogram` selects its buckets."""
    query = f"sum by (le) (increase({histogram}[$__rate_interval]))"
    options = {
        "calculate": False, "cellGap": 1, "yAxis": {"unit": "s", "axisPlacement": "left"},
        "color": {"mode": "scheme", "scheme": "Oranges", "steps": 64, "exponent": 0.5},
        "filterValues": {"le": 1e-9}, "tooltip": {"mode": "single", "yHistogram": False}, "legend": {"show": True},
    }  # fmt: skip
    body = {"type": "heatmap", "targets": [_target(query, "{{le}}", format="heatmap")], "options": options}
    return Panel(title, description, body | _field_config({"unit": "s"}), width, 8)


def timeline(
    title: str, description: str, query: str, legend: str, words: Mapping[str, str], *, width: int = 12
) -> Panel:
    """States over time; `words` names the values."""
    defaults = {
        "unit": "short", "color": {"mode": "thresholds"}, "thresholds": _steps(ONE_IS_GOOD),
        "mappings": [_words(words)], "custom": {"fillOpacity": 70, "lineWidth": 0},
    }  # fmt: skip
    options = {"showValue": "never", "mergeValues": True, "rowHeight": 0.8, "legend": {"showLegend": False}}
    body = {"type": "state-timeline", "targets": [_target(query, legend)], "options": options}
    return Panel(title, description, body | _field_config(defaults), width, 8)


@dataclass(frozen=True)
class Column:
    """A column of numbers: its heading, the query, and the unit. `words`: what stands for values."""

    title: str
    query: str
    unit: str = "short"
    words: Mapping[str, str] | None = None


def table(
    title: str, description: str, rows: Mapping[str, str], *columns: Column, link: str = "", width: int = 24,
    hidden: Iterable[str] = (), height: int = 8,
) -> Panel:  # fmt: skip
    """A table with one row for each set of label values. `rows`: label -> heading; the first is linked."""
    targets, names, overrides = [], dict(rows), []
    for number, column in enumerate(columns):
        targets.append(_target(column.query, number=number, instant=True, format="table"))
        # Grafana names the only column of values otherwise.
        value = f"Value #{_letter(number)}" if len(columns) > 1 else "Value"
        names[value] = column.title
        properties: list[Json] = [{"id": "unit", "value": column.unit}]
        if column.words:
            properties.append({"id": "mappings", "value": [_words(column.words)]})
        overrides.append({"matcher": {"id": "byName", "options": column.title}, "properties": properties})
    if link:
        first = next(iter(rows.values()))
        links = [{"title": "Show", "url": link}]
        overrides.append(
            {"matcher": {"id": "byName", "options": first}, "properties": [{"id": "links", "value": links}]}
        )
    body = {
        "type": "table", "targets": targets, "options": {"showHeader": True, "cellHeight": "sm"},
        "transformations": [
            {"id": "merge", "options": {}},
            {"id": "organize", "options": {
                "excludeByName": dict.fromkeys(("Time", *hidden), True),
                "indexByName": {name: place for place, name in enumerate(names)},
                "renameByName": names,
            }},
        ],
    }  # fmt: skip
    return Panel(title, description, body | _field_config({"unit": "short"}, overrides), width, height)


def variable(name: str, label: str, values: str, *, several: bool = True) -> Json:
    """A choice of label values; `values` is a query as `label_values(metric, label)`. Without `several`: of one."""
    return {
        "name": name, "label": label, "type": "query", "datasource": SOURCE,
        "query": {"qryType": 1, "query": values, "refId": name}, "definition": values,
        "refresh": 2, "sort": 1, "hide": 0, "multi": several, "includeAll": several,
        **({"allValue": ".*", "current": {"selected": True, "text": ["All"], "value": ["$__all"]}} if several else {}),
    }  # fmt: skip


def annotation(
    name: str, colour: str, query: str, text: str, *, at_value: bool = False, shown: bool = True
) -> Json:
    """Marks on the graphs. `at_value`: the query's values are the times, in milliseconds."""
    return {
        "name": name, "datasource": SOURCE, "enable": shown, "hide": False, "iconColor": colour, "expr": query,
        "step": "60s", "titleFormat": name, "textFormat": text, "useValueForTime": "on" if at_value else False,
    }  # fmt: skip


def board(
    uid: str, title: str, description: str, *, variables: Sequence[Json], annotations: Sequence[Json],
    rows: Sequence[Row],
) -> Json:  # fmt: skip
    """Return the whole dashboard, as it is imported."""
    source = {
        "name": "datasource", "label": "Data source", "type": "datasource", "query": "prometheus",
        "current": {"selected": False, "text": "Prometheus", "value": "prometheus"}, "hide": 0, "refresh": 1,
    }  # fmt: skip
    others = {
        "title": "wp-sidecar", "type": "dashboards", "tags": [TAG], "asDropdown": False, "icon": "external link",
        "includeVars": True, "keepTime": True, "targetBlank": False,
    }  # fmt: skip
    return {
        "uid": uid, "title": title, "description": description, "tags": [TAG, "wordpress", "security"],
        "schemaVersion": 39, "version": 1, "editable": False, "graphTooltip": 1, "refresh": "30s",
        "time": {"from": "now-6h", "to": "now"}, "timezone": "browser", "links": [others],
        "annotations": {"list": list(annotations)}, "templating": {"list": [source, *variables]},
        "panels": list(_placed(rows)),
    }  # fmt: skip


def _placed(rows: Sequence[Row]) -> Iterable[Json]:
    """Yield headings and panels, each at its place."""
    number, y = 0, 0
    for each in rows:
        number += 1
        yield {
            "id": number, "type": "row", "title": each.title, "collapsed": False, "panels": [],
            "gridPos": {"h": 1, "w": WIDTH, "x": 0, "y": y},
        }  # fmt: skip
        y += 1
        x = tallest = 0
        for panel in each.panels:
            if x + panel.width > WIDTH:
                x, y, tallest = 0, y + tallest, 0
            number += 1
            place = {"h": panel.height, "w": panel.width, "x": x, "y": y}
            head = {"id": number, "title": panel.title, "description": panel.description}
            yield head | {"datasource": SOURCE, "gridPos": place} | panel.body
            x, tallest = x + panel.width, max(tallest, panel.height)
        y += tallest


def _target(
    query: str, legend: str = "", *, number: int = 0, instant: bool = False, format: str = "time_series"  # noqa: A002
) -> Json:  # fmt: skip
    return {
        "datasource": SOURCE, "editorMode": "code", "expr": query, "legendFormat": legend, "format": format,
        "instant": instant, "range": not instant, "refId": _letter(number),
    }  # fmt: skip


def _letter(number: int) -> str:
    return chr(ord("A") + number)


def _field_config(defaults: Json, overrides: Sequence[Json] = ()) -> Json:
    return {"fieldConfig": {"defaults": defaults, "overrides": list(overrides)}}


def _steps(steps: Sequence[Any]) -> Json:
    return {"mode": "absolute", "steps": [{"value": value, "color": colour} for value, colour in steps]}


def _words(words: Mapping[str, str]) -> Json:
    return {"type": "value", "options": {value: {"text": text} for value, text in words.items()}}
