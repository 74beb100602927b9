# `make` and `make help` list the targets. Every target does its own set-up (scripts/setup.sh).
SHELL := /bin/bash
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory
JOBS ?= $(shell nproc)
# Targets on one command line are steps, one after the other, also with -j: `make ca4-plan ca4-apply …`. Compilers run in parallel anyway.
.NOTPARALLEL:

.PHONY: help
help: ## this list
	@if [ -t 1 ] && [ -z "$$NO_COLOR" ]; then bold=$$'\033[1m' plain=$$'\033[0m'; fi; \
	  grep -hE '^[a-z][a-z0-9-]*:.*## ' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | \
	  awk -F'\t' -v bold="$$bold" -v plain="$$plain" '{printf "  %s%-22s%s %s\n", bold, $$1, plain, $$2}'
	@echo '  [AWS] an account: AWS_REGION and credentials, or AWS_ENDPOINT_URL of a simulator. [SSH] the key that the system was made with.'
	@echo '  [tunnel] a running `make run-local-processor`, or `ca4 tunnel`. [kubectl] kubectl. [root] network namespaces.'

.PHONY: setup-build setup-demo setup-sim setup-test setup-deploy setup-package setup-sbom
setup-build setup-demo setup-sim setup-test setup-deploy setup-package setup-sbom: setup-%:
	@scripts/setup.sh $*

.PHONY: build
build: setup-build ## compile build/release/ca4
	@scripts/build.sh release ca4

.PHONY: demo
demo: setup-demo build ## start the whole pipeline on this machine, push real images through a real model, show the result
	@scripts/demo.sh

.PHONY: verify-preflight verify-kafka verify-db verify-workflow
verify-preflight: build ## is everything there: configuration, processor, token, log, store, archive? (flags: VERIFY_FLAGS)
verify-kafka: build ## brokers, topics, replicas, a marker in and out again, lag
verify-db: build ## the document store answers, writes, reads and removes
verify-workflow: build ## a marked event all the way, timed, and removed again
verify-preflight verify-kafka verify-db verify-workflow: verify-%:
	@build/release/ca4 verify $* $(VERIFY_FLAGS)

.PHONY: check
check: setup-demo ## the inner loop: build and unit tests (under two minutes)
	@scripts/build.sh release all
	@ctest --preset release -L unit -j $(JOBS) --output-on-failure

.PHONY: test
test: ## everything: unit, end-to-end, browser, contract, sanitizers, format, lint
	@scripts/test.sh

.PHONY: asan tsan
asan: setup-test ## the unit suite under AddressSanitizer and UBSan
	@scripts/build.sh asan all && ctest --preset asan -L unit -j $(JOBS) --output-on-failure
tsan: setup-test ## the unit suite of the concurrent parts under ThreadSanitizer
	@scripts/tsan.sh

.PHONY: lint
lint: setup-test ## clang-format and clang-tidy
	@scripts/lint.sh

.PHONY: format
format: setup-test ## rewrite the C++ sources in the project's format
	@git ls-files '*.cc' '*.h' | xargs clang-format-19 -i

.PHONY: bench bench-api bench-growth bench-worker bench-parts bench-kafka bench-mongo bench-faults bench-instructions setup-bench
setup-bench: setup-test
	@for peer in nginx python camel benthos worker; do scripts/setup-bench-$$peer.sh || exit 1; done
bench: setup-bench ## beside its peers and floors, on this machine: docs/benchmarks.md (20 minutes; all combinations, hours: BENCH_FLAGS=--full)
	@scripts/build.sh release all
	@scripts/bench.sh $(BENCH_FLAGS)
bench-api: ## of `make bench`: `serve` beside a FastAPI processor, bridges to Kafka, and floors (flags: BENCH_FLAGS)
bench-growth: ## of `make bench`: what an event costs among few and among many (flags: BENCH_FLAGS)
bench-worker: ## of `make bench`: `work` beside Kafka Connect, Python workers, and floors; BENCH_FLAGS=--full: a backlog of 10^6
bench-api bench-growth bench-worker: bench-%: setup-bench
	@scripts/build.sh release all
	@.deps/venv/bin/python bench/$*.py $(BENCH_FLAGS)
