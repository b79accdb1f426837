package handlers

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"headwater/bus/command"
	"headwater/bus/event"
	"headwater/connectors/driver"
)

// dayOf returns a moment of the second of January 2026.
func dayOf(second int) *time.Time {
	at := time.Date(2026, 1, 2, 0, 0, second, 0, time.UTC)
	return &at
}

func some3() []version {
	return []version{{1, dayOf(1), "a"}, {2, dayOf(2), "b"}, {3, dayOf(3), "c"}}
}

func notesOf(r event.TableResult) string { return strings.Join(r.Notes, "\n") }

func wantNote(t *testing.T, r event.TableResult, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if !strings.Contains(notesOf(r), part) {
			t.Errorf("no note says %q: %q", part, r.Notes)
		}
	}
}

// A table that is another one starts over, whole and said, or stops with the way
// out; an empty one leaves what landed until it may not.
func TestReplacedTables(t *testing.T) {
	w := newWorld(t, quick())
	w.connect()
	for n, merge := range []bool{true, false} {
		l := &living{identity: "one", rows: some3()}
		h := w.begin(fmt.Sprintf("swapped%d", n), l, command.SyncOptions{Merge: merge})
		h.same(h.sync(), "at first")
		if r := h.sync(); len(r.Notes) > 0 {
			t.Errorf("notes without a change: %q", r.Notes)
		}

		// Another table whose rows all lie before the cursor.
		l.change(func(rows *[]version) { l.identity, *rows = "two", []version{{1, dayOf(0), "other"}} })
		h.options.OnReplaced = command.Stop
		if r := h.try(); r.Status != tableFailed || r.Reason != event.ReasonSchemaChanged || !strings.Contains(r.Message, "sync_options.reset") || !strings.Contains(r.Message, "on_replaced") {
			t.Errorf("stop: %s %s %q", r.Status, r.Reason, r.Message)
		}
		h.options.OnReplaced = ""
		r := h.sync()
		h.same(r, "swapped")
		wantNote(t, r, "not the one whose rows landed before", "to replace what had landed")
		if r = h.sync(); r.Records != 0 || len(r.Notes) > 0 {
			t.Errorf("after it: %d records, notes %q", r.Records, r.Notes)
		}

		// What the source cannot tell is no change.
		l.change(func(*[]version) { l.identity = "" })
		if r = h.sync(); r.Records != 0 || len(r.Notes) > 0 {
			t.Errorf("without an identity: %d records, notes %q", r.Records, r.Notes)
		}

		// An empty one.
		before := h.rows(r)
		l.change(func(rows *[]version) { l.identity, *rows = "three", nil })
		for range 2 {
			r = h.sync()
			h.want(h.rows(r), before)
			wantNote(t, r, "has no row now", "allow_empty")
		}
		h.options.AllowEmpty = true
		h.same(h.sync(), "emptied")
		l.change(func(rows *[]version) { *rows = some3() })
		h.same(h.sync(), "filled again")
	}
}

func (h *landedHistory) want(got, want []string) {
	h.t.Helper()
	if !slices.Equal(got, want) {
		h.t.Errorf("%s holds %v, want %v", h.name, got, want)
	}
}

// A source that finds out as it reads is believed just as well.
func TestReplacedWhileItIsRead(t *testing.T) {
	w := newWorld(t, quick())
	w.connect()
	l := &living{rows: some3()}
	h := w.begin("truncated", l, command.SyncOptions{Merge: true})
	h.sync()
	l.change(func(rows *[]version) {
		*rows = []version{{7, dayOf(0), "new"}}
		l.fails = func(from driver.Cursor) error {
			if from.Value == nil {
				return nil
			}
			return driver.E(driver.ErrReplaced, nil, "the table was truncated")
		}
	})
	h.options.OnReplaced = command.Stop
	if r := h.try(); r.Status != tableFailed || !strings.Contains(r.Message, "truncated") || !strings.Contains(r.Message, "sync_options.reset") {
		t.Errorf("stop: %s %s %q", r.Status, r.Reason, r.Message)
	}
	h.options.OnReplaced = ""
	r := h.sync()
	h.same(r, "truncated")
	wantNote(t, r, "truncated", "read from its start")

	// One that says so of every read fails, and does not go round.
	l.change(func(*[]version) {
		l.fails = func(driver.Cursor) error { return driver.E(driver.ErrReplaced, nil, "again and again") }
	})
	if r := h.try(); r.Status != tableFailed || r.Reason != event.ReasonSchemaChanged {
		t.Errorf("replaced for ever: %s %s %q", r.Status, r.Reason, r.Message)
	}
}

