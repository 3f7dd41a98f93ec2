# The two commands are `make run` and `make test`; the rest serves people who work on Tessera (HACKING.md).
JOBS ?= $(shell nproc)

.PHONY: run test build dev lint format generate bench bench-peers fuzz clean

run: build            ## install what is missing, build, start on your own documents and answer a question
	@tools/run.sh

build:                ## release build: build/release/tessera
	@tools/install.sh build
	@tools/build.sh release tessera

test:                 ## everything: house rules, unit tests under sanitizers, API and browser tests
	@tools/install.sh test
	@python3 tools/test.py

dev:                  ## debug build with unit tests
	@tools/install.sh test
	@tools/build.sh dev

lint:                 ## clang-tidy over every source file
	@tools/install.sh test
	@tools/lint.sh

format:               ## clang-format every source file
	@git ls-files 'src/*.h' 'src/*.cc' 'src/*.cpp' 'bench/*.cc' 'tests/*.cc' | xargs clang-format-19 -i

generate: build       ## docs/config.md, docs/metrics.md, docs/openapi.json from the tables
	@python3 tools/generate.py

bench: build          ## the measurements of the product itself (bench/README.md); SQUAD=DIR for those on SQuAD
	@python3 bench/run.py $(if $(SQUAD),--squad $(SQUAD))

bench-peers: build    ## beside other engines, which are installed for it under bench/retrieval/.peers; takes an hour and more
	@python3 bench/run.py peers

fuzz:                 ## every fuzz target for a minute each
	@tools/install.sh test
	@tools/fuzz.sh 60

clean:
	@rm -rf build
