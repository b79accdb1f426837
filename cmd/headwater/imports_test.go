package main

import (
	"encoding/json"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// pkg is what `go list -json` says of one package.
type pkg struct {
	ImportPath string
	Imports    []string
	Deps       []string
}

func packages(t *testing.T) []pkg {
	t.Helper()
	out, err := exec.Command("go", "list", "-json=ImportPath,Imports,Deps", "headwater/...").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	var all []pkg
	for d := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p pkg
		if err := d.Decode(&p); err == io.EOF {
			return all
		} else if err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
}

func under(path, prefix string) bool {
	return path == prefix || strings.HasPrefix(path, prefix+"/")
}

// TestImportArrows keeps the picture of the README true: who may import whom.
func TestImportArrows(t *testing.T) {
	only := []struct {
		library string
		users   []string
		because string
	}{
		{"github.com/nats-io", []string{"headwater/bus"}, "only bus knows NATS: everything else sees messages, events and buckets"},
		{"headwater/bus/groupcommit", []string{"headwater/bus"}, "how the embedded broker stores is nobody else's business"},
		{"headwater/bus/jobs", []string{"headwater/bus"}, "what a worker does with a command is asked for through the bus, which owns the connection"},
		{"headwater/bus/readers", []string{"headwater/bus"}, "the log is read through the bus, which owns the connection"},
		{"headwater/bus/fairqueue", []string{"headwater/bus"}, "taking turns is how the bus shares its places"},
		{"headwater/bus/guests", []string{"headwater/bus"}, "who lets strangers in is a security boundary: bus alone opens it"},
		{"headwater/bus/wire", []string{"headwater/bus"}, "outside of bus there are messages and errors, and no broker"},
		{"github.com/cockroachdb/pebble", []string{"headwater/projections"}, "only projections knows Pebble: the read model can change its store"},
		{"github.com/golang-jwt/jwt", []string{"headwater/api/auth"}, "only auth reads and signs tokens"},
		{"github.com/getkin/kin-openapi", []string{"headwater/api/contract"}, "only contract knows the library for OpenAPI"},
		{"github.com/gorilla/mux", []string{"headwater/api"}, "only api routes requests"},
		{"github.com/apache/iceberg-go", []string{"headwater/handlers/landing"}, "only landing knows the table format"},
		{"github.com/tink-crypto", []string{"headwater/bus/seal"}, "only seal handles keys"},
		{"headwater/cmd", []string{"headwater/cmd"}, "nobody imports the wiring"},
		{"headwater/projections/proof", []string{"headwater/cmd"}, "a node has its store proven; what answers reads knows nothing of it"},
		{"headwater/connectors/builtin", []string{"headwater/cmd", "headwater/connectors/builtin"}, "which connectors are in the binary is read from main"},
	}
	walls := []struct {
		of      string
		may     []string // import of the house and of libraries
		because string
	}{
		{"headwater/api/auth", []string{"headwater/bus/event", "github.com/golang-jwt/jwt/v5", "github.com/MicahParks/jwkset", "github.com/MicahParks/keyfunc/v3", "os"}, "auth judges tokens: it knows no route, no request and no read model"},
		{"headwater/api/contract", []string{"github.com/getkin/kin-openapi/openapi3"}, "contract judges a query and a body by a document: it knows no caller, no route and not what a call does"},
		{"headwater/bus/groupcommit", []string{"headwater/bus/wire", "github.com/nats-io/nats-server/v2/server", "github.com/nats-io/nats.go", "github.com/nats-io/nats.go/jetstream", "os"}, "group commit knows messages and the broker's folder, not what they mean: it can go, and plain appends stay"},
		{"headwater/bus/guests", []string{"headwater/bus/event", "headwater/bus/wire", "github.com/nats-io/jwt/v2", "github.com/nats-io/nats-server/v2/server", "github.com/nats-io/nats.go", "github.com/nats-io/nkeys"}, "guests know subjects, not what a command or an event says, and reach no disk"},
		{"headwater/bus/jobs", []string{"headwater/bus/command", "headwater/bus/event", "headwater/bus/fairqueue", "headwater/bus/kv", "headwater/bus/wire", "github.com/ThreeDotsLabs/watermill/message", "github.com/nats-io/nats.go", "github.com/nats-io/nats.go/jetstream", "math/rand/v2"}, "workers know a command's name and nothing of what it does, and reach no disk"},
		{"headwater/bus/readers", []string{"headwater/bus/event", "headwater/bus/fairqueue", "headwater/bus/wire", "github.com/ThreeDotsLabs/watermill/message", "github.com/nats-io/nats-server/v2/server/gsl", "github.com/nats-io/nats.go", "github.com/nats-io/nats.go/jetstream"}, "readers write nothing: no command, no key, no disk"},
		{"headwater/bus/fairqueue", nil, "who is next is decided without knowing whose it is"},
		{"headwater/bus/kv", nil, "kv is a contract and three errors: who keeps keys needs no broker, and who offers them no vault"},
		{"headwater/api/web", []string{"headwater/api/contract", "github.com/dustin/go-humanize", "github.com/klauspost/compress/gzip", "github.com/klauspost/compress/zstd"}, "web is how answers look: it knows no call, no command and no read model"},
		{"headwater/api/quota", nil, "quota counts what is under way by name: it knows no request"},
		{"headwater/api/databaseform", []string{"headwater/api/contract", "headwater/api/web"}, "databaseform translates one form into settings: it knows no connector, no caller and no sync option"},
		{"headwater/api/idempotency", []string{"headwater/api/web", "headwater/bus/event", "headwater/bus/kv"}, "idempotency keeps answers to requests, whatever they ask for"},
		{"headwater/handlers/outcome", []string{"headwater/bus", "headwater/bus/event", "headwater/bus/seal", "headwater/connectors/driver", "headwater/handlers/landing", "headwater/handlers/landing/bucket"}, "outcome translates errors into reasons: it knows no command and no table"},
		{"headwater/handlers/readmodel", []string{"headwater/bus/event", "headwater/projections"}, "readmodel is what a node knows of sources: it decides nothing, and knows no command"},
		{"headwater/handlers/throughput", []string{"headwater/handlers/extract"}, "throughput counts bytes and rows on their way: it knows no sync"},
		{"headwater/handlers/landing/kvcatalog", []string{"headwater/bus/event", "headwater/bus/kv", "headwater/handlers/landing/manifest", "headwater/handlers/landing/storage", "github.com/apache/iceberg-go", "github.com/apache/iceberg-go/catalog", "github.com/apache/iceberg-go/io", "github.com/apache/iceberg-go/table", "github.com/google/uuid"}, "kvcatalog swaps the keys of tables: it knows no row, no cursor and no sync"},
		{"headwater/handlers/landing/manifest", []string{"headwater/handlers/landing/storage", "github.com/apache/iceberg-go", "github.com/apache/iceberg-go/io", "github.com/apache/iceberg-go/table", "github.com/google/uuid", "golang.org/x/sync/errgroup"}, "manifest reads and writes the files of one snapshot: it knows no catalog and no row"},
		{"headwater/handlers/landing/syncstate", []string{"headwater/connectors/driver", "headwater/handlers/landing/border", "github.com/apache/iceberg-go", "github.com/apache/iceberg-go/table"}, "syncstate reads and writes what a snapshot says of its sync: it opens no file"},
		{"headwater/handlers/landing/tableschema", []string{"headwater/connectors/driver", "github.com/apache/iceberg-go"}, "tableschema judges columns: it knows no lake, no file and no sync"},
		{"headwater/handlers/landing/datafiles", []string{"headwater/handlers/landing/parts", "headwater/handlers/landing/storage", "headwater/handlers/landing/tableschema", "github.com/apache/arrow-go/v18/arrow", "github.com/apache/arrow-go/v18/arrow/array", "github.com/apache/arrow-go/v18/arrow/compute", "github.com/apache/arrow-go/v18/arrow/memory", "github.com/apache/arrow-go/v18/parquet", "github.com/apache/arrow-go/v18/parquet/file", "github.com/apache/arrow-go/v18/parquet/metadata", "github.com/apache/arrow-go/v18/parquet/pqarrow", "github.com/apache/arrow-go/v18/parquet/schema", "github.com/apache/iceberg-go", "github.com/apache/iceberg-go/table"}, "datafiles reads rows out of files: it knows no catalog, no key and no sync"},
		{"headwater/handlers/landing/mergekeys", []string{"headwater/connectors/driver", "headwater/handlers/landing/keys", "github.com/apache/arrow-go/v18/arrow", "github.com/apache/iceberg-go"}, "mergekeys compares values: it opens no file and knows no sync"},
		{"headwater/handlers/landing/reading", []string{"headwater/bus/event", "headwater/connectors/driver", "headwater/handlers/landing/bucket", "headwater/handlers/landing/datafiles", "headwater/handlers/landing/digest", "headwater/handlers/landing/kvcatalog", "headwater/handlers/landing/manifest", "headwater/handlers/landing/retain", "headwater/handlers/landing/storage", "headwater/handlers/landing/syncstate", "headwater/handlers/landing/tableschema", "headwater/handlers/landing/views", "github.com/apache/arrow-go/v18/arrow", "github.com/apache/arrow-go/v18/arrow/array", "github.com/apache/arrow-go/v18/arrow/extensions", "github.com/apache/arrow-go/v18/parquet", "github.com/apache/iceberg-go", "github.com/apache/iceberg-go/catalog", "github.com/apache/iceberg-go/io", "github.com/apache/iceberg-go/table"}, "reading writes nothing: who lands, joins or removes files goes through other doors"},
		{"headwater/handlers/landing/ownership", []string{"headwater/bus/kv", "headwater/handlers/landing/bucket", "headwater/handlers/landing/datafiles", "headwater/handlers/landing/kvcatalog", "headwater/handlers/landing/storage", "github.com/apache/iceberg-go", "github.com/apache/iceberg-go/table", "github.com/google/uuid"}, "whose lake it is is known without a sync, a key or a row"},
		{"headwater/handlers/landing/staged", []string{"headwater/connectors/driver", "headwater/handlers/landing/border", "headwater/handlers/landing/kvcatalog", "headwater/handlers/landing/storage", "github.com/apache/iceberg-go"}, "staged is a format: who stages, and what a commit makes of it, is a sync's"},
		{"headwater/handlers/landing/sweep", []string{"headwater/bus/kv", "headwater/handlers/landing/bucket", "headwater/handlers/landing/kvcatalog", "headwater/handlers/landing/manifest", "headwater/handlers/landing/retain", "headwater/handlers/landing/staged", "headwater/handlers/landing/storage", "github.com/apache/iceberg-go", "github.com/apache/iceberg-go/table", "golang.org/x/sync/errgroup"}, "a sweep knows keys, snapshots and names: it reads no row, and no sync is asked"},
		{"headwater/handlers/landing/upkeep", []string{"headwater/bus/kv", "headwater/handlers/landing/datafiles", "headwater/handlers/landing/kvcatalog", "headwater/handlers/landing/manifest", "headwater/handlers/landing/parts", "headwater/handlers/landing/retain", "headwater/handlers/landing/storage", "headwater/handlers/landing/sweep", "headwater/handlers/landing/syncstate", "github.com/apache/arrow-go/v18/arrow", "github.com/apache/arrow-go/v18/arrow/array", "github.com/apache/arrow-go/v18/arrow/memory", "github.com/apache/arrow-go/v18/parquet", "github.com/apache/iceberg-go", "github.com/apache/iceberg-go/catalog", "github.com/apache/iceberg-go/table", "github.com/google/uuid"}, "upkeep changes no row: it knows no sync but by what a snapshot says of it"},
		{"headwater/handlers/landing/tablekeys", []string{"headwater/handlers/landing/bucket", "github.com/aws/aws-sdk-go-v2/aws", "github.com/aws/aws-sdk-go-v2/aws/retry", "github.com/aws/aws-sdk-go-v2/aws/transport/http", "github.com/aws/aws-sdk-go-v2/service/sts", "github.com/aws/smithy-go", "golang.org/x/sync/errgroup", "golang.org/x/sync/singleflight"}, "keys are asked for by a folder's name: tablekeys knows no table, no catalog and no sync"},
		{"headwater/handlers/landing/storage", []string{"headwater/handlers/landing/bucket", "headwater/handlers/landing/parts", "github.com/apache/iceberg-go/io", "os"}, "storage knows names and bytes: it knows no table, no catalog and no sync"},
		{"headwater/handlers/syncoptions", []string{"headwater/bus/command", "headwater/bus/event", "headwater/connectors/driver", "github.com/google/uuid"}, "syncoptions is pure: what the API refuses and what a worker finds is judged by the same lines"},
		{"headwater/handlers/schedule", []string{"headwater/bus/command", "headwater/bus/event"}, "schedule is pure: it knows no clock and no source, and what the API refuses is what a worker cannot carry out"},
		{"headwater/projections/compactions", []string{"github.com/cockroachdb/pebble/v2"}, "compactions knows a database and nothing of what is in it"},
		{"headwater/projections/waiters", []string{"headwater/bus/event"}, "waiters knows what is waited for, and no store"},
		{"headwater/projections/pagecache", nil, "pagecache keeps answers whatever was asked: a version says how long one is true"},
		{"headwater/projections/layout", []string{"headwater/bus/event"}, "layout turns values into bytes and back: it knows no store and not what an event means"},
		{"headwater/projections/proof", []string{"headwater/projections", "headwater/projections/layout", "github.com/cockroachdb/pebble/v2/vfs", "math/rand/v2"}, "proof looks at a store from outside: it reads no event and no bus, and changes nothing but whole folders"},
		{"headwater/projections/fold", []string{"headwater/bus/event", "headwater/projections/layout"}, "fold is deterministic: it reads and writes through what it is handed, with no store, no disk and no chance"},
	}
	// What a package may import of the house; libraries are its own affair.
	house := []struct {
		of      string
		may     []string
		because string
	}{
		{"headwater/api/call", []string{"headwater/api/auth", "headwater/api/contract", "headwater/api/quota", "headwater/api/web", "headwater/bus/event", "headwater/bus/kv", "headwater/projections"}, "call is who asks for what, and what of it there is for them: it knows no command and no job"},
		{"headwater/api/jobs", []string{"headwater/api/auth", "headwater/api/call", "headwater/api/idempotency", "headwater/api/quota", "headwater/api/web", "headwater/bus", "headwater/bus/command", "headwater/bus/event", "headwater/projections"}, "jobs carries out whatever a plan asks for: it knows no call"},
		{"headwater/api/commands", []string{"headwater/api/call", "headwater/api/contract", "headwater/api/databaseform", "headwater/api/idempotency", "headwater/api/jobs", "headwater/api/reads", "headwater/api/web", "headwater/bus/command", "headwater/bus/event", "headwater/bus/seal", "headwater/connectors", "headwater/connectors/driver", "headwater/handlers/schedule", "headwater/handlers/syncoptions", "headwater/projections"}, "commands plans: it sends nothing, and waits for nothing by itself"},
		{"headwater/api/reads", []string{"headwater/api/call", "headwater/api/contract", "headwater/api/web", "headwater/bus/command", "headwater/bus/event", "headwater/handlers/schedule", "headwater/projections", "headwater/projections/layout"}, "reads changes nothing: no job, no command is sent, no event is told"},
		{"headwater/api/events", []string{"headwater/api/auth", "headwater/api/call", "headwater/api/quota", "headwater/api/web", "headwater/bus/event"}, "events reads the log, whatever is in it: it knows no document of the read model"},
		{"headwater/api/tokens", []string{"headwater/api/auth", "headwater/api/call", "headwater/api/contract", "headwater/api/idempotency", "headwater/api/web", "headwater/bus/event", "headwater/projections"}, "the calls on tokens send no command: their events are the tokens"},
		{"headwater/api/webhooks", []string{"headwater/api/call", "headwater/api/contract", "headwater/api/events", "headwater/api/idempotency", "headwater/api/web", "headwater/bus/event", "headwater/bus/webhooks"}, "the calls on webhooks send no command, and read nothing of the read model"},
		{"headwater/cmd/headwater/client", []string{"headwater/bus/event", "headwater/cmd/headwater/client/address", "headwater/cmd/headwater/client/engines", "headwater/cmd/headwater/client/flags", "headwater/cmd/headwater/client/progress", "headwater/cmd/headwater/client/rest", "headwater/cmd/headwater/client/settings", "headwater/cmd/headwater/duration", "headwater/cmd/headwater/exit", "headwater/cmd/headwater/terminal"}, "the client speaks the public REST API and nothing else: what it does any other program can do"},
		{"headwater/cmd/headwater/client/rest", []string{"headwater/cmd/headwater/client/flags", "headwater/cmd/headwater/exit", "headwater/cmd/headwater/terminal"}, "rest carries requests and answers: it knows no command, and no struct of the service"},
		{"headwater/cmd/headwater/client/progress", []string{"headwater/bus/event", "headwater/cmd/headwater/client/flags", "headwater/cmd/headwater/client/rest", "headwater/cmd/headwater/exit", "headwater/cmd/headwater/terminal"}, "progress shows syncs, whoever started them: it knows no command"},
		{"headwater/cmd/headwater/client/flags", []string{"headwater/cmd/headwater/terminal"}, "which flag an option is can be said without a service to ask"},
		{"headwater/cmd/headwater/client/settings", []string{"headwater/cmd/headwater/client/address", "headwater/cmd/headwater/client/rest", "headwater/cmd/headwater/exit", "headwater/cmd/headwater/terminal"}, "settings makes a configuration of text: it knows no command, and asks the service only what a connector takes"},
		{"headwater/cmd/headwater/client/completion", []string{"headwater/cmd/headwater/client/rest", "headwater/cmd/headwater/terminal"}, "completion reads the grammar that it is handed: it knows no command"},
		{"headwater/cmd/headwater/client/address", nil, "an address becomes settings without a service to ask"},
		{"headwater/cmd/headwater/client/engines", nil, "the lines for an engine are text: they know no service and no command"},
		{"headwater/cmd/headwater/demo", []string{"headwater/cmd/headwater/client", "headwater/cmd/headwater/client/address", "headwater/cmd/headwater/client/progress", "headwater/cmd/headwater/client/rest", "headwater/cmd/headwater/demodata", "headwater/cmd/headwater/terminal"}, "the demo sees the service as its client does; what starts it is handed in"},
		{"headwater/cmd/bench/rig", []string{"headwater/cmd/bench/widetable", "headwater/connectors/drivertest/ports", "headwater/connectors/drivertest/servers", "headwater/handlers/landing/buckettest", "headwater/handlers/landing/landingtest"}, "the rig starts and times what it is handed: it knows no work and no table of results"},
		{"headwater/cmd/bench/load", nil, "load is sent over the wire: it knows no service, no work and no side"},
		{"headwater/cmd/bench/changes", []string{"headwater/cmd/bench/processes", "headwater/cmd/bench/report", "headwater/cmd/bench/rig", "headwater/connectors/drivertest/servers"}, "works that follow a log share no service with others"},
		{"headwater/cmd/bench/report", nil, "report prints what was measured: it measures nothing and knows no service"},
		{"headwater/cmd/bench/processes", nil, "what a process takes is asked of the kernel, whatever the process does"},
		{"headwater/cmd/bench/history", []string{"headwater/bus/event"}, "a history is made of events alone: no broker and no clock"},
		{"headwater/cmd/bench/widetable", []string{"github.com/apache/arrow-go/v18/arrow"}, "the wide table is rows and sums: it knows no source, no lake and no service"},
		{"headwater/cmd/headwater/collector", nil, "what waits for nothing is initialised first"},
		{"headwater/cmd/headwater/terminal", nil, "what stands on a terminal knows nothing of what it says"},
		{"headwater/cmd/headwater/exit", nil, "the numbers the program ends with are everybody's"},
		{"headwater/cmd/headwater/duration", nil, "a length of time is read in one way, whoever asks"},
		{"headwater/handlers/history", []string{"headwater/bus", "headwater/bus/command", "headwater/bus/event", "headwater/handlers/outcome", "headwater/handlers/readmodel"}, "history decides and appends: it opens no source and knows no lake"},
		{"headwater/handlers/schema", []string{"headwater/bus/event", "headwater/connectors/driver", "headwater/handlers/outcome", "headwater/handlers/readmodel"}, "schema compares what was found with what was known: it asks nobody and appends nothing"},
		{"headwater/handlers/clock", nil, "what the time is depends on nothing"},
		{"headwater/handlers/inspect", []string{"headwater/bus/event", "headwater/bus/seal", "headwater/connectors/driver", "headwater/handlers/extract", "headwater/handlers/history", "headwater/handlers/outcome", "headwater/handlers/readmodel", "headwater/handlers/schema"}, "inspect looks at a source: it knows no lake and no sync"},
		{"headwater/handlers/sourcelog", []string{"headwater/bus", "headwater/bus/command", "headwater/bus/event", "headwater/connectors/driver", "headwater/handlers/extract", "headwater/handlers/history", "headwater/handlers/inspect", "headwater/handlers/outcome"}, "who has a log released reads none of it, and knows no lake"},
		{"headwater/handlers/removal", []string{"headwater/bus", "headwater/bus/command", "headwater/bus/event", "headwater/handlers/history", "headwater/handlers/inspect", "headwater/handlers/landing", "headwater/handlers/landing/bucket", "headwater/handlers/outcome", "headwater/handlers/readmodel", "headwater/handlers/sourcelog"}, "removal takes away: it reads no source"},
		{"headwater/handlers/sources", []string{"headwater/bus/command", "headwater/bus/event", "headwater/bus/seal", "headwater/connectors/driver", "headwater/handlers/history", "headwater/handlers/inspect", "headwater/handlers/outcome", "headwater/handlers/schema", "headwater/handlers/sourcelog"}, "sources are connected, tried and named without a lake: these commands land no row"},
		{"headwater/handlers/scheduling", []string{"headwater/bus", "headwater/bus/command", "headwater/bus/event", "headwater/handlers/clock", "headwater/handlers/history", "headwater/handlers/outcome", "headwater/handlers/readmodel", "headwater/handlers/schedule"}, "scheduling begins syncs by commands: it opens no source and knows no lake"},
		{"headwater/handlers/verification", []string{"headwater/bus", "headwater/bus/command", "headwater/bus/event", "headwater/connectors/driver", "headwater/handlers/extract", "headwater/handlers/history", "headwater/handlers/inspect", "headwater/handlers/landing", "headwater/handlers/landing/digest", "headwater/handlers/landing/parts", "headwater/handlers/outcome", "headwater/handlers/readmodel", "headwater/handlers/schema", "headwater/handlers/syncoptions"}, "verification compares what landed: it lands nothing and knows no sync"},
		{"headwater/handlers/syncing", []string{"headwater/bus", "headwater/bus/command", "headwater/bus/event", "headwater/connectors/driver", "headwater/handlers/extract", "headwater/handlers/history", "headwater/handlers/inspect", "headwater/handlers/landing", "headwater/handlers/landing/border", "headwater/handlers/landing/parts", "headwater/handlers/outcome", "headwater/handlers/readmodel", "headwater/handlers/removal", "headwater/handlers/schema", "headwater/handlers/sourcelog", "headwater/handlers/syncoptions", "headwater/handlers/throughput"}, "syncing lands tables: it knows no schedule's due time, no projection, and no command but its own two"},
		{"headwater/handlers/maintenance", []string{"headwater/bus", "headwater/bus/command", "headwater/bus/event", "headwater/connectors/driver", "headwater/connectors/reuse", "headwater/handlers/clock", "headwater/handlers/history", "headwater/handlers/landing", "headwater/handlers/outcome", "headwater/handlers/readmodel", "headwater/handlers/schema", "headwater/handlers/syncoptions"}, "maintenance looks at the lake alone: it opens no source"},
		{"headwater/connectors/postgres/binarycopy", []string{"headwater/connectors/driver", "headwater/connectors/reuse", "headwater/connectors/sqldb", "headwater/connectors/values"}, "binarycopy decodes rows: it knows no session and no catalog"},
		{"headwater/connectors/postgres/pgoutput", []string{"headwater/connectors/postgres/binarycopy"}, "pgoutput decodes messages: it knows no session, no catalog and no slot"},
		{"headwater/connectors/postgres/session", []string{"headwater/connectors/driver", "headwater/connectors/postgres/binarycopy", "headwater/connectors/sqldb"}, "a session carries statements: it knows no table, no type and not what is read"},
		{"headwater/connectors/postgres/catalog", []string{"headwater/connectors/driver", "headwater/connectors/postgres/binarycopy", "headwater/connectors/postgres/session"}, "catalog says what there is: it reads no rows and knows no snapshot but its own"},
		{"headwater/connectors/postgres/moment", []string{"headwater/connectors/driver", "headwater/connectors/postgres/catalog", "headwater/connectors/postgres/session"}, "a moment is when something is read, not what"},
		{"headwater/connectors/postgres/capture", []string{"headwater/connectors/driver", "headwater/connectors/postgres/binarycopy", "headwater/connectors/postgres/catalog", "headwater/connectors/postgres/moment", "headwater/connectors/postgres/pgoutput", "headwater/connectors/postgres/session", "headwater/connectors/sqldb"}, "who follows the log reads no table: the reading of tables and the following of the log meet in the driver"},
		{"headwater/connectors/mysql/protocol", []string{"headwater/connectors/driver", "headwater/connectors/mysql/lenenc", "headwater/connectors/sqldb"}, "protocol knows packets: no table, no setting and not what a statement means"},
		{"headwater/connectors/mysql/lenenc", nil, "lenenc reads integers: it knows neither packets nor events"},
		{"headwater/connectors/mysql/binlog", []string{"headwater/connectors/mysql/lenenc"}, "binlog decodes events: it knows no session, no catalog and no record batch"},
		{"headwater/connectors/mysql/typemap", []string{"headwater/connectors/driver", "headwater/connectors/sqldb", "headwater/connectors/values"}, "typemap turns types and values: it speaks to no server"},
		{"headwater/connectors/mysql/session", []string{"headwater/connectors/driver", "headwater/connectors/mysql/protocol", "headwater/connectors/sqldb"}, "a session carries statements: it knows no table, no type and not what is read"},
		{"headwater/connectors/mysql/capture", []string{"headwater/connectors/driver", "headwater/connectors/mysql/binlog", "headwater/connectors/mysql/protocol", "headwater/connectors/mysql/session", "headwater/connectors/mysql/typemap", "headwater/connectors/sqldb"}, "who follows the log reads no table: the reading of tables and the following of the log meet in the driver"},
	}
	for _, p := range packages(t) {
		for _, imported := range p.Imports {
			for _, wall := range house {
				if p.ImportPath == wall.of && under(imported, "headwater") && !slices.Contains(wall.may, imported) {
					t.Errorf("%s imports %s: %s", p.ImportPath, imported, wall.because)
				}
			}
			for _, wall := range walls {
				ours := strings.Contains(imported, ".") || under(imported, "headwater") || imported == "os" || imported == "net" || under(imported, "math/rand")
				if p.ImportPath == wall.of && ours && !slices.Contains(wall.may, imported) {
					t.Errorf("%s imports %s: %s", p.ImportPath, imported, wall.because)
				}
			}
			for _, rule := range only {
				if under(imported, rule.library) && !slices.ContainsFunc(rule.users, func(u string) bool { return under(p.ImportPath, u) }) {
					t.Errorf("%s imports %s: %s", p.ImportPath, imported, rule.because)
				}
			}
			if under(p.ImportPath, "headwater/api") && under(imported, "headwater/handlers") && imported != "headwater/handlers/syncoptions" && imported != "headwater/handlers/schedule" {
				t.Errorf("%s imports %s: the API and the workers meet on the bus and in the read model alone", p.ImportPath, imported)
			}
			disk := imported == "os" || imported == "io/fs" || imported == "path" || under(imported, "path/filepath")
			if disk && under(p.ImportPath, "headwater/connectors/formats") && p.ImportPath != "headwater/connectors/formats/formatstest" {
				t.Errorf("%s imports %s: formats know no disk: buckets and addresses have files, too", p.ImportPath, imported)
			}
			if under(p.ImportPath, "headwater/connectors") && p.ImportPath != "headwater/connectors/builtin" &&
				under(imported, "headwater") && !under(imported, "headwater/connectors") {
				t.Errorf("%s imports %s: connectors know the driver contract and nothing else of the house", p.ImportPath, imported)
			}
		}
	}
}

// TestContractsAreLeaves keeps bus/event, bus/command and connectors/driver
// cheap to import for other services.
func TestContractsAreLeaves(t *testing.T) {
	heavy := map[string][]string{
		"headwater/bus/event":         {"github.com/", "headwater/"},
		"headwater/bus/command":       {"github.com/", "headwater/bus/seal", "headwater/connectors"},
		"headwater/connectors/driver": {"github.com/nats-io", "github.com/cockroachdb", "github.com/apache/iceberg-go", "github.com/jackc", "headwater/bus"},
	}
	for _, p := range packages(t) {
		for _, dep := range p.Deps {
			for _, prefix := range heavy[p.ImportPath] {
				if strings.HasPrefix(dep, prefix) && dep != p.ImportPath {
					t.Errorf("%s compiles %s: the contract must stay a leaf", p.ImportPath, dep)
				}
			}
		}
	}
}
