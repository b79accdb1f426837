// Package history makes the events of an organization that has synced for years, the same
// each time. It knows no broker.
package history

import (
	"encoding/json"
	"fmt"
	"iter"
	"math/rand/v2"
	"time"

	"headwater/bus/event"
)

const (
	historySources = 2000
	historyUsers   = 20
	syncsAtOnce    = 16 // whose events lie between each other's
)

// life makes the events of an organization whose sources are connected, synced
// again and again, change their schemas, fail, are removed, restored and purged.
// The same come each time.
type life struct {
	rng     *rand.Rand
	sources []*lived
	made    int
	left    int
	yield   func(*event.Event) bool
}

// lived is one source as its events left it.
type lived struct {
	event.Address
	name     string
	schema   int
	rows     int64
	snapshot int64
	syncs    int
	removed  uint64 // sequence of its SourceRemoved, 0 while it is there
	busy     bool
}

var landedTables = []string{"orders", "customers", "order_items"}

// Of yields so many events, the first at sequence 1.
func Of(count int) iter.Seq[*event.Event] {
	return func(yield func(*event.Event) bool) {
		l := &life{rng: rand.New(rand.NewPCG(1, 2)), left: count, yield: yield}
		for i := range historySources {
			s := &lived{Address: event.Address{Organization: "acme", Workspace: fmt.Sprint("w", i%4), Owner: fmt.Sprintf("user%02d", i%historyUsers), Source: l.id("src")}, name: fmt.Sprintf("warehouse %d", i)}
			if i%10 == 0 {
				s.Owner = "" // the organization's
			}
			l.sources = append(l.sources, s)
			if !l.connect(s) {
				return
			}
		}
		type step struct {
			next func() (more, ok bool)
			stop func()
		}
		var going []step
		defer func() {
			for _, g := range going {
				g.stop()
			}
		}()
		for {
			for len(going) < syncsAtOnce {
				next, stop := iter.Pull(l.episode(l.idle()))
				going = append(going, step{next, stop})
			}
			i := l.rng.IntN(len(going))
			more, ok := going[i].next()
			if !ok {
				going[i].stop()
				going[i] = going[len(going)-1]
				going = going[:len(going)-1]
			} else if !more {
				return
			}
		}
	}
}

func (l *life) id(kind string) string {
	const letters = "0123456789abcdefghjkmnpqrstvwxyz"
	b := []byte(kind + "_")
	for range 26 {
		b = append(b, letters[l.rng.IntN(len(letters))])
	}
	return string(b)
}

// idle returns a source about which nothing is under way.
func (l *life) idle() *lived {
	for {
		if s := l.sources[l.rng.IntN(len(l.sources))]; !s.busy {
			s.busy = true
			return s
		}
	}
}

// tell yields one event, 20 ms after the one before. It reports whether more are
// wanted.
func (l *life) tell(d event.Data) bool {
	if l.left == 0 {
		return false
	}
	l.made++
	l.left--
	e := &event.Event{
		ID: fmt.Sprintf("019a0000-%04x-7000-8000-%012x", l.made&0xffff, l.made), Causation: fmt.Sprintf("019a0000-%04x-7000-9000-%012x", l.made&0xffff, l.made),
		Time: time.Unix(1_760_000_000, int64(l.made)*20e6+l.rng.Int64N(1e6)).UTC(), Data: d,
	}
	return l.yield(e) && l.left > 0
}

func (l *life) operation(kind string) event.Operation {
	return event.Operation{ID: l.id("op"), Kind: kind, Targets: 1, Actor: "user01"}
}

func (l *life) connect(s *lived) bool {
	op := l.operation(event.KindConnect)
	c := &event.SourceConnected{
		Meta: event.At(s.Address, op), Name: s.name, Type: "database", Connector: "postgresql", ConfigVersion: 1, SecretRef: l.id("sec"),
		Config:   json.RawMessage(`{"host":"db.acme.example","port":5432,"database":"shop","user":"reader","sslmode":"verify-full"}`),
		Metadata: json.RawMessage(`{"team":"sales"}`),
	}
	return l.tell(c) && l.discovered(s, op, "connect", "", true)
}

