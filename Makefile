# Platestream's commands. Each first prepares .venv by itself; it takes Python 3.11 to 3.13, make and a package index.
# PYTHON=/path/to/python3.12 chooses another Python.

PYTHON ?= $(shell for python in python3 python3.13 python3.12 python3.11; do \
	"$$python" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 14))' 2>/dev/null && \
	{ echo "$$python"; break; }; done)
RUN := .venv/bin/python
UV := .cache/uv/bin/uv --cache-dir .cache/uv/cache

.PHONY: help venv bqemulator demo test chaos fuzz load gpu test-gpu sanitize check lint-deployments format bench lock clean
.DEFAULT_GOAL := help

help: ## say what there is
	@echo "make demo      a real plate on this machine, from its first image to its answer (KEEP=1 leaves it running)"
	@echo "make test      all tests that this machine has the parts for; names what it left out"
	@echo "make chaos     kill and stop processes, fail disk, clock and network under a running stack (SEEDS=20, or SEED=123 again)"
	@echo "make test-gpu  the tests of CUDA kernels on this machine's NVIDIA GPU (first installs 3 GB of packages)"
	@echo "make sanitize  the same under NVIDIA's compute-sanitizer: memcheck, racecheck, initcheck, synccheck"
	@echo "make fuzz      damaged inputs of every kind, CASES=2000 of each; names what crashes, takes long or takes much"
	@echo "make check     style, types and layers"
	@echo "make lint-deployments   checkov reads Terraform, manifests and container files (first installs 290 MB of packages)"
	@echo "make format    put the code into the style that make check asks for"
	@echo "make bqemulator  install the BigQuery stand-in of the tests (400 MB in .cache), without which theirs are left out"
	@echo "make bench     measure; the results are written to benchmarks/results"
	@echo "make load      put PLATES=60 plates without pixels through a real server; DATABASE=postgresql, STORE=bucket"
	@echo "make lock      choose package versions anew, within pyproject.toml (LOCK_OPTIONS=--upgrade for the newest)"
	@echo "make clean     remove what make made: .venv and .cache"

venv:
	@test -n "$(PYTHON)" || { echo "Platestream needs Python 3.11, 3.12 or 3.13, and found $$(python3 --version 2>&1). \
	Install one, or name it: make PYTHON=/path/to/python3.12"; exit 2; }
	@"$(PYTHON)" .ci/make_venv.py

bqemulator: venv
	@"$(PYTHON)" .ci/make_bqemulator.py

demo: venv
	@.venv/bin/platestream demo $(if $(KEEP),--keep)

# One process more than cores, for many tests wait for others' processes; a file of tests stays in one of them
# (tests/order.py). Compiled first, for a hundred child processes load the code, and some machines let Python keep nothing.
test: venv
	@$(RUN) -m compileall -q -j 0 flows imaging kernels tests
	@$(RUN) -m pytest --numprocesses $$(($$(nproc) < 4 ? $$(nproc) + 1 : 4)) --dist loadfile $(TESTS)

# Several minutes a seed with Prefect; LIGHT=1 starts runs without it. HITS=8 processes are hit per seed; FAULTS=disk,clock,network.
chaos: venv
	@$(RUN) -m tests.chaos.campaign $(if $(SEED),--seed $(SEED),--seeds $(or $(SEEDS),1)) $(if $(LIGHT),--light) \
		$(if $(HITS),--hits $(HITS)) $(if $(FAULTS),--faults $(FAULTS)) $(if $(PLANT),--plant $(PLANT))

# CUDA kernels on a real GPU; what needs none is in `make test`. The lock of the GPU's packages agrees with the other one.
GPU_TESTS := -m pytest -m gpu $(or $(TESTS),tests)
SANITIZERS ?= memcheck racecheck initcheck synccheck

gpu: venv
	@command -v nvidia-smi >/dev/null && nvidia-smi -L || \
		{ echo "There is no NVIDIA GPU here: nvidia-smi names none. make test runs the kernels on the CPU."; exit 2; }
	@$(RUN) -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes --requirement requirements-gpu.lock
	@$(RUN) -m tests.cuda.device

test-gpu: gpu
	@$(RUN) $(GPU_TESTS)

