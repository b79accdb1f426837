package main

import (
	"bytes"
	"compress/gzip"
	"database/sql"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/apache/arrow-go/v18/parquet/pqarrow"
	"github.com/klauspost/compress/zstd"
	_ "modernc.org/sqlite"
)

// gzipBomb is a compressed stream that holds the text as often as said.
func gzipBomb(t *testing.T, text []byte, times int) []byte {
	t.Helper()
	var one bytes.Buffer
	w, _ := gzip.NewWriterLevel(&one, gzip.BestSpeed)
	_, _ = w.Write(text)
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return bytes.Repeat(one.Bytes(), times) // members follow each other
}

// refused connects a source that must not connect, or syncs it if it does, and
// checks that the outcome names a reason within the limit.
func (a *attack) refused(name, kind string, config object, reasons ...string) {
	a.t.Helper()
	began := time.Now()
	stop := make(chan struct{})
	watched := make(chan int64)
	go func() {
		most := int64(0)
		for {
			select {
			case <-stop:
				watched <- most
				return
			case <-time.After(10 * time.Millisecond):
				most = max(most, processStatus(a.pid, "VmRSS"))
			}
		}
	}()
	answer := a.caller.call("POST", "/data/w/connect", object{"sources": []object{{"type": kind, "name": "hostile", "connection_config": config}}}, "Prefer", "wait=150")
	close(stop)
	a.highest = max(a.highest, <-watched)
	says, ok := string(answer.Body), false
	if answer.Code == 200 {
		var connected struct {
			Sources []struct{ ID string } `json:"connected_sources"`
		}
		answer.into(a.t, &connected)
		e := a.sync(connected.Sources[0].ID, within(longLimit))
		says, ok = e.says(), one(e, reasons)
		a.caller.post("/data/w/cleanup", object{"source_ids": []string{connected.Sources[0].ID}})
	} else {
		for _, r := range reasons {
			ok = ok || strings.Contains(says, `"reason":"`+r+`"`)
		}
	}
	took := time.Since(began)
	a.t.Logf("%s: %.1f s, %d MiB: %.300s", name, took.Seconds(), a.highest>>20, says)
	if !ok {
		a.t.Errorf("%s: want one of %v", name, reasons)
	}
	// 64 MiB of a row, with the race detector, read by a tenth of a processor; ten GiB or
	// more, which some of them have, take longer.
	if took > 150*time.Second {
		a.t.Errorf("%s: it took %v", name, took)
	}
	a.calm()
}