func (l *life) discovered(s *lived, op event.Operation, cause, sync string, final bool) bool {
	s.schema++
	op.Final = final
	d := &event.SchemaDiscovered{Meta: event.At(s.Address, op), Version: s.schema, Cause: cause, SyncID: sync}
	for _, name := range landedTables {
		t := event.Table{Name: name, Namespace: "public", Kind: "table", PrimaryKey: []string{"id"}, Cursor: "updated_at"}
		t.Columns = []event.Column{
			{Name: "id", Type: "int64", SourceType: "bigint"}, {Name: "name", Type: "string", SourceType: "text", Nullable: true},
			{Name: "price", Type: "decimal(12,2)", SourceType: "numeric(12,2)", Nullable: true}, {Name: "updated_at", Type: "timestamptz", SourceType: "timestamp with time zone"},
		}
		for i := range s.schema - 1 {
			t.Columns = append(t.Columns, event.Column{Name: fmt.Sprint("extra", i), Type: "string", SourceType: "text", Nullable: true})
		}
		d.Tables = append(d.Tables, t)
		if s.schema == 1 {
			d.Diff.Added = append(d.Diff.Added, "public."+name)
		} else {
			d.Diff.Added = append(d.Diff.Added, fmt.Sprint("public.", name, ".extra", s.schema-2))
		}
	}
	return l.tell(d)
}

// episode yields, for each event of what happens to the source next, whether
// more are wanted.
func (l *life) episode(s *lived) iter.Seq[bool] {
	return func(yield func(bool) bool) {
		defer func() { s.busy = false }()
		tell := func(d event.Data) bool { return yield(l.tell(d)) }
		switch at := l.rng.IntN(100); {
		case s.removed > 0 && at < 60:
			op := l.operation(event.KindRestore)
			op.Final = true
			tell(&event.SourceRestored{Meta: event.At(s.Address, op), Name: s.name, Type: "database", Connector: "postgresql", ConfigVersion: 1, SchemaVersion: s.schema, Removed: s.removed})
			s.removed = 0
		case s.removed > 0:
			op := l.operation(event.KindPurge)
			op.Final = true
			if !tell(&event.SourcePurged{Meta: event.At(s.Address, op), Name: s.name, Removed: s.removed}) {
				return
			}
			*s = lived{Address: s.Address, name: s.name}
			s.Source = l.id("src")
			yield(l.connect(s))
		case at == 0:
			op := l.operation(event.KindCleanup)
			op.Final = true
			after := time.Unix(1_760_000_000, int64(l.made)*20e6).UTC().Add(7 * 24 * time.Hour)
			tell(&event.SourceRemoved{Meta: event.At(s.Address, op), Name: s.name, DestroyedAfter: &after})
			s.removed = uint64(l.made)
		default:
			l.sync(s, at, tell, yield)
		}
	}
}

func (l *life) sync(s *lived, at int, tell func(event.Data) bool, yield func(bool) bool) {
	op, id := l.operation(event.KindSync), l.id("syn")
	accepted := op
	if !tell(&event.OperationAccepted{
		Meta:     event.At(event.Address{Organization: s.Organization, Workspace: s.Workspace, Owner: s.Owner, Source: op.ID}, accepted),
		Accepted: []event.Target{{SourceID: s.Source, Name: s.name, SyncID: id}},
	}) {
		return
	}
	start := &event.SyncStarted{Meta: event.At(s.Address, op), SyncID: id, Attempt: 1, Mode: "incremental"}
	for _, name := range landedTables {
		start.Tables, start.Estimates = append(start.Tables, "public."+name), append(start.Estimates, s.rows+100)
	}
	if !tell(start) {
		return
	}
	if at < 3 && !yield(l.discovered(s, op, "sync", id, false)) {
		return
	}
	var results []event.TableResult
	var records, size int64
	for i, name := range landedTables {
		s.snapshot++
		read := 50 + l.rng.Int64N(200)
		total, estimate := s.rows+read, s.rows+100
		row := time.Unix(1_760_000_000, int64(l.made)*20e6).UTC()
		r := event.TableResult{
			Name: name, Namespace: "public", Status: "running", Mode: "incremental", Records: read, Total: &total, Bytes: 40 * read, Files: 1,
			Cursor: row.Format(time.RFC3339Nano), CursorName: "updated_at", SnapshotID: event.SnapshotID(5937117119577200000 + s.snapshot*10 + int64(i)),
			Location: "file:///var/lib/headwater/lake/acme/" + s.Source + "/public/" + name, DurationMS: 40 + int64(i), RowsRead: read, BytesRead: 40 * read,
			Rate: read * 20, Estimate: &estimate, LastRowAt: &row,
		}
		records, size = records+read, size+40*read
		if !tell(&event.SyncProgressed{Meta: event.At(s.Address, op), SyncID: id, Table: r, Records: records, Bytes: size}) {
			return
		}
		r.Status = "completed"
		results = append(results, r)
	}
	s.rows, s.syncs = s.rows+100, s.syncs+1
	op.Final = true
	if at >= 98 {
		tell(&event.SyncFailed{Meta: event.At(s.Address, op), SyncID: id, Reason: event.ReasonTimeout, Message: "no row within 30 s", DurationMS: 30_000, Tables: results})
		return
	}
	tell(&event.SyncCompleted{Meta: event.At(s.Address, op), SyncID: id, Status: "completed", Mode: "incremental", Records: records, Bytes: size, DurationMS: 180, Tables: results})
}
