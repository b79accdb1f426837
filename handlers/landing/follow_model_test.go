package landing

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/decimal128"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"headwater/bus/kv/kvtest"
	"headwater/connectors/driver"
	"headwater/handlers/extract/collapse"
	"headwater/handlers/landing/landingtest"
	"headwater/handlers/landing/parts"
)

// notes is a table whose key is text without regard to case, with a document that
// the log repeats only when it changes.
func notes() driver.Table {
	return driver.Table{Namespace: "public", Name: "notes", PrimaryKey: []string{"k", "part"}, Columns: []driver.Column{
		{Name: "doc", Type: driver.Of(driver.String), Nullable: true},
		{Name: "k", Type: driver.Of(driver.String), Equality: driver.EqualFolded},
		{Name: "n", Type: driver.Of(driver.Int32)},
		{Name: "part", Type: driver.Of(driver.Int64)},
		{Name: "amount", Type: driver.DecimalOf(9, 2), Nullable: true},
	}}
}

// note is a row of it.
type note struct {
	K       string
	Doc     *string
	N       int
	Amount  int64
	Deleted bool
}

// logged is one change as a log has it: the row's key is K, which was spelled so.
type logged struct {
	op   driver.Op
	row  note
	kept bool // the document is as it was
	sum  bool // the amount is as it was
}

// model is a source: its rows by their keys, and the transactions that made them.
type model struct {
	rt     *rapid.T
	soft   bool
	rows   map[string]note // as they are now
	stay   map[string]note // those that were deleted
	log    [][]logged
	states []map[string]note // after each transaction: what is to be landed
	next   int
}

func (m *model) spelled(k string) string {
	if rapid.IntRange(0, 3).Draw(m.rt, "shouts") == 0 {
		return strings.ToUpper(k)
	}
	return k
}

func (m *model) doc() *string {
	m.next++
	if rapid.IntRange(0, 4).Draw(m.rt, "no document") == 0 {
		return nil
	}
	text := fmt.Sprintf("%d %s", m.next, strings.Repeat("long ", rapid.IntRange(0, 3).Draw(m.rt, "length")))
	return &text
}

// amount changes a row's amount, or says that it is as it was.
func (m *model) amount(row *note) (kept bool) {
	if kept = rapid.Bool().Draw(m.rt, "amount stays"); !kept {
		row.Amount = int64(m.next)
	}
	return kept
}

var noteKeys = []string{"a", "b", "c", "d", "e", "f"}

// transaction makes some changes.
func (m *model) transaction() {
	var t []logged
	for range rapid.IntRange(1, 6).Draw(m.rt, "changes") {
		k := rapid.SampledFrom(noteKeys).Draw(m.rt, "key")
		row, there := m.rows[k]
		m.next++
		switch op := rapid.IntRange(0, 9).Draw(m.rt, "what"); {
		case !there:
			row = note{K: m.spelled(k), Doc: m.doc(), N: m.next, Amount: int64(m.next)}
			m.rows[k] = row
			delete(m.stay, k)
			t = append(t, logged{driver.OpInsert, row, false, false})
		case op < 4:
			row.N = m.next
			kept := row.Doc != nil && rapid.Bool().Draw(m.rt, "document stays")
			if !kept {
				row.Doc = m.doc()
			}
			sum := m.amount(&row)
			m.rows[k] = row
			t = append(t, logged{driver.OpUpdate, row, kept, sum})
		case op < 7:
			delete(m.rows, k)
			if m.soft {
				row.Deleted = true
				m.stay[k] = row
			}
			t = append(t, logged{driver.OpDelete, row, false, false})
		case op < 9:
			to := rapid.SampledFrom(noteKeys).Draw(m.rt, "another key")
			if _, taken := m.rows[to]; taken && to != k {
				continue
			}
			t = append(t, logged{driver.OpOldKey, row, false, false})
			delete(m.rows, k)
			row.K, row.N = m.spelled(to), m.next
			kept := row.Doc != nil && rapid.Bool().Draw(m.rt, "document stays")
			if !kept {
				row.Doc = m.doc()
			}
			sum := m.amount(&row)
			m.rows[to] = row
			delete(m.stay, to)
			t = append(t, logged{driver.OpUpdate, row, kept, sum})
		case !m.soft && rapid.IntRange(0, 2).Draw(m.rt, "truncate") == 0:
			clear(m.rows)
			t = append(t, logged{op: driver.OpTruncate})
		}
	}
	m.log = append(m.log, t)
	m.states = append(m.states, m.landed())
}

func (m *model) landed() map[string]note {
	all := maps.Clone(m.rows)
	maps.Copy(all, m.stay)
	return all
}