// Files that are bombs, have no end of a line, or lie about what they hold.
func TestHostileFiles(t *testing.T) {
	t.Parallel() // it waits more than it computes
	a := newAttack(t)
	text := bytes.Repeat([]byte("a"), 16<<20)
	sparse := func(name, head string, size int64) {
		a.write(name, head)
		if err := os.Truncate(filepath.Join(a.files, name), size); err != nil {
			t.Fatal(err)
		}
	}
	begun := strings.Repeat("a", 8<<10) // NULs at a file's beginning would be no text
	sparse("line.csv", "id,name\n1,"+begun, 10<<30)
	sparse("nothing.csv", "id,name\n1,", 10<<30)
	a.write("bomb.csv.gz", string(gzipBomb(t, text, 2000)))
	enc, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	bomb := strings.Repeat(string(enc.EncodeAll(text, nil)), 2000)
	a.write("bomb.csv.zst", bomb)
	a.write("line.json.zst", string(enc.EncodeAll([]byte(`[{"id":1,"name":"`), nil))+bomb)
	a.write("line.ndjson.zst", string(enc.EncodeAll([]byte(`{"id":1,"name":"`), nil))+bomb)
	a.write("window.csv.zst", "\x28\xb5\x2f\xfd\x00\xff\x01\x00\x00") // a window of terabytes
	a.write("deep.json", `[{"a":`+strings.Repeat("[", 100_000)+strings.Repeat("]", 100_000)+`}]`)
	a.write("deep.ndjson", strings.Repeat(`{"a":`, 100_000)+"1"+strings.Repeat("}", 100_000))
	for _, c := range []struct {
		name, path, reason string
		long               bool // left to the long suite: connectors/formats refuses the same, smaller
	}{
		{"a line of 10 GiB", "line.csv", "limit", false}, {"10 GiB of NUL", "nothing.csv", "bad_data", true},
		{"a string of 31 GiB", "line.json.zst", "limit", true}, {"a record of 31 GiB", "line.ndjson.zst", "limit", true},
		{"a gzip bomb", "bomb.csv.gz", "limit", true}, {"a zstd bomb", "bomb.csv.zst", "limit", true}, {"a wide zstd window", "window.csv.zst", "bad_data", false},
		{"deep JSON", "deep.json", "limit", false}, {"deep NDJSON", "deep.ndjson", "limit", true},
	} {
		if testing.Short() && c.long {
			continue
		}
		a.refused(c.name, "file", object{"path": c.path}, c.reason)
	}

	// Damage at random: what opens all the same lands, or fails with a reason.
	dice := rand.New(rand.NewPCG(3, 4))
	rounds := 30
	if testing.Short() {
		rounds = 3
	}
	whole := map[string][]byte{"damaged.parquet": parquetFile(t), "damaged.db": sqliteFile(t)}
	for name, file := range whole {
		for round := range rounds {
			b := bytes.Clone(file)
			switch {
			case round == 0 && strings.HasSuffix(name, "parquet"): // a footer longer than the file
				binary.LittleEndian.PutUint32(b[len(b)-8:], 0x7fffffff)
			case round == 0: // pages beyond the file's end
				binary.BigEndian.PutUint32(b[28:], 0x7fffffff)
			case strings.HasSuffix(name, "parquet"): // lengths are in the footer
				footer := int(binary.LittleEndian.Uint32(b[len(b)-8:])) + 8
				for range 3 {
					b[len(b)-footer+dice.IntN(footer-8)] = byte(0x7f + dice.IntN(0x81))
				}
			default:
				for range 20 {
					b[100+dice.IntN(len(b)-100)] = byte(dice.Uint32())
				}
			}
			a.write(name, string(b))
			kind, path := "file", object{"path": name}
			if strings.HasSuffix(name, "db") {
				kind = "sqlite"
			}
			answer := a.caller.call("POST", "/data/w/connect", object{"sources": []object{{"type": kind, "name": "damaged " + kind, "connection_config": path}}}, "Prefer", "wait=150")
			var connected struct {
				Sources []struct{ ID string } `json:"connected_sources"`
			}
			if answer.Code != 200 {
				if answer.Code != 422 || bytes.Contains(answer.Body, []byte(`"reason":"internal"`)) {
					t.Errorf("%s round %d: %d %s", name, round, answer.Code, answer.Body)
				}
				continue
			}
			answer.into(t, &connected)
			e := a.sync(connected.Sources[0].ID, within(longLimit))
			if e.Status != "completed" && e.Status != "partial" && (e.Error == nil || e.Error.Reason == "internal" || e.Error.Reason == "timeout") {
				t.Errorf("%s round %d: %s", name, round, e.says())
			}
		}
		a.calm()
	}
	t.Logf("the service had at most %d MiB", a.highest>>20)
}

