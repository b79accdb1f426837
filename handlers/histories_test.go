package handlers

import (
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"headwater/bus/command"
	"headwater/bus/event"
	"headwater/handlers/landing"
	"headwater/handlers/landing/landingtest"
)

// landedHistory is a table of the fake source and how it is synced.
type landedHistory struct {
	*world
	name    string
	living  *living
	options command.SyncOptions
}

// begin adds a living table to the source.
func (w *world) begin(name string, l *living, o command.SyncOptions) *landedHistory {
	w.t.Helper()
	h := &landedHistory{world: w, name: name, living: l, options: o}
	w.source.mu.Lock()
	defer w.source.mu.Unlock()
	if w.source.living == nil {
		w.source.living = map[string]*living{}
	}
	w.source.living[name] = l
	h.options.Tables, h.options.Mode = []string{name}, landing.Incremental
	return h
}

// sync syncs the table, which must land.
func (h *landedHistory) sync() event.TableResult {
	h.t.Helper()
	r := h.try()
	if r.Status != tableCompleted {
		h.t.Fatalf("%s: %s %s: %s", h.name, r.Status, r.Reason, r.Message)
	}
	return r
}

// try syncs the table and returns what became of it.
func (h *landedHistory) try() event.TableResult {
	h.t.Helper()
	h.do(h.syncCommand(h.options))
	h.idle()
	var tables []event.TableResult
	switch names := h.outcomes(h.address); names[len(names)-1] {
	case "SyncCompleted":
		tables = last[*event.SyncCompleted](h.world).Tables
	case "SyncFailed":
		tables = last[*event.SyncFailed](h.world).Tables
	}
	for _, r := range tables {
		if r.Name == h.name {
			return r
		}
	}
	h.t.Fatalf("%s: no result", h.name)
	return event.TableResult{}
}

// landed returns the rows that readers see.
func (h *landedHistory) rows(r event.TableResult) []string {
	h.t.Helper()
	found := []string{}
	for rec, err := range landingtest.Rows(h.t.Context(), r.Location, int64(r.SnapshotID)) {
		h.check(err)
		for row := range int(rec.NumRows()) {
			text := ""
			for i, name := range []string{"id", "at", "note"} {
				column := rec.Column(rec.Schema().FieldIndices(name)[0])
				value := "-"
				if !column.IsNull(row) {
					value = column.ValueStr(row)
				}
				if i > 0 {
					text += "|"
				}
				text += value
			}
			found = append(found, text)
		}
	}
	slices.Sort(found)
	return found
}

func (h *landedHistory) same(r event.TableResult, what string) {
	h.t.Helper()
	got, want := h.rows(r), h.living.strings()
	if slices.Equal(got, want) {
		return
	}
	missing, surplus := minus(want, got), minus(got, want)
	h.t.Fatalf("%s: %s: %d rows landed, want %d: %d are missing %v, %d are too much %v", h.name, what,
		len(got), len(want), len(missing), missing[:min(5, len(missing))], len(surplus), surplus[:min(5, len(surplus))])
}

// holds fails the test unless every row of the source landed, and no version of a
// row, which is its key and its cursor, twice.
func (h *landedHistory) holds(r event.TableResult, what string) {
	h.t.Helper()
	got := h.rows(r)
	if missing := minus(h.living.strings(), got); len(missing) > 0 {
		h.t.Fatalf("%s: %s: %d rows are missing %v", h.name, what, len(missing), missing[:min(5, len(missing))])
	}
	seen := map[string]bool{}
	for _, row := range got {
		of := row[:strings.LastIndex(row, "|")]
		if seen[of] {
			h.t.Fatalf("%s: %s: two rows of %s", h.name, what, of)
		}
		seen[of] = true
	}
}

