# On a new machine with Python 3.13, git and make, start with `make run` or `make test`.
PYTHON ?= python3
BIN := .venv/bin

.DEFAULT_GOAL := help
.PHONY: help install run test check lint format types mutants fuzz simulate soak bench docs snapshots audit requirements dist clean

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1|\2/p' $(MAKEFILE_LIST) | column -t -s '|'

install: .venv/installed ## install all packages into .venv

.venv/installed: requirements.txt requirements-cli.txt requirements-dev.txt tools/kql/package-lock.json tools/azurite/package-lock.json .python-version
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info[:2] != (3, 13))' || { \
	  echo "This project needs Python 3.13, and $(PYTHON) is $$($(PYTHON) -V). Run: make PYTHON=python3.13 $(MAKECMDGOALS)" >&2; exit 1; }
	@test ! -L .venv || { echo ".venv is a symbolic link, and make would empty its target. Remove the link first." >&2; exit 1; }
	$(PYTHON) -m venv --clear .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.txt -r requirements-cli.txt -r requirements-dev.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --no-index --editable .
	$(BIN)/python -m tools.npm
	@touch $@

run: install ## show the app on the local emulator: three runs, with changes and a failure in between
	@$(BIN)/python -m localcloud.demo

test: lint types ## check lint, format and types, and run all tests, as CI does
	$(BIN)/python -m pytest -n 4 --dist worksteal  # more than cores: many tests only wait for timeouts

check: lint types ## check lint, format and types, and run the unit tests
	$(BIN)/python -m pytest tests/unit --hypothesis-profile=quick -q -n 2

lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/codespell

types: install
	$(BIN)/mypy

format: install ## format the code, and apply the linter's fixes
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

soak: install ## check 200 runs with faults for leaks of threads, descriptors and memory (minutes)
	$(BIN)/python -m benchmarks.soak --ticks 200

bench: install ## compare the speed with the stored figures (15 minutes; BENCH=--quick: 2; BENCH=--accept: store them)
	$(BIN)/python -m benchmarks.speed $(BENCH)

mutants: install ## list mutations of the pure modules that the unit tests miss (minutes)
	@rm -rf mutants
	$(BIN)/mutmut run --max-children 2
	@$(BIN)/mutmut results
	@echo "To show a mutation: $(BIN)/mutmut show NAME"

FUZZ_EXAMPLES ?= 500
FUZZ_SEED ?= $(shell od -An -N4 -tu4 /dev/urandom | tr -d ' ')
fuzz: install ## test random files and responses: FUZZ_EXAMPLES=500 for each of four services (0.3 s each)
	@echo "To repeat this: make fuzz FUZZ_SEED=$(FUZZ_SEED) FUZZ_EXAMPLES=$(FUZZ_EXAMPLES)"
	FUZZ_EXAMPLES=$(FUZZ_EXAMPLES) $(BIN)/python -m pytest tests/unit/test_data.py -k in_json -p no:randomly \
	  --hypothesis-seed=$(FUZZ_SEED) --hypothesis-show-statistics
	FUZZ_EXAMPLES=$(FUZZ_EXAMPLES) $(BIN)/python -m pytest tests/integration/test_fuzz.py -k whatever -p no:randomly \
	  --hypothesis-seed=$(FUZZ_SEED) --hypothesis-show-statistics

ISOLATION_CASES ?= 500
ISOLATION_SEED ?= $(FUZZ_SEED)
simulate: install ## test random fleets with hanging parts, in virtual time: ISOLATION_CASES=500 (1 s each)
	@echo "To repeat this: make simulate ISOLATION_SEED=$(ISOLATION_SEED) ISOLATION_CASES=$(ISOLATION_CASES)"
	ISOLATION_CASES=$(ISOLATION_CASES) ISOLATION_SEED=$(ISOLATION_SEED) $(BIN)/python -m pytest tests/unit/test_isolation.py -k made_up -n 2 -q

docs: install ## generate the tables and queries on pages, the schema and the workbook
	$(BIN)/python -m tools.generate

snapshots: install ## update the snapshots of infra/ for the tests (needs the Bicep CLI of .bicep-version)
	$(BIN)/python -m tools.snapshots

audit: install ## check the deployed packages for known vulnerabilities (uses a public service)
	$(BIN)/pip-audit --requirement requirements.txt --no-deps --disable-pip --strict --progress-spinner off

requirements: install ## update the pinned packages from the ranges in pyproject.toml
	$(BIN)/uv pip compile --quiet --upgrade --generate-hashes --no-header --no-annotate --python-version 3.13 \
	  --python-platform x86_64-manylinux_2_28 --group app -o requirements.txt
	$(BIN)/uv pip compile --quiet --upgrade --generate-hashes --no-header --no-annotate --python-version 3.13 --universal \
	  --constraint requirements.txt pyproject.toml -o requirements-cli.txt
	$(BIN)/uv pip compile --quiet --upgrade --generate-hashes --no-header --no-annotate --python-version 3.13 --universal \
	  --constraint requirements.txt --constraint requirements-cli.txt --group dev -o requirements-dev.txt

dist: install ## build a release in dist/: the command line's wheel, the app's zip file, and checksums
	rm -rf dist
	$(BIN)/uv build --quiet --wheel --no-build-isolation --offline --out-dir dist
	PATH="$(CURDIR)/$(BIN):$$PATH" sh docs/pipelines/package.sh "$(CURDIR)/dist/databricks-git-refresh-app.zip"
	cd dist && rm -f .gitignore && sha256sum -- *.whl *.zip > SHA256SUMS

clean: ## remove everything that the other targets created
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis mutants dist