// Columns whose values in old rows are wrong make the table be read again, or are
// told as long as they are so.
func TestColumnsThatChange(t *testing.T) {
	for name, c := range map[string]struct {
		before, after map[string]string
		says          []string // none where nothing is wrong with old rows
	}{
		"added":              {map[string]string{"id": "1"}, map[string]string{"id": "1", "more": "9"}, []string{`"more" was not read before`}},
		"renamed":            {map[string]string{"id": "1", "was": "4"}, map[string]string{"id": "1", "is": "4"}, []string{`"is" was "was"`}},
		"dropped and added":  {map[string]string{"id": "1", "note": "3"}, map[string]string{"id": "1", "note": "5"}, []string{`"note" is another column`}},
		"long identities":    {map[string]string{"id": "1", "note": strings.Repeat("x", 500)}, map[string]string{"id": "1", "note": strings.Repeat("x", 499) + "y"}, []string{`"note" is another column`}},
		"removed":            {map[string]string{"id": "1", "more": "9"}, map[string]string{"id": "1"}, nil},
		"first told of":      {map[string]string{}, map[string]string{"id": "1", "note": "3"}, nil},
		"no longer told of":  {map[string]string{"id": "1", "note": "3"}, map[string]string{}, nil},
		"added, not told of": {map[string]string{"id": "1"}, map[string]string{"id": "1", "more": ""}, []string{`in "more"`}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, quick())
			w.connect()
			for _, keep := range []bool{false, true} {
				l := &living{identity: "one", noMoments: true, columns: c.before, rows: some3()}
				h := w.begin(fmt.Sprintf("columns%t", keep), l, command.SyncOptions{Merge: true})
				if keep {
					h.options.OnColumnsChanged = command.Keep
				}
				h.sync()
				l.change(func(rows *[]version) {
					l.columns = c.after
					*rows = append(*rows, version{4, dayOf(4), "d"})
				})
				stays := keep || c.says == nil || c.after["more"] == "" && strings.Contains(name, "not told")
				for n := range 3 {
					r := h.sync()
					h.same(r, name)
					switch again := r.Records == 4; {
					case again != (n == 0 && !stays):
						t.Errorf("keep %t, sync %d: %d records", keep, n, r.Records)
					case again:
						wantNote(t, r, c.says...)
					case c.says == nil || n > 0 && !stays:
						if len(r.Notes) > 0 {
							t.Errorf("keep %t, sync %d: notes %q", keep, n, r.Notes)
						}
					default: // as long as it is so
						wantNote(t, r, "landed before the columns changed", "sync_options.reset")
					}
				}
				if h.options.Reset = []string{h.name}; len(h.sync().Notes) > 0 {
					t.Errorf("keep %t: notes after a reset", keep)
				}
			}
		})
	}
}

// A column that was excluded and is read now.
func TestColumnNoLongerExcluded(t *testing.T) {
	w := newWorld(t, quick())
	w.connect()
	l := &living{identity: "one", columns: map[string]string{"id": "1", "at": "2", "note": "3"}, rows: some3()}
	h := w.begin("excluded", l, command.SyncOptions{})
	h.sync()
	h.options.Columns = map[string]command.Columns{"excluded": {Exclude: []string{"note"}}}
	h.sync()
	h.options.Columns = nil
	r := h.sync()
	h.same(r, "read again")
	wantNote(t, r, `"note" was not read before`)
}