bench-parts: ## parts that have no peer: handing over, idle connections, draining, the stores
bench-kafka: ## events/s and CPU an event: `serve` into a real Kafka, `work` from it into a store (flags: BENCH_FLAGS)
bench-mongo: ## upserts, redeliveries and scans on a MongoDB-wire server: per second, and CPU each
bench-faults: ## how soon service is back after each of five outages of 30 s (flags: BENCH_FLAGS="--down-s 5")
bench-instructions: ## the instructions that an event costs in each component beside their budgets (BENCH_FLAGS=--write makes them the budgets)
bench-parts bench-kafka bench-mongo bench-faults bench-instructions: bench-%: setup-test
	@scripts/build.sh release all
	@.deps/venv/bin/python bench/$*.py $(BENCH_FLAGS)

.PHONY: torture
MINUTES ?= 1
BACKEND ?= embedded
torture: setup-test ## real processes under faults drawn from a seed, judged: nothing lost, nothing twice (MINUTES=n SEED=s BACKEND=embedded|servers)
	@scripts/build.sh release ca4
	@.deps/venv/bin/python torture --minutes $(MINUTES) --backend $(BACKEND) $(if $(SEED),--seed $(SEED)) $(TORTURE_FLAGS)

.PHONY: hostile
hostile: setup-test ## honest clients beside slow, lying, flooding and bomb-throwing ones: are they answered, and how much later (flags: HOSTILE_FLAGS="--seconds 15")
	@scripts/build.sh release ca4
	@.deps/venv/bin/python torture/hostile.py $(HOSTILE_FLAGS)

.PHONY: fuzz
SECONDS_EACH = $(or $(SECONDS),60)
fuzz: setup-test ## libFuzzer on everything that reads what others wrote (SECONDS=60 for each, TARGETS="event_json image")
	@scripts/fuzz.sh $(SECONDS_EACH) $(TARGETS)

.PHONY: soak
soak: setup-test ## `serve` and `work` at half of their peak load: memory, descriptors, latency and files must stay flat (MINUTES=60)
	@scripts/build.sh release ca4
	@.deps/venv/bin/python torture/soak.py $(if $(filter-out file,$(origin MINUTES)),--minutes $(MINUTES)) $(SOAK_FLAGS)

.PHONY: torture-disk
REPEATS ?= 100
WHAT ?= cuts
torture-disk: setup-test ## power cuts, calls that fail, damaged logs and outboxes, judged likewise (WHAT=cuts|calls|damage SEED=s REPEATS=n JOBS=n; TORTURE_FLAGS)
	@scripts/build.sh release ca4 ca4_disk
	@.deps/venv/bin/python torture/disks.py $(WHAT) --jobs $(JOBS) --repeats $(REPEATS) $(if $(SEED),--seed $(SEED)) $(TORTURE_FLAGS)

.PHONY: wheel
wheel: setup-test ## the Python package ca4-producer: build/wheel/dist, installed and tested with the notebook
	@scripts/build.sh release ca4
	@scripts/wheel.sh
	@scripts/test-wheel.sh

.PHONY: package
package: setup-package build ## a Debian package with systemd units: build/package/ca4_VERSION_ARCH.deb
	@scripts/package.sh

.PHONY: image image-archive
image: ## the container image, built by buildah, podman or docker; CA4_IMAGE names it; CA4_IMAGE_VARIANT=cuda for GPUs
	@scripts/image.sh build
image-archive: build ## the same without any of them, for `docker load` or `k3s ctr images import`: build/image/ca4/ca4-VERSION.tar
	@scripts/image.sh archive

.PHONY: sbom
sbom: setup-sbom build ## what the program is made of, as CycloneDX: build/sbom/ca4.cdx.json
	@.deps/venv/bin/python scripts/sbom.py
.PHONY: sbom-check
sbom-check: sbom ## which of its Debian packages are older here than what Debian has, security updates first (run `apt-get update` before)
	@.deps/venv/bin/python scripts/sbom_check.py

.PHONY: bench-producer
bench-producer: setup-test build ## measure `ca4 produce` against the model alone and a plain Python loop; build/bench/producer.md
	@scripts/setup-model.sh resnet50
	@.deps/venv/bin/python bench/producer.py $(BENCH_FLAGS)

.PHONY: clean
clean: ## remove what was built (not what was downloaded: .deps/)
	@rm -rf build demo-data

include deploy/targets.mk