// step changes a table in one way: rows with the newest cursor value or later
// ones, without a value, or beyond now; and, with keys, rows that change and get
// such a value.
func step(r *rand.Rand, l *living, next *int64, updates, many bool) {
	newest := l.newest()
	if newest.IsZero() {
		newest = time.Now().UTC().Truncate(time.Second).Add(-1000 * time.Hour)
	}
	at := func() *time.Time {
		switch n := r.IntN(20); {
		case n < 8:
			return &newest
		case n < 14:
			later := newest.Add(time.Duration(1+r.IntN(3)) * time.Second)
			return &later
		case n < 17:
			return nil
		case n < 19:
			far := time.Now().UTC().Truncate(time.Second).Add(time.Duration(1+r.IntN(10_000)) * time.Hour)
			return &far
		}
		never := time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC)
		return &never
	}
	l.change(func(rows *[]version) {
		count := 1 + r.IntN(5)
		var all *time.Time
		if many && r.IntN(10) == 0 { // more of one value than are noted
			count, all = 4500, &newest
		}
		for range count {
			v := version{at: at(), note: fmt.Sprintf("n%d", r.IntN(3))}
			if all != nil {
				v.at = all
			}
			if updates && len(*rows) > 0 && r.IntN(3) == 0 {
				old := &(*rows)[r.IntN(len(*rows))]
				v.id = old.id
				// A row that has no value, or one beyond now, is read each time.
				if v.note = fmt.Sprintf("%s+%d", v.note, r.IntN(1000)); v.at != nil {
					*old = v
					continue
				}
				continue
			}
			if *next++; r.IntN(4) == 0 && !updates && len(*rows) > 0 {
				v = (*rows)[r.IntN(min(len(*rows), 10))] // a copy of a row
				v.at = at()
			} else {
				v.id = *next
			}
			*rows = append(*rows, v)
		}
	})
}

// After every incremental sync of any history without deletes, what landed is
// what the source holds: with a key by merging, and without one row for row; with
// a key and without merging it holds that, and no version twice. A sync of
// nothing new brings no row and no file.
func TestHistories(t *testing.T) {
	histories, steps := 15, 8
	if testing.Short() {
		histories, steps = 3, 6
	}
	options := quick()
	options.CommitBytes = 1
	w := newWorld(t, options)
	w.connect()
	for n := range histories {
		seed := uint64(time.Now().UnixNano())
		if text := os.Getenv("HANDLERS_TEST_SEED"); text != "" { // of one history, followed by its number
			_, err := fmt.Sscanf(text, "%d/%d", &seed, &n)
			w.check(err)
			histories = 0
		}
		r := rand.New(rand.NewPCG(seed, seed))
		keyless, merge := n%3 == 1, n%3 == 0
		l := &living{keyless: keyless, identity: "one", noRanges: r.IntN(2) == 0}
		h := w.begin(fmt.Sprintf("t%d_%d", n, seed), l, command.SyncOptions{Merge: merge, BatchSize: []int{1000, 3, 70}[r.IntN(3)]})
		same := h.same
		if !merge && !keyless {
			same = h.holds
		}
		what := fmt.Sprintf("seed %d/%d", seed, n)
		var next int64
		for i := range steps {
			step(r, l, &next, !keyless, h.options.BatchSize == 1000)
			killed := ""
			if r.IntN(3) == 0 {
				killed = []string{"wrote", "committed", "staged", "checkpointed"}[r.IntN(4)]
				w.seams.kill(killed, 1+r.IntN(3))
			}
			t.Logf("step %d: killed at %q: %d rows", i, killed, len(l.rows))
			if os.Getenv("HANDLERS_TEST_SEED") != "" {
				t.Log(l.strings())
			}
			result := h.sync()
			same(result, fmt.Sprintf("%s, step %d, killed at %q", what, i, killed))
			w.seams.kill("", 0)
			if len(l.rows) > 4000 || l.newest().IsZero() {
				continue // more ties than are noted land again, and so does a table without a place to go on from
			}
			if again := h.sync(); again.Records != 0 || again.Files != 0 {
				t.Fatalf("%s, step %d: nothing new brought %d rows in %d files", what, i, again.Records, again.Files)
			} else {
				same(again, what+", again")
			}
		}
	}
}
