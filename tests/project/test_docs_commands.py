"""What README and docs tell people to paste: commands, options, variables and the compose service."""

import contextlib
import inspect
import itertools
import re
import shlex

import pytest
import typer.main
import yaml

from sidecar.access.log_format import is_quick
from sidecar.cli.app import make_app
from sidecar.config import labels
from sidecar.config.environment import known_names
from sidecar.control.protocol import ADDRESS, MAX_REQUEST_BYTES, ControlRequest
from sidecar.control.transfer import ImportRequest
from tests.support.markdown import blocks, code_spans, pages
from tests.support.paths import ROOT

README = ROOT / "README.md"
COMPOSE = yaml.safe_load((ROOT / "compose.yaml").read_text())
(SNIPPET,) = [yaml.safe_load(block.text) for block in blocks(README.read_text()) if block.language == "yaml"]
APP = typer.main.get_command(make_app())

# Before the command's own words: a prompt, a pipe, or a way into the container.
COMMAND = re.compile(
    r"(?:^|[|$;&] *|exec(?: -\w+)* wp-sidecar )wp-sidecar ((?:[a-z][\w-]*|-h|--\w+)(?: .*)?)$"
)
# What docs show in the shell and other programs read: mu-plugin and compose.yaml.
OTHER_VARIABLES = {
    "WP_SIDECAR_PLUGIN_KEY",
    "WP_SIDECAR_CROSS_SITE",
    "WP_SIDECAR_IMAGE",
    "WP_SIDECAR_RUNBOOK_URL",
}


def shown_lines(page):
    """Every line that may be a command: those of blocks, and code within prose."""
    text = page.read_text()
    for block in blocks(text):
        if block.language in ("", "sh", "bash", "console"):
            yield from block.text.replace("\\\n", " ").splitlines()
    yield from code_spans(text)


def words_of(line):
    """The words after `wp-sidecar` up to the next shell operator; None where a line is no command of ours."""
    if not (found := COMMAND.search(line.strip())):
        return None
    lexer = shlex.shlex(found[1], posix=True, punctuation_chars=True)
    lexer.commenters, lexer.whitespace_split = "#", True
    words = []
    # A line may end within quotes that its next line closes.
    with contextlib.suppress(ValueError):
        for word in itertools.takewhile(lambda word: not set(word) <= set("();<>|&"), lexer):
            words.append(word)  # noqa: PERF402 - what stands before the quotes is kept
    return words


def fault(words):
    """What is wrong with a command, in a sentence; None: it exists, with each option."""
    command = APP
    for n, word in enumerate(words):
        commands = getattr(command, "commands", None)
        if commands and not word.startswith("-"):
            if word not in commands:
                return f"there is no command {word}"
            command = commands[word]
        elif re.match(r"--?[a-zA-Z]", word):
            known = {name for each in command.params for name in each.opts} | {"--help", "-h"}
            if word.partition("=")[0] not in known:
                return f"`{' '.join(words[:n])}` has no option {word}"
    return None


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("$ docker exec wp-sidecar wp-sidecar bans --json", ["bans", "--json"]),
        ("docker logs -t wordpress 2>&1 | wp-sidecar test-filter wordpress", ["test-filter", "wordpress"]),
        ("wp-sidecar bans | head -1", ["bans"]),
        ("docker build -t wp-sidecar --network=host .", None),
        ("helm install wp-sidecar charts/wp-sidecar", None),
        ("wp-sidecar: key=... ip=...", None),
    ],
)
def test_commands_are_found(line, words):
    assert words_of(line) == words


def test_a_command_that_does_not_exist_is_a_fault():
    assert fault(["alert", "test", "--ban"]) is None
    assert fault(["bens"]) == "there is no command bens"
    assert fault(["bans", "--jails", "x"]) == "`bans` has no option --jails"


def test_each_command_of_the_docs_exists_with_its_options():
    shown = [(page, words) for page in pages() for line in shown_lines(page) if (words := words_of(line))]

    assert len(shown) > 30
    assert [f"{page.relative_to(ROOT)}: {wrong}" for page, words in shown if (wrong := fault(words))] == []


def test_each_variable_of_the_docs_exists():
    known = {*known_names(), *OTHER_VARIABLES}
    unknown = {
        (page.name, name)
        for page in pages()
        for name in re.findall(r"\bWP_SIDECAR_[A-Z_]*[A-Z]", page.read_text())
        if name not in known
    }

    assert unknown == set()