// batches returns the changes of transactions as a driver yields them, cut anywhere.
func (m *model) batches(from, to int, whole bool) (made []driver.Changes) {
	type at struct {
		logged
		position int
	}
	var all []at
	for i := from; i < to; i++ {
		for _, c := range m.log[i] {
			all = append(all, at{c, i + 1})
		}
	}
	for len(all) > 0 {
		n := rapid.IntRange(1, min(len(all), 7)).Draw(m.rt, "rows of a batch")
		c := driver.Changes{Kept: map[int][]int{}, Old: whole}
		b := array.NewRecordBuilder(memory.DefaultAllocator, driver.ArrowSchema(driver.Table{Columns: nullable(notes().Columns)}))
		for row, one := range all[:n] {
			c.Ops = append(c.Ops, one.op)
			if len(c.Ends) == 0 || c.Ends[len(c.Ends)-1].Position != strconv.Itoa(one.position) {
				left := 0
				for _, other := range all[row:] {
					if other.position == one.position {
						left++
					}
				}
				c.Ends = append(c.Ends, driver.End{Rows: left, Position: strconv.Itoa(one.position), Committed: time.Unix(int64(one.position), 0)})
			}
			keyOnly := !whole && (one.op == driver.OpDelete || one.op == driver.OpOldKey)
			if one.kept || keyOnly || one.row.Doc == nil {
				b.Field(0).AppendNull()
			} else {
				b.Field(0).(*array.StringBuilder).Append(*one.row.Doc)
			}
			if one.kept {
				c.Kept[row] = []int{0}
			}
			if one.sum {
				c.Kept[row] = append(c.Kept[row], 4)
			}
			b.Field(1).(*array.StringBuilder).Append(one.row.K)
			if keyOnly {
				b.Field(2).AppendNull()
			} else {
				b.Field(2).(*array.Int32Builder).Append(int32(one.row.N))
			}
			b.Field(3).(*array.Int64Builder).Append(7)
			if one.sum || keyOnly {
				b.Field(4).AppendNull()
			} else {
				b.Field(4).(*array.Decimal128Builder).Append(decimal128.FromI64(one.row.Amount))
			}
		}
		c.Record = b.NewRecordBatch()
		b.Release()
		made, all = append(made, c), all[n:]
	}
	return made
}

func nullable(columns []driver.Column) []driver.Column {
	columns = slices.Clone(columns)
	for i := range columns {
		columns[i].Nullable = true
	}
	return columns
}

// seen returns what readers of a snapshot see.
func seen(ctx context.Context, c Committed) (map[string]note, error) {
	found := map[string]note{}
	for rec, err := range landingtest.Rows(ctx, c.Location, c.SnapshotID) {
		if err != nil {
			return nil, err
		}
		for row := range int(rec.NumRows()) {
			n := note{K: rec.Column(1).(*array.String).Value(row), N: int(rec.Column(2).(*array.Int32).Value(row))}
			if doc := rec.Column(0).(*array.String); doc.IsValid(row) {
				text := strings.Clone(doc.Value(row))
				n.Doc = &text
			}
			if sums := rec.Column(4).(*array.Decimal128); sums.IsValid(row) {
				n.Amount = int64(sums.Value(row).LowBits())
			} else {
				n.Amount = -1
			}
			if rec.NumCols() > 5 {
				n.Deleted = rec.Column(5).(*array.Boolean).Value(row)
			}
			k := strings.ToLower(n.K)
			if _, twice := found[k]; twice {
				return nil, fmt.Errorf("%q is there twice", k)
			}
			n.K = strings.Clone(n.K)
			found[k] = n
		}
	}
	return found, nil
}

// A source's random changes, cut anywhere, sealed anywhere, committed in any groups,
// with crashes at any step and a maintenance now and then, leave what the source had
// at the position that the table says.
func TestChangesAreTheSource(t *testing.T) {
	if testing.Short() {
		if err := flag.Set("rapid.checks", "30"); err != nil {
			t.Fatal(err)
		}
	}
	rapid.Check(t, func(rt *rapid.T) {
		l := openLakeAt(t, t.TempDir(), kvtest.New())
		l.patience = 0
		l.passKeys = rapid.SampledFrom([]int64{3, passKeys}).Draw(rt, "keys in memory")
		if rapid.Bool().Draw(rt, "indexed") {
			alwaysIndexed(t, l)
		}
		m := &model{rt: rt, soft: rapid.Bool().Draw(rt, "soft"), rows: map[string]note{}, stay: map[string]note{}}
		whole := rapid.Bool().Draw(rt, "whole old rows")
		for range rapid.IntRange(0, 3).Draw(rt, "transactions before") {
			m.transaction()
		}
		m.stay = map[string]note{}
		start := len(m.log)
		if start == 0 {
			m.log, m.states, start = append(m.log, nil), append(m.states, m.landed()), 1
		}
		m.states[start-1] = m.landed()
		target := Target{Address: home, Table: notes(), SyncID: "syn_1", Fence: 1, Mode: FullRefresh, Key: []string{"k", "part"}, Soft: m.soft, Position: strconv.Itoa(start)}
		loadNotes(t, l, target, m.states[start-1])
		for range rapid.IntRange(1, 12).Draw(rt, "transactions") {
			m.transaction()
		}
		target.Mode, target.Position = Changes, ""
		var last Committed
		attempt := func() {
			target.Fence++
			w, err := l.Begin(t.Context(), target)
			if err != nil {
				rt.Fatal(err)
			}
			if last, err = m.follow(t.Context(), w, whole); err != nil {
				rt.Fatal(err)
			}
		}
		if step := rapid.SampledFrom([]string{"", "parts", "deletes", "manifests", "metadata", "swapped", "swept"}).Draw(rt, "crash at"); step != "" {
			crash(l, step, rapid.IntRange(1, 4).Draw(rt, "nth"), attempt)
		}
		attempt()
		got, err := seen(t.Context(), last)
		if err != nil {
			rt.Fatal(err)
		}
		if diff := cmp.Diff(m.landed(), got); diff != "" {
			rt.Fatal(diff)
		}
		if last.Total != int64(len(got)) {
			rt.Errorf("%d rows are told of, %d are there", last.Total, len(got))
		}
		if left, err := orphans(t.Context(), l, "notes"); err != nil || len(left) > 0 {
			rt.Fatalf("orphans %v, %v", left, err)
		}
	})
}

