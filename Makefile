# Everything here runs on a fresh machine with Go and gcc (the race detector needs it).

GO      ?= go
PKG     ?= ./...
# Below vfs everything builds for browsers and WASI; the whole module builds for the rest.
LOW     := ./index/... ./bulk/... ./pages/... ./pitr/... ./hydrate/... ./writer/... ./compact/... ./restore/... ./verify/... ./diff/... ./history/... ./sidecar/... \
           ./objstore/... ./internal/...
CROSS   := linux/arm64 darwin/arm64 darwin/amd64 windows/amd64

.PHONY: all test test-examples test-monitoring race unit integration sim crash load servers sandbox bench bench-peers plots soak lint cross fuzz sqlfuzz vulncheck demo web test-web web-demo man release image clean

all: lint test

## test: everything: unit, conformance, integration with real MinIO, Versity Gateway and Litestream (whose tests mostly wait, hence 4 at once); then less of it with the race detector
test: servers
	$(GO) test -timeout 20m -parallel 4 $(PKG)
	$(MAKE) race

## race: all packages with the race detector, which makes them ten times slower: tests do less (-short). SQLite itself runs on one goroutine a connection and is left out, and so is what compiles WebAssembly.
## No more of wazero may be: its sync.Map is shared by the whole program, and the linker would take the copy without the detector, which then sees races where there is none
WAZEVO  := github.com/tetratelabs/wazero/internal/engine/wazevo
NORACE  := github.com/ncruces/go-sqlite3-wasm/... $(WAZEVO)/ssa/... $(WAZEVO)/backend/... $(WAZEVO)/frontend/...
race: servers
	$(GO) test -race -short $(NORACE:%=-gcflags=%=-race=false) -timeout 20m -parallel 4 $(PKG)

## test-examples: the examples, a module of their own, against real servers (EXAMPLES=-short for less)
EXAMPLES ?=
test-examples: servers
	cd examples && $(GO) vet ./... && $(GO) tool -modfile=../go.mod staticcheck ./... && $(GO) test -timeout 10m -p 2 $(EXAMPLES) ./...

## test-monitoring: the alert rules, with promtool from Debian's package (or the one of PROMTOOL)
test-monitoring:
	bash docs/monitoring/test.sh

## unit: what needs no server
unit:
	$(GO) test -short -timeout 10m ./index/... ./pages/... ./pitr/... ./vfs/... ./internal/... ./guard/... .

## sandbox: the WASI module that "ltxctl query --sandbox" runs, into sandbox/guest; a minute the first time
SANDBOX := sandbox/guest/litefs-s3.wasm.gz
sandbox:
	$(GO) run ./integration/wasimodule/prebuild -o $(SANDBOX)

## integration: the tests against real servers alone
integration: servers
	$(GO) test -timeout 20m -parallel 4 ./integration/... ./objstore/s3store/...

## servers: build MinIO, the Versity Gateway, Litestream and (with gcc) its VFS extension once, into the user's cache directory
servers:
	$(GO) run ./integration/servers/prebuild -peers

## sim: worlds in which everything goes wrong, SEEDS of them from FIRST on; one of them again with SEED=n; then every request of every operation
SEEDS ?= 2000
STEPS ?= 150
FIRST ?= 1
SEED  ?=
PROCS ?= $(shell nproc 2>/dev/null || echo 2)
SIM   := ./integration/sim
sim:
ifneq ($(SEED),)
	$(GO) test -count=1 -v -timeout 60m $(SIM) -run 'TestSim$$' -sim.seed=$(SEED) -sim.steps=$(STEPS) -sim.print -sim.trace=0
else
	$(GO) test -c -o $(SIM)/sim.test $(SIM)
	cd $(SIM) && ./sim.test -test.timeout 2h -test.run 'TestSim$$' -sim.seeds=$(SEEDS) -sim.first=$(FIRST) -sim.steps=$(STEPS) -sim.procs=$(PROCS)
	cd $(SIM) && ./sim.test -test.timeout 2h -test.run 'TestEveryFault$$' -sim.all
	rm $(SIM)/sim.test
endif

## crash: processes that are killed and stopped, KILLS times in each test: writer, hydrator, compactors, restores; MinIO itself under a writer and a reader; full disks
KILLS ?= 300
crash: servers
	KILLS=$(KILLS) .ci/figures $(GO) test -count=1 -v -timeout 4h -run 'Kill|StoppedWriter|DiskFull' ./writer ./hydrate ./compact ./restore ./integration

## bench: the benchmark suite; prints a table (QUICK=1 for the 100 MB database alone)
bench: servers
	$(GO) run ./integration/bench $(if $(QUICK),-quick)

## soak: a writer, a compactor with retention, readers, time travellers and restores at once, for SOAK (default 5m)
SOAK ?= 5m
soak: servers
	.ci/figures $(GO) test -v -count=1 -timeout 0 -run '^TestSoak$$' ./integration -soak $(SOAK)

## bench-peers: the same work here, with Litestream's VFS extension, on a plain file and by plain GETs (minutes; gcc for the extension)
bench-peers: servers
	$(GO) run ./integration/bench -only peers -db small -latency 25ms -count 3 -json docs/peers.json

