# make demo: a finished with/without table on the bundled drawings.  make test: the whole check.
# make fuzz: its random part, with many more cases.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo test fuzz clean

demo: .venv/installed
	$(BIN)/balancer run -c demo -w demo-workspace
	@echo "Pictures and the report: demo-workspace/report/"

test: .venv/installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --dist loadfile

fuzz: .venv/installed-dev
	BALANCER_FUZZ=50 OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --dist load --timeout 7200 \
		tests/test_fuzz_images.py tests/test_fuzz_words.py tests/test_random_kills.py tests/test_many_files.py

.venv/installed: pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e .
	touch $@

.venv/installed-dev: pyproject.toml .venv/installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[dev]'
	touch $@

clean:
	rm -rf .venv demo-workspace
