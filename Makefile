# Kakitome. `make run` starts a country in a box, `make test` runs all tests. Everything else is for developers.

GO      ?= go
BIN     := bin
BOX     ?= box
BASE    ?= 8800
MODULES := auth_knowledge auth_oidc auth_otp_sms number_simulated payment_banktransfer payment_sandbox payment_stripe render_standard
TOOLS   := box smsc handsets till samplecsv
VERSION := $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
# Modules are started often and need no C; the program itself needs none either, but the race detector does.
FLAGS   := -trimpath -ldflags "-s -w -X main.version=$(VERSION)"
# The same for go run and for the tests' programs as for build: all but the tests is compiled once.
export GOFLAGS := -trimpath
export CGO_ENABLED := 0

.PHONY: all build run test axe check generate bench chaos fuzz clean go-new-enough

all: build

go-new-enough:
	@need=$$(sed -n 's/^go //p' go.mod); have=$$(GOTOOLCHAIN=local $(GO) env GOVERSION 2>/dev/null | sed 's/^go//'); \
	if [ -z "$$have" ]; then echo "Go $$need or newer is needed and none is installed: https://go.dev/dl/"; exit 1; fi; \
	if [ "$$(printf '%s\n%s\n' "$$need" "$$have" | sort -V | head -n 1)" != "$$need" ]; then echo "Go $$need or newer is needed, this is Go $$have: https://go.dev/dl/"; exit 1; fi

# One go command builds all programs of a kind: they share almost everything.
build: go-new-enough
	@mkdir -p $(BIN)/modules
	@$(GO) build $(FLAGS) -o $(BIN)/ . $(TOOLS:%=./tools/%)
	@for m in $(MODULES); do $(GO) build $(FLAGS) -o $(BIN)/modules/$$m ./plugins/$$(echo $$m | sed 's,_,/,') || exit 1; done

# A country in a box, in the foreground. FRESH=1 forgets what the last run kept; BASE=8900 uses other ports.
run: build
	@exec $(BIN)/box -bin $(BIN) -dir $(BOX) -base $(BASE) $(if $(FRESH),-fresh)

# What is built for the race detector: pebblegozstd takes zstd in Go, as the program itself does, which has no C.
# Without what a debugger reads a tenth less is to do.
RACE    := GOFLAGS="-race -tags=pebblegozstd -gcflags=all=-dwarf=false" CGO_ENABLED=1

# vet is of check. What the tests build is built as by build. Three packages at a time: some wait for clocks and browsers. A program with
# the race detector would sleep a second at its end. -timeout is for a slow machine: the longest package takes five minutes beside others on two cores.
test: go-new-enough
	@[ -e tools/look/node_modules/axe-core/axe.min.js ] || echo "axe-core is not installed (make axe): pages are looked at without it"
	$(RACE) $(GO) test -vet=off -p 3 -exec "env -u GOGC GOFLAGS=-trimpath CGO_ENABLED=0 GORACE=atexit_sleep_ms=0" -shuffle=on -timeout 20m ./tools/apptest/... ./... # the longest first

# What checks pages in the tests with a browser besides our own rules; without it they run without it.
axe:
	npm ci --prefix tools/look --ignore-scripts --no-audit --no-fund --silent

# Everything that must hold before a commit, but for the tests. What is built to be looked at is what the tests run: it is compiled once.
check: go-new-enough
	@out=$$(gofmt -l $$(git ls-files '*.go')); if [ -n "$$out" ]; then echo "not formatted: $$out"; exit 1; fi
	@$(GO) build -C tools/check -o ../../$(BIN)/check .
	$(RACE) $(BIN)/check ./... # vet and staticcheck
	$(GO) mod verify >/dev/null
	@$(GO) mod tidy && git diff --exit-code -- go.mod go.sum
	$(MAKE) --no-print-directory generate
	git diff --exit-code

generate:
	$(GO) run ./tools/protogen plugins/proto kakitome.proto
	@$(GO) run ./tools/confsample > conf/kakitome.sample.toml.new && mv conf/kakitome.sample.toml.new conf/kakitome.sample.toml

bench: build
	$(GO) run ./bench

# Faults under load, judged by three ledgers; at most 15 minutes. The same faults again: ARGS="-seed N".
chaos: go-new-enough
	$(GO) run ./tools/chaos $(ARGS)

# A minute for each parser of outside bytes.
fuzz:
	@for p in $$($(GO) list ./...); do for f in $$($(GO) test -list '^Fuzz' $$p | grep '^Fuzz'); do $(GO) test -run '^$$' -fuzz "^$$f$$" -fuzztime 60s $$p || exit 1; done; done

clean:
	rm -rf $(BIN)