## plots: draw docs/peers.json, which bench-peers writes
plots:
	$(GO) run ./integration/bench/plot -in docs/peers.json -out docs

## load: 64 readers and 8 writers of one database on MinIO, readers that keep a View, a thousand databases, for LOAD (default 2m)
LOAD ?= 2m
load: servers
	.ci/figures $(GO) test -v -count=1 -timeout 0 -run '^TestLoad' ./integration -load $(LOAD)

## lint: gofmt, vet, staticcheck
lint:
	@out=$$(gofmt -l $$(git ls-files -co --exclude-standard '*.go')); if [ -n "$$out" ]; then echo "gofmt would change:"; echo "$$out"; exit 1; fi
	$(GO) vet ./...
	$(GO) tool staticcheck ./...

## cross: other platforms compile
cross:
	@set -e; for t in $(CROSS); do echo "build $$t"; GOOS=$${t%/*} GOARCH=$${t#*/} CGO_ENABLED=0 $(GO) build ./... ; done
	@set -e; for t in js/wasm wasip1/wasm; do echo "build $$t (below vfs)"; GOOS=$${t%/*} GOARCH=$${t#*/} $(GO) build $(LOW); done
	GOOS=wasip1 GOARCH=wasm $(GO) vet ./cmd/litefs-s3-wasi/...
	GOOS=js GOARCH=wasm $(GO) vet ./web/... ./objstore/fetchstore ./internal/promise

## fuzz: each fuzz target for FUZZTIME, with FUZZMEM MiB of memory at most
FUZZTIME ?= 10s
FUZZMEM  ?= 1024
fuzz:
	GO=$(GO) FUZZMEM=$(FUZZMEM) .ci/fuzz $(FUZZTIME)

## sqlfuzz: made-up SQL here and on a plain file, SEEDS of it from FIRST on
sqlfuzz:
	LITEFS_S3_SQL_SEEDS=$(SEEDS) LITEFS_S3_SQL_FIRST=$(FIRST) $(GO) test -run TestSQL_ -count=1 -timeout 6h .

## vulncheck: known weaknesses of the code and of all modules it uses; needs the network
vulncheck:
	$(GO) run golang.org/x/vuln/cmd/govulncheck@v1.1.4 ./...

## demo: what it does, in ten seconds, without a server
demo:
	$(GO) run ./cmd/ltxctl demo

## web: the package for browsers, in web/: its program, and what starts it
# Calls are large in Go's wasm and inlined ones larger: without inlining where it buys no speed, 150 KB less come over the wire.
WASM   := web/litefs-s3.wasm
INLINE := runtime/... internal/runtime/... hash/... github.com/pierrec/lz4/... github.com/ncruces/go-sqlite3-wasm/...
web:
	GOOS=js GOARCH=wasm $(GO) build -trimpath -ldflags='-s -w' -gcflags=all=-l $(INLINE:%=-gcflags=%=) -o $(WASM) ./web/wasm
	cp "$$($(GO) env GOROOT)/lib/wasm/wasm_exec.js" web/wasm_exec.js

## test-web: the package in a real headless Chromium, against real MinIO and Litestream; installs what that takes
test-web: web servers
	web/test/install.sh
	web/test/conformance.sh
	cd web/test && npx --no-install tsc -p . && node --test browser.test.mjs

## web-demo: the demo page with a sample that goes on changing, at http://localhost:8080/demo/ (ADDR=host:port)
ADDR ?= localhost:8080
web-demo: web
	$(GO) run ./cmd/ltxctl/internal/webdemo -addr $(ADDR)

## man: the manual pages, into dist/man
man:
	$(GO) run ./cmd/ltxctl man dist/man

## release: static binaries with their manual pages and checksums, into dist (VERSION=v1.2.3; the default is what git says)
VERSION  ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo devel)
RELEASES := linux/amd64 linux/arm64 darwin/amd64 darwin/arm64 windows/amd64 windows/arm64
release: man sandbox
	@set -e; for t in $(RELEASES); do \
	  os=$${t%/*}; arch=$${t#*/}; out=dist/ltxctl-$(VERSION)-$$os-$$arch; [ $$os != windows ] || out=$$out.exe; echo "$$out"; \
	  GOOS=$$os GOARCH=$$arch CGO_ENABLED=0 $(GO) build -trimpath -tags sandbox_embed -ldflags "-s -w -X main.version=$(VERSION)" -o $$out ./cmd/ltxctl; done
	tar -C dist -czf dist/ltxctl-$(VERSION)-man.tar.gz man
	cd dist && sha256sum ltxctl-$(VERSION)-* > SHA256SUMS && sha256sum -c --quiet SHA256SUMS

## image: the container image, with docker or podman (OCI=podman)
OCI ?= docker
image:
	$(OCI) build -f Containerfile --build-arg VERSION=$(VERSION) -t ltxctl:$(VERSION) .

clean:
	rm -rf dist $(SANDBOX) $(WASM) web/wasm_exec.js web/test/node_modules
	$(GO) clean -testcache
