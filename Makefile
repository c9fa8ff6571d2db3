# dsrun: build, test and measure. `make test` is the one command that CI runs.
SHELL      := /bin/bash
GO         ?= go
TAGS       := disable_grpc_modules,grpcnotrace
LDFLAGS    := -s -w
BIN        := bin/dsrun
TESTBED    := $(CURDIR)/.cache/testbed
export DSRUN_TESTBED_BIN ?= $(TESTBED)/bin
export DSRUN_TESTBED_LOG ?= $(TESTBED)/used.log

.PHONY: build test test-go test-race test-long bench fuzz docs lint check-link testbed clean

build: ## the dsrun binary in bin/
	$(GO) build -trimpath -tags $(TAGS) -ldflags "$(LDFLAGS)" -o $(BIN) ./cmd/dsrun

test: testbed lint test-go test-race check-link ## everything, with what it needs installed where that is possible
	@internal/testbed/report.sh

testbed: ## the servers and tools that tests use
	@internal/testbed/install.sh

# Suites wait for servers most of their time, so that more of them run at once than there are processors.
test-go:
	@mkdir -p $(TESTBED); : > $(DSRUN_TESTBED_LOG)
	$(GO) test -p 3 -timeout 25m -tags $(TAGS) ./...

# Suites over servers that are slow under the race detector: `make test-long` runs them so, the gate runs them without.
SLOW_RACE := engine/providers$$|providers/(adlsgen1|adlsgen2|alipan|azureblob|azurefiles|databricks|gcs|oci|pubsub|sftp|sns|sqs|eventgrid|huggingface|internal/webhdfs)$$

test-race: ## the race detector needs a C compiler
	@if command -v $${CC:-gcc} >/dev/null; then \
		set -x; CGO_ENABLED=1 $(GO) test -race -timeout 25m $$($(GO) list ./engine/... ./starlib/... ./config/... | grep -vE '$(SLOW_RACE)'); \
	elif [ "$$DSRUN_TESTBED" = require ]; then echo "race detector: no C compiler" >&2; exit 1; \
	else echo "race detector: skipped, no C compiler"; fi

test-long: testbed ## the full figures: 200 kills, long fuzzing, big content bombs
	DSRUN_TEST_LONG=1 $(GO) test -timeout 80m -tags $(TAGS) ./...
	CGO_ENABLED=1 $(GO) test -race -timeout 80m $$($(GO) list ./engine/providers/... | grep -E '$(SLOW_RACE)')

bench: build ## ratios against peers and floors in one run
	@internal/bench/run.sh

fuzz: ## every fuzz target for FUZZTIME (default 60s) each
	@internal/testbed/fuzz.sh $${FUZZTIME:-60s}

docs: ## the generated reference below internal/docs/reference
	$(GO) generate ./...

lint:
	@bad=$$(gofmt -l $$(git ls-files '*.go')); [ -z "$$bad" ] || { echo "not gofmt'd:"; echo "$$bad"; exit 1; }
	$(GO) vet -tags $(TAGS) ./...
	@$(GO) mod tidy -diff >/dev/null || { echo "go.mod is not tidy: run go mod tidy"; exit 1; }

check-link: ## reflection by method name turns off dead-code elimination for the whole binary
	@internal/testbed/checklink.sh

clean:
	rm -rf bin .cache
