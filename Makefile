# Two commands do all the set-up: `make demo` and `make test`.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo test test-kernels faults docs lint format clean

demo: .venv/.installed
	rm -rf runs/demo
	$(BIN)/resfront search quick --name demo
	$(BIN)/resfront export demo --knee -o runs/demo/exports/knee
	@echo "exported network: runs/demo/exports/knee"
	@echo "look at the study: $(BIN)/resfront dashboard demo"

test: .venv/.installed-dev
	$(BIN)/pytest -n auto --dist loadfile --no-loadscope-reorder

# What compares numbers, again with the kernels of other processors and with two threads, then random studies whose
# networks are all exported. Takes half an hour.
KERNELS := ONEDNN_MAX_CPU_ISA=SSE41 ONEDNN_MAX_CPU_ISA=AVX2 ONEDNN_MAX_CPU_ISA=AVX512_CORE \
	ATEN_CPU_CAPABILITY=default ATEN_CPU_CAPABILITY=avx2 RESFRONT_TEST_THREADS=2
test-kernels: .venv/.installed-dev
	for setting in $(KERNELS); do \
		echo "== $$setting"; env $$setting $(BIN)/pytest -m numbers -n auto --dist loadfile || exit 1; \
	done
	for setting in ATEN_CPU_CAPABILITY=avx512 ONEDNN_MAX_CPU_ISA=SSE41 ONEDNN_MAX_CPU_ISA=AVX2; do \
		echo "== $$setting"; env $$setting $(BIN)/python -m tests.kernels.random_studies || exit 1; \
	done

# What goes wrong around a study and what must happen then; the cases that take long too, and a table at the end.
faults: .venv/.installed-dev
	$(BIN)/pytest tests/faults --faults -n auto --dist loadfile

# The documentation as a site; a broken link or a name without documentation is an error.
docs: .venv/.installed-dev
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict
	@echo "open site/index.html, or serve it, for its search: $(BIN)/python -m http.server --directory site"

lint: .venv/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: .venv/.installed-dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf .venv site

.venv/bin/python:
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --upgrade pip

.venv/.installed: pyproject.toml | .venv/bin/python
	$(BIN)/python -m pip install --quiet --editable .
	touch $@

.venv/.installed-dev: pyproject.toml | .venv/bin/python
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	touch $@ .venv/.installed
