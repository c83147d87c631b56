# `make help` lists the targets. Each makes the environment it needs, and repairs a stale one.
.DEFAULT_GOAL := help
.PHONY: help figures test lint bench docs dist fuzz mutants audit sbom hashes clean core site full
.NOTPARALLEL:

# The first of these that is Python >= 3.11 and can make environments; 3.11 is the one tested most.
CANDIDATES := python3.11 python3.12 python3.13 python3 python
PYTHON ?= $(shell for python in $(CANDIDATES); do \
	$$python -c 'import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
	&& { echo $$python; break; }; done)

VENV := .venv
RUN := $(VENV)/bin/python
WORKERS ?= auto
# For an interpreter without a torch wheel: make test EXTRAS=test, which skips the tests of neural.
EXTRAS ?= test,docs,neural

# pip says what it fetches; while it unpacks it is silent, and a clock tells how long it is at work.
PIP := --disable-pip-version-check --no-input

# Parallelism is by process: one thread for each. Compiled kernels are kept between runs.
export OMP_NUM_THREADS = 1
export OPENBLAS_NUM_THREADS = 1
export MKL_NUM_THREADS = 1
export NUMBA_NUM_THREADS = 1
# Numba does not see that a kernel's callee has changed, so each state of the kernels has its cache.
export NUMBA_CACHE_DIR = $(CURDIR)/.numba_cache/$(shell cat solvers/_barrier/*.py solvers/methods/_*.py | cksum | cut -d' ' -f1)

help:  ## list the targets
	@sed -n 's/^\([a-z]*\):.*## */\1\t/p' Makefile

figures: core  ## make every figure, and the numbers behind it as CSV
	$(VENV)/bin/rdp warm-up
	$(RUN) -m figures --out figures/gallery --format png,pdf

test: full  ## run the tests on all cores (WORKERS=2 for two)
	$(RUN) -m pytest --numprocesses $(WORKERS) --maxprocesses 8 --dist worksteal

lint: full  ## check style, documentation and types
	$(RUN) -m ruff check
	$(RUN) -m mypy

bench: full  ## run every benchmark
	for file in benchmarks/bench_*.py; do \
		$(RUN) -m benchmarks.$$(basename $$file .py) || exit 1; \
	done

docs: site  ## build the documentation site in build/site; warnings are errors
	rm -rf build/site
	$(RUN) -m sphinx --fail-on-warning --keep-going --fresh-env -d build/doctrees docs build/site
	$(RUN) docs/check_site.py build/site

dist: full  ## build sdist and wheel, and run the README's examples from the wheel alone
	rm -rf dist build/wheel
	$(RUN) -m build --outdir dist
	$(RUN) -m venv build/wheel
	build/wheel/bin/python -m pip install $(PIP) -c constraints.txt dist/*.whl
	cd build/wheel && bin/python -P $(CURDIR)/tests/readme_examples.py && bin/rdp fit --sample

SECONDS ?= 600
fuzz: full  ## attack everything that reads, SECONDS=600 in all once kernels are compiled
	$(RUN) -m benchmarks.fuzz_inputs --seconds $(SECONDS)

mutants: full  ## make errors in the code, one at a time: do the tests notice?
	$(RUN) -m benchmarks.mutants

audit:  ## ask for known weaknesses of the pinned versions; fails where one cannot be asked about
	$(PYTHON) -m venv --clear build/audit
	build/audit/bin/python -m pip install $(PIP) pip-audit==2.10.1
	build/audit/bin/pip-audit --strict --disable-pip --no-deps -r constraints.txt

sbom: full  ## list what is installed, with licences, in build/sbom.json (CycloneDX)
	$(PYTHON) -m venv --clear build/sbom
	build/sbom/bin/python -m pip install $(PIP) cyclonedx-bom==7.5.0
	build/sbom/bin/cyclonedx-py environment --pyproject pyproject.toml -o build/sbom.json $(RUN)

hashes:  ## write the digests of all files of the pinned versions to constraints-hashed.txt
	$(PYTHON) -m venv --clear build/hashes
	build/hashes/bin/python -m pip install $(PIP) uv==0.13.9
	build/hashes/bin/uv pip compile pyproject.toml --all-extras --constraint constraints.txt \
		--universal --python-version 3.11.7 --generate-hashes --no-header --no-annotate --quiet \
		--no-emit-index-url --no-emit-find-links --output-file constraints-hashed.txt

clean:  ## remove everything that was made
	rm -rf $(VENV) build dist docs/generated .numba_cache .pytest_cache .hypothesis .mypy_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# core holds the package and what it needs; site adds the tools of the documentation, full those of the
# tests, and torch. A finished install
# leaves a stamp saying what it was made from; without a matching stamp pip runs again. What cannot
# be repaired so (no working interpreter, an install that did not finish) is made anew.
core site full:
	@made_from="$(CURDIR) $$(cat pyproject.toml constraints.txt | cksum)"; \
	case $@ in \
		core) extras= stamps=core;; \
		site) extras='[docs]' stamps='core site';; \
		full) extras='[$(EXTRAS)]' stamps='core full-$(EXTRAS)';; \
	esac; \
	if [ -e $(VENV)/unfinished ] || ! $(RUN) -m pip --version >/dev/null 2>&1; then \
		[ -n "$(PYTHON)" ] || { echo "Python 3.11 or newer, with venv, was not found" \
			"(tried: $(CANDIDATES)); name one: make PYTHON=/path/to/python" >&2; exit 1; }; \
		echo "Making $(VENV) with $(PYTHON)"; \
		rm -rf $(VENV) && $(PYTHON) -m venv $(VENV) || exit 1; \
	fi; \
	[ "$$(cat $(VENV)/$${stamps#* }.stamp 2>/dev/null)" = "$$made_from" ] && exit; \
	echo "Installing gauss-markov-rdp$$extras: 1 to 5 minutes the first time, most of it downloads"; \
	{ n=0; while sleep 10 >/dev/null 2>&1; do n=$$((n + 10)); echo "make $@: at work for $$n s"; done; } & \
	clock=$$!; trap 'kill $$clock 2>/dev/null' EXIT; \
	touch $(VENV)/unfinished \
	&& $(RUN) -m pip install $(PIP) -c constraints.txt -e ".$$extras" && rm $(VENV)/unfinished \
	&& for stamp in $$stamps; do echo "$$made_from" > $(VENV)/$$stamp.stamp; done
