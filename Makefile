# make setup | test | lint | demo | attacks | bench | fuzz | spellings | servers | bed | bed-down | chart | man | site | lock
# A machine needs nothing but make, apt and root: what is used, `make setup` installs.

PYTHON := .venv/bin/python
STAMP  := .venv/.made-from

.PHONY: setup test lint demo attacks bench fuzz spellings servers bed bed-down chart man site lock clean

setup: $(STAMP)

# The system's Python with its own packages in sight: python3-nftables comes from apt only (docs/architecture.md).
$(STAMP): requirements-dev.lock pyproject.toml tests/bed/setup.sh tests/charts/helm.py tests/servers/programs.py
	tests/bed/setup.sh
	/usr/bin/python3 -m venv --system-site-packages .venv
	.venv/bin/pip install --quiet --disable-pip-version-check --require-hashes -r requirements-dev.lock
	.venv/bin/pip install --quiet --disable-pip-version-check --no-deps --editable .
	$(PYTHON) -m tests.charts.helm
	$(PYTHON) -m tests.servers.programs
	touch $@

lint: setup
	.venv/bin/ruff check
	.venv/bin/ruff format --check
	.venv/bin/mypy
	.venv/bin/lint-imports --no-cache

# Lint, then core by its own tests and covered whole, then everything, by two processes (tests/conftest.py).
test: lint
	.venv/bin/coverage run --source=sidecar/core -m pytest -q tests/core
	.venv/bin/coverage report --fail-under=100 --show-missing --skip-covered
	.venv/bin/pytest -n 2

demo: setup
	$(PYTHON) -m tests.bed.demo

# Attack tools against WordPress in the bed: banned at which try, after how long, what got through (docs/attacks.md).
attacks: setup
	$(PYTHON) -m tests.attacks

bench: setup
	$(PYTHON) -m bench

# Our verdicts against fail2ban's on lines changed at random (SEED=… repeats a run); then a million addresses, of whom nobody
# may be banned who may never be.
fuzz: setup
	FUZZ=$${FUZZ:-100000} .venv/bin/pytest --timeout=0 tests/filters/test_fuzz.py
	TRUST=$${TRUST:-1000000} .venv/bin/pytest --timeout=0 tests/core/test_allowlist_everyone.py

# Request spellings against the real WordPress on two servers (SPELLINGS=… how many, SEED=… which).
spellings: setup
	SPELLINGS=$${SPELLINGS:-100000} .venv/bin/pytest --timeout=0 tests/spellings

# Guesses through servers of other makers, whose logs are held against what their backend received (GUESSES=… how many to each,
# SEED=… which).
servers: setup
	GUESSES=$${GUESSES:-3000} .venv/bin/pytest --timeout=0 tests/servers

# The bed, kept up for looking around: WordPress under test in network namespaces of its own.
bed: setup
	$(PYTHON) -m tests.bed up

bed-down: setup
	$(PYTHON) -m tests.bed down

# The chart's README and the golden renders, anew; `git diff` shows what has changed
chart: setup
	$(PYTHON) -m tests.charts

# The man pages, anew: man/*.1
man: setup
	$(PYTHON) -m tests.cli.man_pages

# The docs as a site: site/index.html
site: setup
	$(PYTHON) -m mkdocs build

# uv only resolves; what is installed is pip's, with hashes
lock: setup
	.venv/bin/pip install --quiet uv
	.venv/bin/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --no-annotate pyproject.toml -o requirements.lock
	.venv/bin/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --no-annotate --extra dev -c requirements.lock pyproject.toml -o requirements-dev.lock

clean:
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis
