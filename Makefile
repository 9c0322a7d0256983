# EnvRole: what a developer and an administrator run. `make help` lists it.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := build

PREFIX ?= /usr/local
DESTDIR ?=
DOCS := $(PREFIX)/share/doc/envrole
BIN := bin
BINARIES := envrole envrole-config envrole-prepare envrole-run envrole-cleanup
GO ?= go
GOBIN = $(shell $(GO) env GOPATH)/bin
GOFLAGS_BUILD := -trimpath -ldflags="-s -w"
# a number of runs, not a time: go test fails now and then when the time ends
FUZZTIME ?= 3000x
# the linters' versions; .ci/run installs them
export GOFUMPT_VERSION := v0.12.0
export GOLANGCI_VERSION := v2.15.0
export GOVULNCHECK_VERSION := v1.9.0

.PHONY: help build demo test race e2e bench fuzz vet lint vuln ci install uninstall tools clean

help: ## list the targets
	@grep -hE '^[a-z0-9]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

build: ## build the five binaries into bin/
	CGO_ENABLED=0 $(GO) build $(GOFLAGS_BUILD) -o $(BIN)/ ./cmd/...

demo: build ## run a whole job on an embedded AWS and GitLab; RUNNER=1 uses the gitlab-runner on PATH
	$(GO) run ./internal/demo -bin $(BIN) $(if $(RUNNER),-runner)

test: ## every test that needs only Go and bash
	$(GO) test -timeout 30m ./...

race: ## the same tests under the race detector
	$(GO) test -race -timeout 40m ./...

e2e: build ## the stage binaries as processes against moto_server
	$(GO) test -count=1 -tags e2e -run 'TestMoto' -v ./internal/e2e/...

bench: build ## measure: docs/performance.md says what and how to read it
	$(GO) run ./internal/bench -bin $(BIN)
	$(GO) test -run '^$$' -bench WarmVerify -benchmem ./executor/proof/idtoken/

fuzz: ## every fuzz target, FUZZTIME runs each
	@for pkg in $$($(GO) list ./...); do \
	  for target in $$($(GO) test -list '^Fuzz' $$pkg | grep '^Fuzz' || true); do \
	    echo "== $$pkg $$target"; \
	    $(GO) test -run '^$$' -fuzz "^$$target$$" -fuzztime $(FUZZTIME) $$pkg; \
	  done; \
	done

vet: ## go vet
	$(GO) vet ./...
	$(GO) vet -tags e2e,crashpoints ./...

lint: ## gofumpt and golangci-lint
	@out=$$($(GOBIN)/gofumpt -l .); if [ -n "$$out" ]; then echo "gofumpt would change:"; echo "$$out"; exit 1; fi
	$(GOBIN)/golangci-lint run ./...

vuln: ## govulncheck; says loudly when its database is out of reach
	.ci/vuln

ci: vet lint test race e2e fuzz vuln demo ## everything that CI runs

# sudo has a PATH of its own, mostly without Go: then what is built is installed
install: $(if $(shell command -v $(GO)),build) ## install binaries, docs, example configuration and units under DESTDIR/PREFIX
	@for b in $(BINARIES); do [ -x $(BIN)/$$b ] || { echo "$(BIN)/$$b is not built: run make build first" >&2; exit 1; }; done
	install -d $(DESTDIR)$(PREFIX)/bin $(DESTDIR)$(PREFIX)/share/envrole $(DESTDIR)$(DOCS)/docs $(DESTDIR)$(DOCS)/packaging
	install -m 0755 $(addprefix $(BIN)/,$(BINARIES)) $(DESTDIR)$(PREFIX)/bin/
	install -m 0644 config.example.toml $(filter-out %_test.go,$(wildcard packaging/*)) $(DESTDIR)$(PREFIX)/share/envrole/
	install -m 0644 README.md CHANGELOG.md LICENSE config.example.toml $(DESTDIR)$(DOCS)/
	install -m 0644 $(wildcard docs/*.md) $(DESTDIR)$(DOCS)/docs/
	install -m 0644 $(filter-out %_test.go,$(wildcard packaging/*)) $(DESTDIR)$(DOCS)/packaging/

uninstall: ## remove what install put there
	rm -f $(addprefix $(DESTDIR)$(PREFIX)/bin/,$(BINARIES))
	rm -rf $(DESTDIR)$(PREFIX)/share/envrole $(DESTDIR)$(DOCS)

tools: ## install the linters at their pinned versions
	$(GO) install mvdan.cc/gofumpt@$(GOFUMPT_VERSION)
	$(GO) install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(GOLANGCI_VERSION)
	$(GO) install golang.org/x/vuln/cmd/govulncheck@$(GOVULNCHECK_VERSION)

clean: ## remove what was built
	rm -rf $(BIN) coverage.out
