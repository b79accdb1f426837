# Everything a contributor runs. `make test` is what CI runs.

GOTESTSUM   = go run gotest.tools/gotestsum@v1.13.0
STATICCHECK_VERSION = v0.8.2
STATICCHECK = go run honnef.co/go/tools/cmd/staticcheck@$(STATICCHECK_VERSION)
GOLANGCI    = go run github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0

export CGO_ENABLED ?= 0

.PHONY: build test torture versions mysql sts faults bench deps lint golangci contracts golden compose clean

build: ## one static binary, ./headwater
	go build -trimpath -ldflags='-s -w' -o headwater ./cmd/headwater

deps: ## what the tests need and the machine may lack: private PostgreSQL and MariaDB, a C compiler for -race, node, the nats command line
	@.ci/deps
	@.ci/tools

# In `make test` the linters read the same packages that its tests are linked from:
# without, or with, the race detector is a compilation each of a thousand packages.
lint: ## formatting, vet, staticcheck
	@unformatted="$$(gofmt -l .)"; if [ -n "$$unformatted" ]; then echo "gofmt would change:"; echo "$$unformatted"; exit 1; fi
	$(AS_TESTED) go vet $(RACE) ./...
	$(STATICCHECK) ./...

golangci: ## more of the same, as .golangci.yml says; its first run compiles for some minutes
	$(GOLANGCI) run ./...

contracts: deps ## Spectral, Redocly, openapi-typescript, oapi-codegen, the AsyncAPI parser, Modelina and the CloudEvents SDKs read what a running service says
	HEADWATER_TEST_REQUIRE=1 go test -count=1 -run 'Contract|TestAsync|TestExamples|TestResultsAreDocumented|TestCloudEventsSDKs' ./api ./bus

test: RACE        = $(TESTED)
test: AS_TESTED   = CGO_ENABLED=1
test: SCRATCH     = .ci/scratch
test: STATICCHECK = go run -exec 'env CGO_ENABLED=1 "GOFLAGS=$(TESTED)"' honnef.co/go/tools/cmd/staticcheck@$(STATICCHECK_VERSION)

# The race detector needs cgo, with which Pebble would take its compression from C and
# not from Go, as the program does.
TESTED = -race -tags=pebblegozstd

# Without GORACE every process with the race detector sleeps a second before it ends.
GO_TEST = $(SCRATCH) env GORACE=atexit_sleep_ms=0 HEADWATER_TEST_REQUIRE=1 CGO_ENABLED=1 $(GOTESTSUM) --format pkgname-and-test-fails -- $(TESTED)

test: deps lint ## the whole suite; ends with how many tests ran and how many were skipped
	$(GO_TEST) -vet=off -p 3 -short -timeout 1h ./...

torture: deps ## the same suite at full length: 200 kills amid syncs, 200 amid changes of a log and 200 of a program that follows one, 36 faults of a cluster, 120 of the lake's store, stopped owners, more histories (1000 steps of each database server), longer Watermill suites
	$(GO_TEST) -count=1 -timeout 3h ./...

# Versions of PostgreSQL beside the installed one, and where they are kept.
POSTGRES       ?= 14 16 17 18
POSTGRES_CACHE ?= $(or $(TMPDIR),/tmp)/headwater-postgres

versions: deps ## the log of changes with other versions of PostgreSQL, which npm brings: POSTGRES='16 18'
	@.ci/postgres-versions $(POSTGRES_CACHE) $(POSTGRES)
	HEADWATER_TEST_POSTGRES=$(POSTGRES_CACHE) go test -count=1 -timeout 1h ./connectors/postgres/capture

MYSQL_CACHE ?= $(or $(TMPDIR),/tmp)/headwater-mysql

mysql: deps ## the MySQL connector, its log of changes, and 10 kills, with Debian's newest MySQL
	@.ci/mysql-server $(MYSQL_CACHE)
	HEADWATER_TEST_MYSQL=$(MYSQL_CACHE) HEADWATER_TEST_REQUIRE=1 go test -count=1 -timeout 1h -run MySQL ./connectors/mysql/...
	HEADWATER_TEST_MYSQL=$(MYSQL_CACHE) HEADWATER_TEST_REQUIRE=1 go test -count=1 -timeout 1h -run 'TestKilledWhileChangesAreFollowed/^MySQL$$' ./cmd/headwater -kills 40

SEAWEEDFS_CACHE ?= $(or $(TMPDIR),/tmp)/headwater-seaweedfs

sts: deps ## keys to single tables, of the STS of a SeaweedFS that is built for it
	@.ci/seaweedfs $(SEAWEEDFS_CACHE)
	HEADWATER_TEST_SEAWEEDFS=$$(ls $(SEAWEEDFS_CACHE)/*/weed | tail -1) HEADWATER_TEST_REQUIRE=1 go test -count=1 -run 'BucketsST|BucketsStore' ./cmd/headwater

FAULTS ?= 36

faults: deps ## FAULTS faults of a cluster in use; prints what was lost, doubled or stuck, and how long each took to recover from
	HEADWATER_TEST_REQUIRE=1 go test -count=1 -timeout 6h -v -run 'TestFaults$$' ./cmd/headwater -faults $(FAULTS)

# Where the bench keeps its data between runs, and what it is told: -quick for a
# tenth of the rows, -only postgres,csv for some of the works; cmd/bench/README.md gets the
# whole table only.
BENCH_CACHE ?= $(or $(TMPDIR),/tmp)/headwater-bench
BENCH       ?= -readme cmd/bench/README.md

bench: deps ## whole syncs beside the limit of their source in the same run; then reading alone (x-psql), and the projection's rates
	@.ci/bench-deps $(BENCH_CACHE)
	go run ./cmd/bench -cache $(BENCH_CACHE) $(BENCH)
	go test -run '^$$' -bench . -benchtime 5x ./connectors/postgres ./connectors/postgres/capture ./connectors/mysql ./connectors/mysql/capture ./connectors/sqlite ./connectors/httpapi
	go test -run '^$$' -bench . ./projections

golden: ## rewrite the golden files after a deliberate change of a contract
	go test ./bus/event ./bus/command ./api -update

compose: ## check docker-compose.yml where docker is installed
	docker compose config --quiet

clean:
	rm -rf headwater headwater-data