def test_each_metric_of_the_docs_exists():
    # This page is printed from the metrics.
    known = set(re.findall(r"`(wp_sidecar_\w+)`", (ROOT / "docs/metrics.md").read_text()))
    series = {f"{name}{end}" for name in known for end in ("", "_bucket", "_sum", "_count")}
    named = {
        (page.name, name)
        for page in pages()
        for name in re.findall(r"`(wp_sidecar_\w+)[`{]", page.read_text())
        if page.name != "CHANGELOG.md"
    }

    assert len(named) > len(known)
    assert {each for each in named if each[1] not in series} == set()


def test_each_request_of_the_control_socket_is_described_with_all_of_its_fields():
    page = (ROOT / "docs/cli.md").read_text()
    rows = {
        command: set(re.findall(r"`(\w+)`", fields))
        for asked, fields in re.findall(r'^\| (`\{"do".*?) \|(.*)\|$', page, re.MULTILINE)
        for command in re.findall(r'"do": "(\w+)"', asked)
    }
    read = {
        kind.command: {
            ADDRESS if name == "ADDRESS" else name
            for name in re.findall(
                r'(?:fields\.get\(|_number\(fields, )"?(\w+)', inspect.getsource(kind.from_json)
            )
        }
        # Tests have requests of their own.
        for kind in ControlRequest.__subclasses__()
        if kind.__module__.startswith("sidecar.")
    }

    assert ImportRequest.command in read
    assert {(command, each) for command, fields in read.items() for each in fields - rows[command]} == set()
    for each in (page, (ROOT / "docs/security.md").read_text()):
        assert f"{MAX_REQUEST_BYTES >> 10} KiB" in each


def test_the_readmes_service_is_that_of_compose_yaml():
    shown, real = SNIPPET["services"]["wp-sidecar"], COMPOSE["services"]["wp-sidecar"]
    same = shown.keys() - {"image", "environment"}

    assert {key: shown[key] for key in same} == {key: real[key] for key in same}
    assert real.keys() - shown.keys() == {"build", "healthcheck", "labels", "logging"}
    assert real["image"] == f"${{WP_SIDECAR_IMAGE:-{shown['image']}}}"
    assert shown["environment"].keys() <= real["environment"].keys()
    assert SNIPPET["volumes"].keys() <= COMPOSE["volumes"].keys()


def test_commands_in_the_container_name_one_that_exists():
    names = {SNIPPET["services"]["wp-sidecar"]["container_name"], "CONTAINER"}
    # `docker [compose] exec [options] NAME wp-sidecar …`
    called = {
        found[1]
        for page in pages()
        for line in shown_lines(page)
        if (found := re.search(r"docker (?:compose )?exec(?: -\w+)* (\S+) wp-sidecar\b", line))
    }

    assert called == names & called
    assert "wp-sidecar" in called


def test_the_image_that_the_readme_builds_is_the_one_it_runs():
    assert (
        f"docker build -t {SNIPPET['services']['wp-sidecar']['image']} --network=host ." in README.read_text()
    )


def test_the_memory_that_the_readme_states_was_measured():
    measured = dict(re.findall(r"^(\w+) +MB +(\d+)", (ROOT / "docs/benchmarks.md").read_text(), re.MULTILINE))
    idle, with_bans = re.findall(r"uses (\d+) MB of memory when idle and (\d+) MB with", README.read_text())[
        0
    ]

    assert (idle, with_bans) == (measured["idle_memory"], measured["memory_100000_bans"])


YAML = [
    pytest.param(yaml.safe_load(block.text), id=f"{page.stem}-{n}")
    for page in pages()
    for n, block in enumerate(blocks(page.read_text()))
    if block.language == "yaml"
]


def settings(value, within=""):
    """Each label of wp-sidecar and each text in a piece of YAML, as compose hands it on."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from settings(inner, str(key))
    elif isinstance(value, list):
        for inner in value:
            name, _, text = str(inner).partition("=")
            yield from settings(text, name)
    else:
        yield within, str(value).replace("$$", "$")


@pytest.mark.parametrize("block", YAML)
def test_the_labels_that_docs_show_exist_and_are_valid(block):
    shown = {name: text for name, text in settings(block) if name.startswith("wp-sidecar.")}

    known = labels.known_labels()
    assert shown.keys() <= known.keys()
    for name, text in shown.items():
        known[name].parse(text)
    # Another format in a label would not be believed by default.
    assert all(is_quick(text) for name, text in shown.items() if name == "wp-sidecar.log-format")