// A cursor that was changed is told, as is a value that lies beyond now with the
// row that holds it, which lands and stands in nobody's way.
func TestCursorBeyondNow(t *testing.T) {
	w := newWorld(t, quick())
	w.connect()
	for n, ranges := range []bool{false, true} {
		never := time.Date(9999, 12, 31, 0, 0, 0, 0, time.UTC)
		l := &living{identity: "one", noRanges: !ranges, rows: append(some3(), version{9, &never, "typo"})}
		h := w.begin(fmt.Sprintf("beyond%d", n), l, command.SyncOptions{Merge: true})
		for i := range 3 {
			r := h.sync()
			h.same(r, "beyond now")
			wantNote(t, r, `"at" holds 9999-12-31T00:00:00`, "id 9")
			if strings.HasPrefix(r.Cursor, "9999") || i > 0 && r.Records != 1 {
				t.Errorf("sync %d: %d records up to %s", i, r.Records, r.Cursor)
			}
			l.change(func(rows *[]version) { *rows = append(*rows, version{int64(20 + i), dayOf(10 + i), "later"}) })
		}
		l.change(func(rows *[]version) { (*rows)[3] = version{9, dayOf(30), "mended"} })
		r := h.sync()
		h.same(r, "mended")
		if len(r.Notes) > 0 {
			t.Errorf("notes of what was mended: %q", r.Notes)
		}
	}
}

// The place after a load in ranges is that of its first snapshot, also after a
// worker died among them, and what the source notes comes back to it.
func TestFirstSnapshotCounts(t *testing.T) {
	for _, killed := range []int{0, 1, 2, 3} {
		t.Run(fmt.Sprintf("killed after %d ranges", killed), func(t *testing.T) {
			o := quick()
			o.RangeParallelism = 1
			w := newWorld(t, o)
			w.connect()
			l := &living{identity: "one", position: "xids 7"}
			clock := 0
			for id := range int64(40) {
				l.rows = append(l.rows, version{id, dayOf(clock), "old"})
			}
			// Every row changes while some are read, the clock goes on.
			l.between = func() {
				l.change(func(rows *[]version) {
					clock++
					for i := range *rows {
						(*rows)[i].at, (*rows)[i].note = dayOf(clock), fmt.Sprintf("new %d", clock)
					}
				})
			}
			h := w.begin("torn", l, command.SyncOptions{Merge: true})
			if killed > 0 {
				w.seams.kill("staged", killed)
			}
			r := h.sync()
			if want := "2026-01-02T00:00:00.000000Z"; r.Cursor != want {
				t.Errorf("the place is %s, want %s", r.Cursor, want)
			}
			wantNote(t, r, "several moments")
			if killed > 0 && w.seams.killed() != 1 {
				t.Error("nothing was killed")
			}
			l.between = nil
			h.same(h.sync(), "after the next sync")
			if at := l.gotten[len(l.gotten)-1]; string(at.Position) != `"xids 7"` || !at.Inclusive || !at.Nulls {
				t.Errorf("the read went on at %+v", at)
			}
			if r := h.sync(); r.Records != 0 {
				t.Errorf("%d records of nothing new", r.Records)
			}
		})
	}
}

// What is told of a table outlives a worker that dies between the commit and its
// event.
func TestNotesOutliveAWorker(t *testing.T) {
	w := newWorld(t, quick())
	w.connect()
	l := &living{identity: "one", rows: some3()}
	h := w.begin("noted", l, command.SyncOptions{})
	h.sync()
	l.change(func(*[]version) { l.identity = "two" })
	w.seams.kill("committed", 1)
	r := h.sync()
	if w.seams.killed() != 1 {
		t.Error("nothing was killed")
	}
	wantNote(t, r, "not the one whose rows landed before")
}

// Lookback finds late rows of tables without a key, and repeats nothing.
func TestLookbackWithoutAKey(t *testing.T) {
	o := quick()
	o.CommitBytes = 1
	w := newWorld(t, o)
	w.connect()
	l := &living{identity: "one", keyless: true, rows: append(some3(), some3()...)}
	h := w.begin("late", l, command.SyncOptions{Lookback: "10s", BatchSize: 1})
	h.sync()
	for i := range 3 {
		l.change(func(rows *[]version) {
			*rows = append(*rows, version{2, dayOf(2), "b"}, version{int64(10 + i), dayOf(1), "late"}, version{int64(30 + i), dayOf(4 + i), "new"})
		})
		if i == 1 {
			w.seams.kill("committed", 2)
		}
		r := h.sync()
		h.same(r, "late rows")
		if i != 1 && r.Records != 3 {
			t.Errorf("%d records of 3 new rows", r.Records)
		}
	}
	if r := h.sync(); r.Records != 0 || r.Files != 0 {
		t.Errorf("nothing new: %d records in %d files", r.Records, r.Files)
	}
}