sanitize: gpu
	@command -v compute-sanitizer >/dev/null || { echo "compute-sanitizer is not on the PATH; it comes with CUDA's toolkit."; exit 2; }
	@for tool in $(SANITIZERS); do \
		echo "== $$tool"; compute-sanitizer --tool $$tool --error-exitcode 1 $(RUN) $(GPU_TESTS) || exit 1; \
	done

# SEED=N repeats a run, ONLY="'OME-XML' SQL" takes some targets.
fuzz: venv
	@$(RUN) -m tests.fuzz.campaign $(if $(CASES),--cases $(CASES)) $(if $(SEED),--seed $(SEED)) $(if $(ONLY),--only $(ONLY))

# pyright runs on the node.js that playwright brings, so that nothing else has to be fetched.
check: venv
	$(RUN) -m ruff check .
	$(RUN) -m ruff format --check .
	.venv/bin/lint-imports --cache-dir .cache/import-linter
	@PATH="$$($(RUN) -c 'import importlib.util as u; print(u.find_spec("playwright").submodule_search_locations[0])')/driver:$$PATH" \
		PYRIGHT_PYTHON_IGNORE_WARNINGS=1 $(RUN) -m pyright --pythonpath $(RUN)
	.venv/bin/hadolint deployments/Containerfile deployments/Containerfile.cuda
	@$(RUN) -m flows.cli manifests gcp >.cache/manifests.yaml
	.venv/bin/kubernetes-validate --kubernetes-version 1.33 --strict --quiet .cache/manifests.yaml
	@if command -v terraform >/dev/null; then terraform fmt -check -recursive deployments/terraform; fi

# In a venv of its own: its pins clash with ours.
CHECKOV := .cache/checkov/bin/checkov

lint-deployments: venv
	@test -x $(CHECKOV) || \
		{ $(RUN) -m venv .cache/checkov && .cache/checkov/bin/python -m pip install --quiet 'checkov==3.3.*'; }
	@mkdir -p .cache/deployments && rm -rf .cache/deployments/* && cp -R deployments/terraform deployments/gcp.yaml .cache/deployments
	@cp deployments/Containerfile .cache/deployments/Dockerfile
	@cp deployments/Containerfile.cuda .cache/deployments/Dockerfile.cuda
	@$(RUN) -m flows.cli manifests gcp >.cache/deployments/manifests.yaml
	@BC_SKIP_MAPPING=TRUE LOG_LEVEL=ERROR $(CHECKOV) --config-file deployments/terraform/checkov.yaml --directory .cache/deployments
	@echo "checkov finds nothing in Terraform, manifests and container files"

format: venv
	$(RUN) -m ruff check --fix .
	$(RUN) -m ruff format .

load: venv
	@$(RUN) -m benchmarks.load --plates $(or $(PLATES),60) --burst $(or $(BURST),20) --every $(or $(EVERY),50) \
		--database $(or $(DATABASE),sqlite) --store $(or $(STORE),folder) --at-once $(or $(AT_ONCE),4)

bench: venv
	@$(RUN) -m benchmarks.run $(ONLY)

# One set of versions for Python 3.11 to 3.13, with hashes and without the address of an index. Only this needs uv, which
# does not read pip.conf: another index than the usual one is named to it by UV_DEFAULT_INDEX.
lock:
	@test -x .cache/uv/bin/uv || \
		{ "$(PYTHON)" -m venv .cache/uv && .cache/uv/bin/python -m pip install --quiet uv; }
	$(UV) pip compile pyproject.toml --group dev --output-file requirements.lock $(LOCKING)
	$(UV) pip compile pyproject.toml --group build --extra gke --constraint requirements.lock \
		--output-file requirements-run.lock $(LOCKING)
	$(UV) pip compile pyproject.toml --group build --extra gpu --constraint requirements.lock \
		--output-file requirements-gpu.lock $(LOCKING)
	$(UV) pip compile tests/standins/bqemulator.in --output-file tests/standins/bqemulator.lock $(LOCKING)

LOCKING := --universal --fork-strategy fewest --python-version 3.11 --generate-hashes --no-annotate --quiet \
	--no-emit-find-links --custom-compile-command "make lock" $(LOCK_OPTIONS)

clean:
	rm -rf .venv .cache
