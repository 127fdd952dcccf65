# Two commands do everything on a fresh machine with Python 3.13, git and make: `make run` and `make test`.
PYTHON ?= python3
BIN := .venv/bin

.DEFAULT_GOAL := help
.PHONY: help install run test check lint format types mutants fuzz simulate soak bench docs snapshots audit requirements dist clean

help: ## what can be made
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1|\2/p' $(MAKEFILE_LIST) | column -t -s '|'

install: .venv/installed ## prepare .venv with all that the other targets need

.venv/installed: requirements.txt requirements-cli.txt requirements-dev.txt tools/kql/package-lock.json tools/azurite/package-lock.json .python-version
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info[:2] != (3, 13))' || { \
	  echo "This project needs Python 3.13, and $(PYTHON) is $$($(PYTHON) -V). Say which to use: make PYTHON=python3.13 $(MAKECMDGOALS)" >&2; exit 1; }
	@test ! -L .venv || { echo ".venv is a symbolic link: what it leads to would be emptied. Remove the link first." >&2; exit 1; }
	$(PYTHON) -m venv --clear .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.txt -r requirements-cli.txt -r requirements-dev.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --no-index --editable .
	$(BIN)/python -m tools.npm
	@touch $@

run: install ## show the app on the local emulator: three runs, with a new commit, expired tokens, and a failure
	@$(BIN)/python -m localcloud.demo

test: lint types ## lint, format, types and all tests (what CI runs)
	$(BIN)/python -m pytest -n 4 --dist worksteal  # more than there are cores: half of it waits for faults to be given up

check: lint types ## lint, format, types and unit tests: while you work
	$(BIN)/python -m pytest tests/unit --hypothesis-profile=quick -q -n 2

lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/codespell

types: install
	$(BIN)/mypy

format: install ## mend what the linter and the formatter can mend
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

soak: install ## 200 runs in one process, another fault in each: whether threads, descriptors or memory grow (takes minutes)
	$(BIN)/python -m benchmarks.soak --ticks 200

bench: install ## how fast a run is, compared with what is kept (fifteen minutes; BENCH=--quick: two; BENCH=--accept: keep the figures)
	$(BIN)/python -m benchmarks.speed $(BENCH)

mutants: install ## break the pure modules on purpose, and list what the unit tests do not notice (takes minutes)
	@rm -rf mutants
	$(BIN)/mutmut run --max-children 2
	@$(BIN)/mutmut results
	@echo "See one of the above with: $(BIN)/mutmut show NAME"

FUZZ_EXAMPLES ?= 500
FUZZ_SEED ?= $(shell od -An -N4 -tu4 /dev/urandom | tr -d ' ')
fuzz: install ## hostile files and answers, anew each time: FUZZ_EXAMPLES=500 for each of four services (0.3 s each)
	@echo "The same again: make fuzz FUZZ_SEED=$(FUZZ_SEED) FUZZ_EXAMPLES=$(FUZZ_EXAMPLES)"
	FUZZ_EXAMPLES=$(FUZZ_EXAMPLES) $(BIN)/python -m pytest tests/unit/test_data.py -k in_json -p no:randomly \
	  --hypothesis-seed=$(FUZZ_SEED) --hypothesis-show-statistics
	FUZZ_EXAMPLES=$(FUZZ_EXAMPLES) $(BIN)/python -m pytest tests/integration/test_fuzz.py -k whatever -p no:randomly \
	  --hypothesis-seed=$(FUZZ_SEED) --hypothesis-show-statistics

ISOLATION_CASES ?= 500
ISOLATION_SEED ?= $(FUZZ_SEED)
simulate: install ## let parts of fleets hang, anew each time, in virtual time: ISOLATION_CASES=500 (a second each)
	@echo "The same again: make simulate ISOLATION_SEED=$(ISOLATION_SEED) ISOLATION_CASES=$(ISOLATION_CASES)"
	ISOLATION_CASES=$(ISOLATION_CASES) ISOLATION_SEED=$(ISOLATION_SEED) $(BIN)/python -m pytest tests/unit/test_isolation.py -k made_up -n 2 -q

docs: install ## write anew what is made from the code and the queries: tables and queries on pages, schema, workbook
	$(BIN)/python -m tools.generate

snapshots: install ## write what infra/ deploys, for the tests: after a change of a template or a query (needs the Bicep CLI of .bicep-version)
	$(BIN)/python -m tools.snapshots

audit: install ## look up what is deployed among the known vulnerabilities (asks a public service)
	$(BIN)/pip-audit --requirement requirements.txt --no-deps --disable-pip --strict --progress-spinner off

requirements: install ## pin anew what is deployed, what the command line uses, and what the tests use, from pyproject.toml
	$(BIN)/uv pip compile --quiet --upgrade --generate-hashes --no-header --no-annotate --python-version 3.13 \
	  --python-platform x86_64-manylinux_2_28 --group app -o requirements.txt
	$(BIN)/uv pip compile --quiet --upgrade --generate-hashes --no-header --no-annotate --python-version 3.13 --universal \
	  --constraint requirements.txt pyproject.toml -o requirements-cli.txt
	$(BIN)/uv pip compile --quiet --upgrade --generate-hashes --no-header --no-annotate --python-version 3.13 --universal \
	  --constraint requirements.txt --constraint requirements-cli.txt --group dev -o requirements-dev.txt

dist: install ## what a release has, into dist/: the wheel of the command line, the zip file to deploy, and their checksums
	rm -rf dist
	$(BIN)/uv build --quiet --wheel --no-build-isolation --offline --out-dir dist
	PATH="$(CURDIR)/$(BIN):$$PATH" sh docs/pipelines/package.sh "$(CURDIR)/dist/databricks-git-refresh-app.zip"
	cd dist && rm -f .gitignore && sha256sum -- *.whl *.zip > SHA256SUMS

clean: ## remove what the targets above have made
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis mutants dist
