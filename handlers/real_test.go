package handlers

import (
	"database/sql"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"headwater/bus/command"
	"headwater/bus/event"
	"headwater/handlers/landing"
	"headwater/projections"
)

// connectTo connects a real source under the world's name.
func (w *world) connectTo(connector, config string) {
	w.t.Helper()
	op := w.do(&command.ConnectSource{
		Meta: w.operation(event.KindConnect), Name: "shop", Type: connector, Connector: connector, Config: json.RawMessage(config),
	})
	if op.Status != projections.StatusCompleted {
		w.t.Fatalf("%+v", op.Targets)
	}
}

func (w *world) count(namespace, table string) int64 {
	w.t.Helper()
	n, err := w.lake.Count(w.t.Context(), w.address, namespace, table)
	w.check(err)
	return n
}

func TestSQLiteSource(t *testing.T) {
	w := newWorld(t, quick())
	db, err := sql.Open("sqlite", filepath.Join(w.files, "shop.db"))
	w.check(err)
	defer db.Close()
	exec := func(statements ...string) {
		for _, s := range statements {
			if _, err := db.Exec(s); err != nil {
				t.Fatalf("%s: %v", s, err)
			}
		}
	}
	exec(`create table orders (id integer primary key, note text, price decimal(10,2))`,
		`create view cheap as select * from orders where price < 10`,
		`insert into orders select value, 'order ' || value, value * 1.5 from (with recursive n(value) as (select 1 union all select value+1 from n where value < 5000) select value from n)`)
	w.connectTo("sqlite", `{"path":"shop.db"}`)
	schema := last[*event.SchemaDiscovered](w)
	if len(schema.Tables) != 2 {
		t.Fatalf("%+v", schema.Tables)
	}
	options := command.SyncOptions{Mode: landing.Incremental, Tables: []string{"orders"}, CursorField: map[string]string{"orders": "id"}, BatchSize: 100}
	w.do(w.syncCommand(options))
	done := last[*event.SyncCompleted](w)
	if done.Status != "completed" || done.Records != 5000 || done.Tables[0].Cursor != "5000" {
		t.Fatalf("%+v", done)
	}
	namespace := done.Tables[0].Namespace
	exec(`insert into orders values (5001, 'one more', 1)`)
	w.do(w.syncCommand(options))
	if done := last[*event.SyncCompleted](w); done.Records != 1 || w.count(namespace, "orders") != 5001 {
		t.Errorf("%d rows in all, %+v", w.count(namespace, "orders"), done)
	}
	w.do(w.syncCommand(command.SyncOptions{}))
	if done := last[*event.SyncCompleted](w); done.Status != "completed" || len(done.Tables) != 2 {
		t.Errorf("%+v", done)
	}
	if got := w.count(namespace, "orders"); got != 5001 {
		t.Errorf("%d rows after a full refresh", got)
	}
	// Without a cursor to go on from, an incremental sync replaces what is there:
	// the records of the source are the rows of its tables, not all ever read.
	w.do(w.syncCommand(options))
	if src, err := w.store.Source(w.address); err != nil || w.count(namespace, "orders") != 5001 || src.Records != 5001+7 {
		t.Errorf("%d rows in all, the source tells of %d (%v)", w.count(namespace, "orders"), src.Records, err)
	}
}

func TestCSVSource(t *testing.T) {
	w := newWorld(t, quick())
	path := filepath.Join(w.files, "people.csv")
	w.check(os.WriteFile(path, []byte("id,name\n1,Ada\n2,Grace\n3,\"Edsger, W.\"\n"), 0o600))
	w.connectTo("file", `{"path":"people.csv"}`)
	w.do(w.syncCommand(command.SyncOptions{}))
	done := last[*event.SyncCompleted](w)
	if done.Records != 3 {
		t.Fatalf("%+v", done)
	}
	w.check(os.WriteFile(path, []byte("id,name\n1,Ada\n\"unfinished"), 0o600))
	w.do(w.syncCommand(command.SyncOptions{}))
	names := w.outcomes(w.address)
	if names[len(names)-1] != "SyncFailed" {
		t.Errorf("a broken file: %v", names)
	}
	if got := w.count(done.Tables[0].Namespace, done.Tables[0].Name); got != 3 {
		t.Errorf("a failed refresh left %d rows of the 3 before", got)
	}
}

// wantTold connects a source of the same files and checks that whoever does so is
// told of a file that is bad.
func (w *world) wantTold(name, file string) {
	w.t.Helper()
	c := &command.ConnectSource{Meta: w.operation(event.KindConnect), Name: name, Type: "file", Connector: "file",
		Config: json.RawMessage(`{"path":"*.csv","files":"table_per_file","bad_files":"fail","cursor":"at","header":true}`)}
	address := w.address
	address.Source = projections.SourceID("acme", "w1", "ada", name, 0)
	c.Meta.Meta = event.At(address, c.Operation)
	target := w.do(c).Targets[0]
	if target.Status != projections.StatusCompleted {
		if target.Reason != event.ReasonBadData || !strings.Contains(target.Message, file+".csv") {
			w.t.Errorf("whoever connects is told %s: %q", target.Reason, target.Message)
		}
		return
	}
	for _, e := range w.events(address) {
		if d, ok := e.Data.(*event.SchemaDiscovered); ok {
			if len(d.LeftOut) != 1 || d.LeftOut[0].Name != file || !strings.Contains(d.LeftOut[0].Reason, file) {
				w.t.Errorf("whoever connects is told nothing: %+v, left out %+v", d.Tables, d.LeftOut)
			}
			return
		}
	}
	w.t.Error("connected without a schema")
}