// follow lands what the log has behind the writer's position.
func (m *model) follow(ctx context.Context, w *Writer, whole bool) (c Committed, err error) {
	at, err := strconv.Atoi(w.Position())
	if err != nil {
		return c, fmt.Errorf("position %q", w.Position())
	}
	if done, finished := w.Finished(); finished {
		return done, nil
	}
	got, err := seen(ctx, Committed{Location: w.base.Meta.Location(), SnapshotID: w.base.Meta.CurrentSnapshot().SnapshotID})
	if err != nil {
		return c, err
	}
	if diff := cmp.Diff(m.states[at-1], got); diff != "" {
		return c, fmt.Errorf("position %d and rows disagree: %s", at, diff)
	}
	table, err := collapse.New(collapse.Config{Table: w.Table(), Layout: w.Layout(), Key: []string{"k", "part"}, Files: writing{w}, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		return c, err
	}
	for at < len(m.log) {
		to := rapid.IntRange(at+1, len(m.log)).Draw(m.rt, "flush up to")
		var sealed []parts.Changes
		seal := func() error {
			made, err := table.Seal().Encode(ctx)
			sealed = append(sealed, made)
			return err
		}
		for _, b := range m.batches(at, to, whole) {
			if err := table.Take(b); err != nil {
				return c, err
			}
			if table.Sealable() && rapid.IntRange(0, 3).Draw(m.rt, "seal") == 0 {
				if err := seal(); err != nil {
					return c, err
				}
			}
		}
		if err := seal(); err != nil {
			return c, err
		}
		if err := w.Change(strconv.Itoa(to), sealed...); err != nil {
			return c, err
		}
		at = to
		if rapid.IntRange(0, 2).Draw(m.rt, "commit") > 0 {
			w.At(strconv.Itoa(to), time.Unix(int64(to), 0))
			if c, err = w.Commit(ctx, nil, false); err != nil {
				return c, err
			}
			if rapid.IntRange(0, 4).Draw(m.rt, "maintain") == 0 {
				if _, err := w.lake.Maintain(ctx, home, "public", "notes", true); err != nil {
					return c, err
				}
			}
		}
	}
	return w.Commit(ctx, nil, true)
}

// writing is where a Writer's parts go.
type writing struct{ *Writer }

func (w writing) Create(name string) (io.WriteCloser, error) { return w.Files().Create(name) }

func loadNotes(t *testing.T, l *Lake, target Target, rows map[string]note) {
	t.Helper()
	w, err := l.Begin(t.Context(), target)
	if err != nil {
		t.Fatal(err)
	}
	b := array.NewRecordBuilder(memory.DefaultAllocator, driver.ArrowSchema(notes()))
	defer b.Release()
	for _, n := range rows {
		if n.Doc == nil {
			b.Field(0).AppendNull()
		} else {
			b.Field(0).(*array.StringBuilder).Append(*n.Doc)
		}
		b.Field(1).(*array.StringBuilder).Append(n.K)
		b.Field(2).(*array.Int32Builder).Append(int32(n.N))
		b.Field(3).(*array.Int64Builder).Append(7)
		b.Field(4).(*array.Decimal128Builder).Append(decimal128.FromI64(n.Amount))
	}
	enc := parts.Start(parts.Config{Files: w.Files(), Layout: w.Layout(), Name: w.NextName, Log: w.lake.log, Fill: true})
	err = enc.Put(t.Context(), b.NewRecordBatch())
	made, failed := enc.Finish()
	if err = errors.Join(err, failed, w.Add(made...)); err == nil {
		_, err = w.Commit(t.Context(), nil, true)
	}
	if err != nil {
		t.Fatal(err)
	}
}
