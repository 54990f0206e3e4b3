# make demo: a finished with/without table on the bundled drawings.  make test: the whole check.
# make fuzz: its random part, with many more cases.
# make test-lowest: the tests with the lowest versions that pyproject.toml allows (needs uv).
# make docs: the documentation site, in site/.
PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check

# On Linux the default build of torch brings CUDA, several GB that a machine without a GPU never
# uses. `make demo TORCH=default` takes it all the same.
TORCH ?= $(shell test "$$(uname)" = Linux && ! test -e /proc/driver/nvidia/version && echo cpu)

.PHONY: demo test test-lowest fuzz docs clean

demo: .venv/installed
	$(BIN)/balancer run -c demo -w demo-workspace
	@echo "Pictures and the report: demo-workspace/report/"

test: .venv/installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --dist loadfile --no-loadscope-reorder

fuzz: .venv/installed-dev
	BALANCER_FUZZ=50 OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --dist load --timeout 7200 \
		tests/test_fuzz_images.py tests/test_fuzz_words.py tests/test_random_kills.py tests/test_many_files.py

.venv/installed: pyproject.toml
	$(PYTHON) -m venv .venv
ifeq ($(TORCH),cpu)
	@$(PIP) uv
	@UV_HTTP_TIMEOUT=15 UV_HTTP_RETRIES=1 $(BIN)/python -m uv pip install --quiet \
		--python .venv --torch-backend cpu 'torch>=2.10' 'torchvision>=0.25' 2>.venv/torch-cpu.log \
		|| echo "PyTorch's CPU index cannot be reached (.venv/torch-cpu.log): the larger default build is installed."
endif
	$(PIP) -e .
	touch $@

.venv/installed-dev: pyproject.toml .venv/installed
	$(PIP) -e '.[dev]'
	touch $@

.venv-lowest/installed: pyproject.toml
	uv venv --quiet --clear --python $(PYTHON) .venv-lowest
	uv pip install --quiet --python .venv-lowest --resolution lowest-direct -e '.[dev]'
	touch $@

test-lowest: .venv-lowest/installed
	OMP_NUM_THREADS=1 .venv-lowest/bin/python -m pytest -n auto --dist loadfile --no-loadscope-reorder

docs: .venv/installed-dev
	$(BIN)/mkdocs build --strict --quiet

clean:
	rm -rf .venv .venv-lowest site demo-workspace
