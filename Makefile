# Every target installs what it needs first, also on a bare Debian machine.
BIN := .venv/bin
DEMO := demo

.DEFAULT_GOAL := help
.PHONY: help setup setup-tests demo test test-slow test-runtimes lint check bench soak kills fuzz clean

help:  ## list the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "make %-10s %s\n", $$1, $$2}'

setup:  ## make .venv; installs missing system packages
	@.ci/setup.sh

setup-tests:
	@.ci/setup.sh tests

demo: setup  ## recordings to alarms on synthetic machines, about three minutes after the set-up; goes on where it was stopped
	$(BIN)/edge-asd demo --out $(DEMO)

test: setup-tests  ## the tests, without the slow ones
	$(BIN)/pytest

test-slow: setup-tests  ## only the slow tests
	$(BIN)/pytest -m slow --timeout 1800

test-runtimes: setup-tests  ## bundles under the oldest and the newest ONNX Runtime that is supported
	$(BIN)/pytest -m slow tests/export/bundling/test_onnxruntime_versions.py

lint: setup  ## ruff and mypy
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

check: lint test  ## everything that a change must pass

$(DEMO)/bundle/manifest.json:
	$(MAKE) demo

bench: setup $(DEMO)/bundle/manifest.json  ## time the demo's bundle on this machine
	$(BIN)/edge-asd bench --bundle $(DEMO)/bundle --machine synthetic-valve --json $(DEMO)/bench.json

soak: setup $(DEMO)/bundle/manifest.json  ## 24 hours of sound through the monitor, about ten minutes
	$(BIN)/python -m benchmarks.soak --bundle $(DEMO)/bundle --data $(DEMO)/recordings \
		--machine synthetic-valve --json $(DEMO)/soak.json

kills: setup-tests  ## 400 kills of a monitor while three outputs listen, about three minutes
	$(BIN)/pytest -m slow --timeout 1800 tests/device/monitor/test_kills.py

fuzz: setup-tests  ## 3,000 damaged and hostile bundles, a few minutes
	PYTHONPATH=.:tests $(BIN)/python -m benchmarks.fuzz_bundles --count 3000 --log fuzz.jsonl

clean:  ## remove what the tools and the demo made, keep .venv
	rm -rf $(DEMO) fuzz.jsonl build dist .hypothesis .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -not -path './.venv/*' -prune -exec rm -rf {} +
