# make demo, make test: each sets up everything it needs, once.
PYTHON ?= $(shell command -v python3.11 || command -v python3 || echo python3)
VENV := .venv
BIN := $(VENV)/bin
SERVING := .venv-serving
FUZZ := .venv-fuzz
FUZZ_SECONDS ?= 300

.DEFAULT_GOAL := help
.PHONY: help demo test test-serving soak fuzz mutants check format clean

help:
	@echo "make demo          generate a shop, train, evaluate, stream: the whole of it (no Kafka needed)"
	@echo "make test          run the tests"
	@echo "make test-serving  prove the small install: load a model and stream without torch"
	@echo "make soak          run the slow tests"
	@echo "make fuzz          look for inputs that the event decoder gets wrong (FUZZ_SECONDS=300)"
	@echo "make mutants       write deliberate bugs into a copy and see the tests notice each"
	@echo "make check         ruff, mypy, import-linter"

demo: $(VENV)/.installed
	@$(BIN)/session-rec demo

test: $(VENV)/.installed
	$(BIN)/python -m pytest -m "not soak" -n 3 --dist loadfile --no-loadscope-reorder

soak: $(VENV)/.installed
	$(BIN)/python -m pytest -m soak --timeout 3600

test-serving: $(VENV)/.installed $(SERVING)/.installed
	$(BIN)/python tests/serving/make_model.py $(SERVING)/model
	$(SERVING)/bin/python tests/serving/check.py $(SERVING)/model

check: $(VENV)/.installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

fuzz: $(FUZZ)/.installed
	$(FUZZ)/bin/python tests/fuzz/fuzz_decoder.py $(FUZZ)/corpus -max_total_time=$(FUZZ_SECONDS) \
		-max_len=1200 -dict=tests/fuzz/event.dict -artifact_prefix=$(FUZZ)/ -print_final_stats=1

mutants: $(VENV)/.installed
	$(BIN)/python tests/mutants/run.py

format: $(VENV)/.installed
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf $(VENV) $(SERVING) $(FUZZ) runs

# The stamp is written last: an install that was cut short is done again.
$(VENV)/.installed: pyproject.toml constraints.txt
	@$(call need_python)
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --disable-pip-version-check -c constraints.txt torch==2.13.0 -e '.[train,tune,dev]'
	@touch $@

$(SERVING)/.installed: pyproject.toml constraints-serving.txt $(shell find session_rec streaming -name '*.py')
	@$(call need_python)
	@rm -rf $(SERVING) build && $(PYTHON) -m venv $(SERVING)
	$(SERVING)/bin/python -m pip install --disable-pip-version-check -q -c constraints-serving.txt .
	@rm -rf build
	@touch $@

# atheris is libFuzzer for Python: it stays out of the other environments.
$(FUZZ)/.installed: constraints-serving.txt
	@$(call need_python)
	@rm -rf $(FUZZ) && $(PYTHON) -m venv $(FUZZ)
	$(FUZZ)/bin/python -m pip install --disable-pip-version-check -q -c constraints-serving.txt \
		atheris==3.0.0 msgspec numpy onnxruntime pydantic safetensors
	@touch $@

define need_python
"$(PYTHON)" -c 'import sys; sys.exit(0 if sys.version_info[:2] == (3, 11) else 1)' 2>/dev/null \
	|| { echo "session-rec needs Python 3.11 ('$(PYTHON)' is not): install it, or say where it is with make PYTHON=/path/to/python3.11" >&2; exit 2; }
endef
