package demo

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/csv"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/alecthomas/kong"
	_ "modernc.org/sqlite"

	"headwater/cmd/headwater/client"
	"headwater/cmd/headwater/client/clienttest"
)

// What SOURCES.md and the tour say about the samples is what they hold.
func TestSamplesAreWhole(t *testing.T) {
	root := filepath.Join(t.TempDir(), "files")
	if _, err := WriteFiles(root); err != nil {
		t.Fatal(err)
	}
	file, err := os.Open(filepath.Join(root, "airports.csv"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	records, err := csv.NewReader(file).ReadAll()
	if err != nil || len(records) != 3377 || strings.Join(records[0], ",") != "iata,name,city,state,country,latitude,longitude" {
		t.Errorf("airports.csv: %d lines, %v", len(records), err)
	}

	db, err := sql.Open("sqlite", "file:"+filepath.Join(root, "timezones.db")+"?mode=ro&immutable=1")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	for query, want := range map[string]string{
		`PRAGMA integrity_check`:                                                         "ok",
		`SELECT count(*) FROM countries`:                                                 "249",
		`SELECT count(*) FROM zones`:                                                     "312",
		`SELECT count(*) FROM zone_countries`:                                            "423",
		`SELECT count(*) FROM leap_seconds`:                                              "27",
		`SELECT count(*) FROM country_zones`:                                             "247",
		`SELECT count(*) FROM pragma_foreign_key_check`:                                  "0",
		`SELECT latitude || ' ' || longitude FROM zones WHERE name = 'America/St_Johns'`: "47.566667 -52.716667",
	} {
		var got string
		if err := db.QueryRow(query).Scan(&got); err != nil || got != want {
			t.Errorf("%s: %s, %v, want %s", query, got, err, want)
		}
	}
}

// readPages follows the Link headers from url and returns every record.
func readPages(t *testing.T, url, key string) (records []map[string]any, pages int) {
	t.Helper()
	link := regexp.MustCompile(`^<([^>]+)>; rel="next"$`)
	for url != "" {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("X-API-Key", key)
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		var page struct {
			Total       int
			Earthquakes []map[string]any
		}
		err = json.NewDecoder(response.Body).Decode(&page)
		response.Body.Close()
		if err != nil || response.StatusCode != 200 || page.Total != 1707 {
			t.Fatalf("%s: %s, total %d, %v", url, response.Status, page.Total, err)
		}
		records = append(records, page.Earthquakes...)
		url = ""
		if next := link.FindStringSubmatch(response.Header.Get("Link")); next != nil {
			url = next[1]
		}
		if pages++; pages > 100 {
			t.Fatal("the pages do not end")
		}
	}
	return records, pages
}

func TestDemoAPIPages(t *testing.T) {
	sample, err := startAPI()
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := sample.stop(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
	}()
	records, pages := readPages(t, sample.url, sample.key)
	ids := map[any]bool{}
	for _, r := range records {
		ids[r["id"]] = true
	}
	if len(records) != 1707 || len(ids) != 1707 || pages != sample.pages() || pages != 9 {
		t.Errorf("%d records with %d ids in %d pages", len(records), len(ids), pages)
	}
	if records, pages := readPages(t, sample.url+"?limit=199&after=1500", sample.key); len(records) != 207 || pages != 2 {
		t.Errorf("%d records in %d pages", len(records), pages)
	}
}

func TestDemoAPIRefuses(t *testing.T) {
	api, err := newAPI("right")
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		method, target, header, value string
		want                          int
	}{
		{"GET", "/v1/earthquakes", "X-API-Key", "right", 200},
		{"GET", "/v1/earthquakes", "Authorization", "Bearer right", 200},
		{"GET", "/v1/earthquakes?after=1707", "X-API-Key", "right", 200},
		{"GET", "/v1/earthquakes", "X-API-Key", "wrong", 401},
		{"GET", "/v1/earthquakes", "Authorization", "right", 401},
		{"GET", "/v1/earthquakes", "", "", 401},
		{"POST", "/v1/earthquakes", "X-API-Key", "right", 405},
		{"GET", "/", "X-API-Key", "right", 404},
		{"GET", "/v1/earthquakes?after=-1", "X-API-Key", "right", 400},
		{"GET", "/v1/earthquakes?limit=201", "X-API-Key", "right", 400},
		{"GET", "/v1/earthquakes?limit=x", "X-API-Key", "right", 400},
	} {
		request := httptest.NewRequest(test.method, test.target, nil)
		if test.header != "" {
			request.Header.Set(test.header, test.value)
		}
		answer := httptest.NewRecorder()
		api.ServeHTTP(answer, request)
		if answer.Code != test.want || !json.Valid(answer.Body.Bytes()) || answer.Header().Get("Content-Type") != "application/json" {
			t.Errorf("%+v: %d %s", test, answer.Code, answer.Body)
		}
		if strings.Contains(answer.Body.String(), "right") {
			t.Errorf("%+v: the answer holds the key", test)
		}
	}
}

func TestPostgresURL(t *testing.T) {
	for text, want := range map[string]string{
		"postgres://ada:p%40ss@db.example:5433/shop":       `{"database":"shop","host":"db.example","password":"p@ss","port":5433,"username":"ada"}`,
		"postgresql://ada@[::1]/shop?sslmode=disable":      `{"database":"shop","host":"::1","sslmode":"disable","username":"ada"}`,
		"mysql://ada:hunter2@db/shop":                      "!want postgres://user:password@host:port/database",
		"postgres://ada:hunter2@db":                        "!the URL names no database: want postgres://user:password@host:port/database",
		"postgres://ada:hunter2@db/shop?passfile=/etc/key": `!cannot read "passfile" in the URL`,
		"postgres://ada:hunter2@db:port/shop":              "!want postgres://user:password@host:port/database",
	} {
		config, err := postgresConfig(text)
		got, _ := json.Marshal(config)
		if err != nil {
			got = []byte("!" + err.Error())
		}
		if string(got) != want {
			t.Errorf("%s: got %s, want %s", text, got, want)
		}
	}
}

func TestFreeAddress(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	taken := listener.Addr().String()
	if got := freeAddress(taken); got != "127.0.0.1:0" {
		t.Errorf("taken: %s", got)
	}
	listener.Close()
	if got := freeAddress(taken); got != taken {
		t.Errorf("free: %s", got)
	}
}

// demoService answers the tour's calls.
func demoService(t *testing.T) *clienttest.Service {
	return clienttest.New(t, map[string]http.HandlerFunc{
		"POST /data/demo/test-connection": clienttest.Says(`{"connector":"file","steps":[{"name":"resolve","status":"ok","duration_ms":1},{"name":"read","status":"ok","duration_ms":1}]}`),
		"POST /data/demo/connect":         clienttest.Says(`{"connected_sources":[{"id":"src_a"},{"id":"src_b"},{"id":"src_c"}],"failed_sources":[],"operation_id":"op_0"}`),
		"GET /data/demo/list":             clienttest.Says(`[{"id":"src_a","name":"airports","type":"file","connector":"file","status":"connected","tables":1,"records":3376}]`),
		"POST /data/demo/sync":            clienttest.Accepts,
		"GET /data/demo/operations/op_1":  clienttest.Looks(clienttest.OpDone),
		"GET /data/demo/syncs/syn_a":      clienttest.Looks(clienttest.SyncDone),
		"GET /data/demo/tables":           clienttest.Says(`[{"source_id":"src_a","source":"airports","namespace":"","name":"airports","records":3376}]`),
		"GET /data/demo/preview":          clienttest.Says(`{"columns":[{"name":"iata"},{"name":"latitude"}],"rows":[{"iata":"00M","latitude":31.95376472},{"iata":"00R","latitude":null}]}`),
		"GET /data/demo/schema":           clienttest.Says(`{"tables":[{"name":"airports","kind":"file","primary_key":[],"columns":[{"name":"iata","type":"string"},{"name":"latitude","type":"float64"}]}]}`),
	})
}

func TestDemoTour(t *testing.T) {
	api := demoService(t)
	var cfg Server
	stopped := 0
	s, out, errs := clienttest.Streams("")
	err := (&Cmd{Once: true}).Run(t.Context(), s, func(_ context.Context, c Server) (string, string, func(context.Context) error, error) {
		cfg = c
		if _, err := os.Stat(filepath.Join(c.FilesRoot, "timezones.db")); err != nil {
			t.Errorf("the samples are not there when the service starts: %v", err)
		}
		return api.URL, "the-token", func(ctx context.Context) error { stopped++; return ctx.Err() }, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if stopped != 1 {
		t.Errorf("the service was stopped %d times", stopped)
	}
	if _, err := os.Stat(cfg.DataDir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the temporary folder is still there: %v", err)
	}
	clienttest.Same(t, "remarks", errs.String(), "")

	// Addresses and durations differ from run to run.
	shown := strings.ReplaceAll(out.String(), api.URL, "SERVICE")
	shown = regexp.MustCompile(`http://127\.0\.0\.1:\d+`).ReplaceAllString(shown, "SAMPLE")
	shown = regexp.MustCompile(` +\d+ ms|  +\d+\.\d s`).ReplaceAllString(shown, " TIME")
	clienttest.Same(t, "tour", shown, `

Headwater on real public-domain data, all in this process
  ✓ sample files TIME  airports.csv, timezones.db (273 KiB)
  ✓ sample API TIME  SAMPLE/v1/earthquakes, 1,707 records in 9 pages, behind an API key
  ✓ Headwater TIME  SERVICE

Test the connections: nothing is saved
  ✓ airports TIME  resolve ok, read ok
  ✓ timezones TIME  resolve ok, read ok
  ✓ earthquakes TIME  resolve ok, read ok

Connect them: settings are kept, secrets are sealed, the schema is read
  ✓ connect TIME  3 sources
NAME      TYPE  CONNECTOR  STATUS     TABLES  RECORDS  LAST SYNC  ID
airports  file  file       connected       1    3,376  never      src_a

Sync them: rows land as Parquet files of Iceberg tables
  ✓ airports: airports: 3,376 rows, 6,752 rows/s, TIME
  ✓ sync TIME  3,376 rows, 146 KiB in 1 table
NAME      TYPE  CONNECTOR  STATUS     TABLES  RECORDS  LAST SYNC  ID
airports  file  file       connected       1    3,376  never      src_a

What landed
SOURCE    TABLE     KIND  KEY  COLUMNS
airports  airports  file       iata string, latitude float64

Some rows of it, read from the lake
  airports.airports, 3,376 rows
iata  latitude
00M   31.95376472
00R   NULL
`)
	var body struct {
		Sources []client.SourceSpec `json:"sources"`
	}
	if err := json.Unmarshal([]byte(api.Asked("POST /data/demo/connect")[0].Body), &body); err != nil || len(body.Sources) != 3 {
		t.Fatalf("%+v, %v", body, err)
	}
	key := body.Sources[2].Config["api_key"].(string)
	if len(key) < 20 || strings.Contains(out.String(), key) {
		t.Error("the sample API's key is short or printed")
	}
}

// A step that fails does not stop the tour, and makes it an error.
func TestDemoSaysWhatFailed(t *testing.T) {
	api := demoService(t)
	api.Routes["POST /data/demo/connect"] = clienttest.Says(`{"connected_sources":[{"id":"src_a"}],"failed_sources":[{"name":"timezones","error":"cannot be read"}]}`)
	s, out, _ := clienttest.Streams("")
	err := (&Cmd{Once: true, DataDir: t.TempDir()}).Run(t.Context(), s, func(context.Context, Server) (string, string, func(context.Context) error, error) {
		return api.URL, "the-token", func(context.Context) error { return nil }, nil
	})
	if err == nil || err.Error() != "1 step of the demo failed: connect: 1 source not connected\n  timezones: cannot be read" {
		t.Errorf("got %v", err)
	}
	if !strings.Contains(out.String(), "✗ connect") || !strings.Contains(out.String(), "✓ sync") {
		t.Errorf("printed %s", out)
	}
}

func TestDemoServiceThatDoesNotStart(t *testing.T) {
	s, _, _ := clienttest.Streams("")
	err := (&Cmd{Once: true}).Run(t.Context(), s, func(context.Context, Server) (string, string, func(context.Context) error, error) {
		return "", "", nil, errors.New("the port is taken")
	})
	if err == nil || err.Error() != "1 step of the demo failed: Headwater: the port is taken" {
		t.Errorf("got %v", err)
	}
}

// Without --once the demo serves until it is interrupted, and what it prints to
// go on with works.
func TestDemoKeepsServing(t *testing.T) {
	api := demoService(t)
	ctx, interrupt := context.WithCancel(t.Context())
	defer interrupt()
	s, out, _ := clienttest.Streams("")
	dir := t.TempDir()
	s.Out = clienttest.WriterFunc(func(p []byte) (int, error) {
		if bytes.Contains(p, []byte("Serving until Ctrl-C.")) {
			interrupt()
		}
		return out.Write(p)
	})
	stopped := false
	err := (&Cmd{DataDir: dir}).Run(ctx, s, func(context.Context, Server) (string, string, func(context.Context) error, error) {
		return api.URL, "the-token", func(ctx context.Context) error { stopped = true; return ctx.Err() }, nil
	})
	if err != nil || !stopped {
		t.Errorf("stopped %v, %v", stopped, err)
	}
	for _, line := range []string{
		"export HEADWATER_URL=" + api.URL + " HEADWATER_WORKSPACE=demo HEADWATER_TOKEN=the-token\n",
		`  curl -s "$HEADWATER_URL/api/v1/data/demo/list?scope=user" -H "Authorization: Bearer $HEADWATER_TOKEN"` + "\n",
		filepath.Join(dir, "lake"),
	} {
		if !strings.Contains(out.String(), line) {
			t.Errorf("%q is not in\n%s", line, out)
		}
	}
}

func TestDemoCommandLine(t *testing.T) {
	parser, err := kong.New(&struct {
		Demo Cmd `cmd:""`
	}{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := parser.Parse([]string{"demo", "--once", "--postgres", "postgres://u:p@h/d"}); err != nil {
		t.Error(err)
	}
}