func parquetFile(t *testing.T) []byte {
	t.Helper()
	schema := arrow.NewSchema([]arrow.Field{{Name: "id", Type: arrow.PrimitiveTypes.Int64}, {Name: "name", Type: arrow.BinaryTypes.String, Nullable: true}}, nil)
	b := array.NewRecordBuilder(memory.DefaultAllocator, schema)
	defer b.Release()
	for i := range 1000 {
		b.Field(0).(*array.Int64Builder).Append(int64(i))
		b.Field(1).(*array.StringBuilder).Append("name " + strconv.Itoa(i%50))
	}
	rec := b.NewRecordBatch()
	defer rec.Release()
	var out bytes.Buffer
	w, err := pqarrow.NewFileWriter(schema, &out, nil, pqarrow.DefaultWriterProps())
	if err == nil {
		err = w.Write(rec)
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func sqliteFile(t *testing.T) []byte {
	t.Helper()
	path := filepath.Join(t.TempDir(), "whole.db")
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range []string{"CREATE TABLE thing (id integer PRIMARY KEY, note text, n real)",
		"INSERT INTO thing SELECT value, 'note ' || value, value * 0.5 FROM (WITH RECURSIVE n(value) AS (SELECT 1 UNION ALL SELECT value+1 FROM n WHERE value < 3000) SELECT value FROM n)"} {
		if _, err := db.Exec(s); err != nil {
			t.Fatal(err)
		}
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// An HTTP API that behaves while it is connected, and then does not.
func TestHostileAPI(t *testing.T) {
	t.Parallel() // it waits more than it computes
	a := newAttack(t)
	var hostile atomic.Pointer[http.HandlerFunc]
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if h := hostile.Load(); h != nil {
			(*h)(w, r)
			return
		}
		fmt.Fprint(w, `{"data":[{"id":1,"name":"a"},{"id":2,"name":"b"}]}`)
	}))
	t.Cleanup(server.Close)
	t.Cleanup(server.CloseClientConnections)
	bomb := gzipBomb(t, bytes.Repeat([]byte(" "), 16<<20), 500)
	forever := func(first, again string, pause time.Duration) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			fmt.Fprint(w, first)
			for {
				if _, err := fmt.Fprint(w, again); err != nil {
					return
				}
				if pause > 0 {
					w.(http.Flusher).Flush()
					time.Sleep(pause)
				}
			}
		}
	}
	var pages atomic.Int64
	attacks := []struct {
		name    string
		handler http.HandlerFunc
		reasons []string
		long    bool
	}{
		{"records for ever", forever(`{"data":[{"id":1}`, strings.Repeat(`,{"id":3,"name":"cccccccccccccccccccccc"}`, 500), 0), []string{"limit", "bad_data"}, false},
		{"a string for ever", forever(`{"data":[{"id":1,"name":"`, strings.Repeat("x", 64<<10), 0), []string{"limit", "bad_data"}, true},
		{"slowly for ever", forever(`{"data":[{"id":1}`, ` `, 10*time.Millisecond), []string{"timeout"}, true},
		{"silent", func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }, []string{"timeout"}, true},
		{"a gzip bomb", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Encoding", "gzip")
			_, _ = w.Write(bomb)
		}, []string{"limit", "bad_data"}, false},
		{"100,000 levels", func(w http.ResponseWriter, _ *http.Request) {
			fmt.Fprint(w, `{"data":[{"id":1,"name":`, strings.Repeat("[", 100_000), strings.Repeat("]", 100_000), `}]}`)
		}, []string{"limit", "bad_data"}, false},
		{"pages for ever", func(w http.ResponseWriter, _ *http.Request) {
			n := pages.Add(1)
			fmt.Fprintf(w, `{"data":[{"id":%d,"name":"x"}],"next":"/?page=%d"}`, n, n+1)
		}, []string{"timeout", "limit", "bad_data"}, true},
		{"redirects for ever", func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "/?n="+strconv.FormatInt(pages.Add(1), 10), http.StatusFound)
		}, []string{"unreachable", "bad_data", "limit", "invalid_config"}, false},
		{"headers for ever", func(w http.ResponseWriter, r *http.Request) {
			c, _, err := w.(http.Hijacker).Hijack()
			if err != nil {
				return
			}
			defer c.Close()
			_, err = fmt.Fprint(c, "HTTP/1.1 200 OK\r\n")
			for n := 0; err == nil; n++ {
				_, err = fmt.Fprintf(c, "X-%d: %s\r\n", n, strings.Repeat("h", 1000))
			}
		}, []string{"limit"}, false},
	}
	id, why := a.connectTo("api", "api", object{"base_url": server.URL})
	if id == "" {
		t.Fatal(why)
	}
	for _, c := range attacks {
		if testing.Short() && c.long {
			continue
		}
		hostile.Store(&c.handler)
		limit := longLimit
		if slices.Contains(c.reasons, "timeout") {
			limit = 5 * time.Second
		}
		e := a.sync(id, within(limit))
		t.Logf("%s: %.1f s, %d MiB: %.300s", c.name, e.took.Seconds(), a.highest>>20, e.says())
		if !one(e, c.reasons) || e.took > limit+busy {
			t.Errorf("%s: want one of %v", c.name, c.reasons)
		}
		hostile.Store(nil)
		a.calm()
	}
	if e := a.sync(id, within(longLimit)); e.Status != "completed" {
		t.Errorf("once it behaves again: %s", e.says())
	}
}

// one reports whether a sync failed for one of the reasons.
func one(e ended, reasons []string) bool {
	if e.Status != "failed" || e.Error == nil {
		return false
	}
	for _, r := range reasons {
		if e.Error.Reason == r {
			return true
		}
	}
	return false
}
