# One runner. Every target sets up what it needs: Python 3.11 and make are enough to start.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
DATA ?= data
RATE ?= 50
SEED ?= 1
COUNT ?= 2000
TESTS ?= tests

COMETBFT := v0.38.25

.PHONY: run test check format bench sim soak lock cometbft clean help

help: ## what can be made
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

$(STAMP): requirements.lock pyproject.toml
	@echo "Installing Bezant into $(VENV) (hash-locked; the first time takes a minute or two)"
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes --only-binary :all: -r requirements.lock
	@$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --no-index -e .
	@touch $@

run: $(STAMP) ## a node with a simulated economy paying through it
	@$(BIN)/bezant run --data $(DATA) --economy --rate $(RATE)

test: $(STAMP) ## every test, or those in TESTS
	@$(BIN)/python -m pytest $(TESTS)

check: $(STAMP) ## ruff, format, mypy, import rules, determinism lint
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports --no-cache
	@$(BIN)/python -m pytest tests/architecture

format: $(STAMP) ## put the code in shape
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

bench: $(STAMP) ## measure, beside this machine's own limits
	@$(BIN)/bezant bench

sim: $(STAMP) ## COUNT seeds from SEED on through the simulated disk, clock and scheduler
	@$(BIN)/python -m bezant.testing.simulator --seed $(SEED) --count $(COUNT) $(if $(PROCESSES),--processes $(PROCESSES))

soak: $(STAMP) ## for a night: 100 kills through HTTP, a million hostile inputs, 100,000 seeds; hours on two cores
	@echo "1 of 3: 100 kills through HTTP"
	@$(BIN)/python -m bezant.testing.blackbox --seed $(SEED) --kills 100
	@echo "2 of 3: hostile inputs"
	@$(BIN)/python -m pytest tests/fuzzing --hypothesis-profile=soak -v
	@echo "3 of 3: 100,000 seeds"
	@$(BIN)/python -m bezant.testing.simulator --seed $(SEED) --count 100000

cometbft: $(STAMP) ## install the engine of a network, CometBFT, beside Python (needs Go 1.22 or newer)
	@command -v go >/dev/null || { echo "There is no Go toolchain: install Go 1.22 or newer, then make cometbft"; exit 1; }
	@test "v$$($(BIN)/cometbft version 2>/dev/null)" = $(COMETBFT) \
	  || { echo "Building CometBFT $(COMETBFT) into $(BIN) (about a minute)"; \
	       CGO_ENABLED=0 GOBIN=$(abspath $(BIN)) go install github.com/cometbft/cometbft/cmd/cometbft@$(COMETBFT); }

lock: ## renew requirements.lock (needs uv)
	uv pip compile pyproject.toml --extra dev --extra postgres --extra plots --generate-hashes --no-emit-index-url \
	  --no-emit-find-links --no-annotate --no-header --python-version 3.11 --upgrade -o requirements.lock

clean: ## remove the environment and the caches, never data
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis build