// A known file that becomes empty takes no rows away: what would replace them
// fails, and what would add to them has nothing to add.
func TestEmptyFileKeepsItsTable(t *testing.T) {
	w := newWorld(t, quick())
	for _, name := range []string{"a.csv", "b.csv"} {
		w.check(os.WriteFile(filepath.Join(w.files, name), []byte("id,at\n1,2026-01-01T00:00:00Z\n2,2026-01-02T00:00:00Z\n"), 0o600))
	}
	w.connectTo("file", `{"path":"*.csv","files":"table_per_file","bad_files":"fail","cursor":"at"}`)
	w.do(w.syncCommand(command.SyncOptions{Mode: landing.Incremental}))
	w.check(os.WriteFile(filepath.Join(w.files, "b.csv"), nil, 0o600))
	for mode, want := range map[string]string{landing.FullRefresh: tableFailed, landing.Incremental: tableCompleted} {
		w.do(w.syncCommand(command.SyncOptions{Mode: mode}))
		done := last[*event.SyncCompleted](w)
		if len(done.Tables) != 2 || done.Tables[0].Status != tableCompleted || done.Tables[1].Status != want || w.count("", "a") != 2 || w.count("", "b") != 2 {
			t.Errorf("%s: %+v", mode, done)
		}
		schema := last[*event.SchemaDiscovered](w)
		if len(schema.Tables) != 2 || len(schema.LeftOut) != 0 || len(schema.Tables[1].Columns) != 2 || schema.Tables[1].Columns[1].Name != "at" {
			t.Errorf("%s: the schema became %+v", mode, schema)
		}
	}
}

// With bad_files "fail", a bad file among others fails its table: the others land, and
// what was known and landed of it stays.
func TestBadFileLeavesTheOthers(t *testing.T) {
	w := newWorld(t, quick())
	write := func(name, content string) {
		t.Helper()
		w.check(os.WriteFile(filepath.Join(w.files, name), []byte(content), 0o600))
	}
	write("a.csv", "id,at\n1,2026-01-01T00:00:00Z\n")
	write("b.csv", "id,at\n1,2026-01-01T00:00:00Z\n2,2026-01-02T00:00:00Z\n")
	w.connectTo("file", `{"path":"*.csv","files":"table_per_file","bad_files":"fail","cursor":"at"}`)
	incremental := command.SyncOptions{Mode: landing.Incremental}
	w.do(w.syncCommand(incremental))
	bad := map[string]string{"empty": "", "binary": "\x00\x01\x02", "a bad row": "id,at\n1,2,3\n4\n", "no cursor": "nope,cols\n1,2\n"}
	for name, content := range bad {
		for _, file := range []string{"b", "new"} {
			if name == "empty" && file == "b" {
				continue // it keeps its table, see TestEmptyFileKeepsItsTable
			}
			t.Run(name+" "+file, func(t *testing.T) {
				before, err := os.ReadFile(filepath.Join(w.files, "b.csv"))
				w.check(err)
				defer func() {
					w.check(os.Remove(filepath.Join(w.files, file+".csv")))
					write("b.csv", string(before))
				}()
				write(file+".csv", content)
				for _, options := range []command.SyncOptions{{}, incremental} {
					w.do(w.syncCommand(options))
					done := last[*event.SyncCompleted](w)
					if done.Status != "partial" || len(done.Tables) != 2+len(file)/3 {
						t.Fatalf("%+v", done)
					}
					for _, r := range done.Tables {
						if ok := r.Name != file; ok != (r.Status == tableCompleted) || !ok && (r.Status != tableFailed || r.Message == "" || r.Reason == event.ReasonInternal) {
							t.Errorf("%+v", r)
						}
					}
					options.Tables = []string{"a"}
					w.do(w.syncCommand(options))
					if done := last[*event.SyncCompleted](w); done.Status != "completed" || len(done.Tables) != 1 {
						t.Errorf("without it: %+v", done)
					}
				}
				options := command.SyncOptions{Tables: []string{"b"}}
				w.do(w.syncCommand(options))
				if names := w.outcomes(w.address); file == "b" && names[len(names)-1] != "SyncFailed" {
					t.Errorf("it alone: %v", names)
				}
				schema := last[*event.SchemaDiscovered](w)
				for i, name := range []string{"a", "b"} {
					if known := schema.Tables[i]; known.Name != name || len(known.Columns) != 2 || known.Columns[1].Name != "at" {
						t.Errorf("the schema became %+v", schema)
					}
				}
				for _, more := range schema.Tables[2:] {
					if more.Name != "new" || len(more.Columns) > 0 {
						t.Errorf("the schema has %+v", more)
					}
				}
				if n := w.count("", "b"); n != 2 {
					t.Errorf("%d of 2 rows are left", n)
				}
				w.wantTold(name+" "+file, file)
			})
		}
	}
	w.do(w.syncCommand(command.SyncOptions{}))
	if done := last[*event.SyncCompleted](w); done.Status != "completed" || len(done.Tables) != 2 {
		t.Errorf("%+v", done)
	}
}
