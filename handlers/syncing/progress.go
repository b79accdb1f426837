package syncing

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"headwater/bus/event"
	"headwater/connectors/driver"
	"headwater/handlers/landing"
	"headwater/handlers/syncoptions"
	"headwater/handlers/throughput"
)

// The statuses of a table within a sync.
const (
	statusWaiting   = "skipped" // as it stays when the sync ends before its turn
	statusRunning   = "running"
	statusCompleted = "completed"
	statusFailed    = "failed"
)

// totals are the sums over the tables of an attempt.
type totals struct{ records, bytes atomic.Int64 }

// tableRun is one table of one attempt and how far it is. Its own result counts
// the rows and bytes that were read on top of those committed, for the sums; what
// it tells others counts what is committed. It is safe for concurrent use.
type tableRun struct {
	table   driver.Table
	cursor  string // column of an incremental sync
	options tableOptions
	follow  *following // of a table whose changes are followed, else nil
	before  *tableRun  // what it was in the round before, of one that the log may have by now
	unread  error      // why nothing but the name is known of the table
	// patience is how long the source may send nothing before it is waited for.
	silentAfter time.Duration
	totals      *totals

	mu        sync.Mutex
	result    event.TableResult
	committed landing.Committed
	began     time.Time
	reading   time.Time // when the read at hand began, or of what moment it is
	starts    sync.Once // of the moment that tables share
	alone     bool      // a read at that moment failed
	changed   bool      // since the last snapshot
	moved     time.Time // when rows last came, or the table began
	told      time.Time // when the last snapshot was taken
	waiting   bool      // as the last snapshot told
	pace      throughput.Pace
	flow      *throughput.Flow // of the read at hand, nil before the first
	base      int64            // rows that were committed before it
	made      [2]int64         // rows and bytes of its parts that are done
	commits   bool             // it is committing
	doing     string           // as the last snapshot told
	uploaded  int64            // bytes, as the last snapshot told
}

// mode returns how the table lands: while one whose changes are followed is read
// whole, as by a full refresh.
func (t *tableRun) mode() string {
	if t.follow != nil {
		return landing.FullRefresh
	}
	return t.result.Mode // never changes
}

func (t *tableRun) begin() {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := time.Now()
	t.result.Status, t.began, t.moved, t.changed = statusRunning, now, now, true
	t.pace.Begin(now)
}

// count sets what the table counts, and moves the sums with it.
func (t *tableRun) count(records, bytes int64) {
	t.totals.records.Add(records - t.result.Records)
	t.totals.bytes.Add(bytes - t.result.Bytes)
	t.result.Records, t.result.Bytes = records, bytes
}

func (t *tableRun) add(rows, bytes int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.count(t.result.Records+rows, t.result.Bytes+bytes)
	now := time.Now()
	t.result.DurationMS = now.Sub(t.began).Milliseconds()
	if t.changed = true; rows > 0 {
		at := now.UTC()
		t.result.LastRowAt, t.moved = &at, now
	}
}

// expect forgets the estimate of a read that is not whole: how many rows lie
// behind a cursor, nobody knows.
func (t *tableRun) expect(whole bool) {
	if whole {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.result.Estimate = nil
}

// resume sets what earlier attempts of the sync committed, and forgets what was
// read but not committed.
func (t *tableRun) resume(c landing.Committed) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.committed = c
	t.count(c.Records, c.Bytes)
	t.base = c.Records
	t.pace.From(c.Records)
	if c.SnapshotID != 0 || c.Total > 0 { // a commit whose checkpoint was lost counts, too
		t.result.Total = &c.Total
	}
}

// needsUpkeep reports whether the table's last commit left it in need of it.
func (t *tableRun) needsUpkeep() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.committed.Upkeep
}

func (t *tableRun) commit(c landing.Committed, final bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.committed = c
	if final {
		t.count(c.Records, c.Bytes)
	} else { // more may have been read meanwhile
		t.count(max(t.result.Records, c.Records), max(t.result.Bytes, c.Bytes))
	}
	t.result.Total = &c.Total
	t.result.Files, t.result.SnapshotID, t.result.Location = c.Files, event.SnapshotID(c.SnapshotID), c.Location
	t.result.Snapshot = t.result.SnapshotID.Text()
	t.result.Deleted = c.Deleted
	t.result.AsOf = c.AsOf
	if c.Cursor.Value != nil {
		t.result.Cursor, t.result.CursorName = *c.Cursor.Value, c.Cursor.Column
	}
	t.result.DurationMS = time.Since(t.began).Milliseconds()
	if final && t.follow == nil {
		t.result.Status = statusCompleted
		t.result.Rate = throughput.PerSecond(t.result.Records, time.Since(t.began))
	}
}

// kept says which columns are read as what they were landed as, though the
// source shows another type for them now.
func (t *tableRun) kept(as driver.Table) {
	var kept []string
	for i, c := range as.Columns {
		if now := t.table.Columns[i]; now.Type != c.Type && now.SourceType != driver.Unseen {
			kept = append(kept, fmt.Sprintf("column %q stays %s, as it was landed before, and is %s now", c.Name, c.Type, now.Type))
		}
	}
	if len(kept) == 0 {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.result.Message = syncoptions.SomeOf(kept) + "; a full refresh lands it anew"
}

// fail ends the table with what of it was committed.
func (t *tableRun) fail(reason event.Reason, message string, took time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.count(t.committed.Records, t.committed.Bytes)
	t.result.Status, t.result.Reason, t.result.Message = statusFailed, reason, message
	t.result.DurationMS, t.result.Rate = took.Milliseconds(), 0
}

// snapshot returns the table as events have it: with what is committed and, in fields of
// their own, what is read.
func (t *tableRun) snapshot() event.TableResult {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := time.Now()
	t.changed, t.told, t.waiting = false, now, t.waitsLocked(now)
	r := t.result
	r.RowsRead, r.BytesRead = r.Records, r.Bytes
	r.Records, r.Bytes = t.committed.Records, t.committed.Bytes
	if t.follow != nil {
		r.FreshUntil = t.follow.fresh
	} else if r.Status == statusCompleted {
		r.FreshUntil = r.AsOf
	}
	l := t.lookLocked(now)
	r.BytesUploaded, t.uploaded = l.Taken, l.Taken
	if r.Status == statusRunning {
		settled, slow := l.Settled(r.RowsRead, t.base, t.made[0], t.made[1])
		if slow {
			r.RowsUploaded = &settled
		}
		r.Rate = t.pace.Measure(now, settled)
		t.doing = t.doingLocked(l)
		r.WaitingFor = t.doing
	}
	if t.waiting {
		since := t.moved.UTC()
		r.WaitingSince = &since
	}
	return r
}

// waitsLocked reports whether the source sends nothing, though it could.
func (t *tableRun) waitsLocked(now time.Time) bool {
	return t.result.Status == statusRunning && now.Sub(t.moved) >= t.silentAfter && t.doingLocked(t.lookLocked(now)) == event.WaitingRead
}

// due reports whether an event of a running table is due: it moved since the last one,
// it began or stopped waiting, or it was silent for so long that its worker could be
// considered lost.
func (t *tableRun) due(heartbeat time.Duration) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := time.Now()
	if t.result.Status != statusRunning {
		return false
	}
	l := t.lookLocked(now)
	return t.changed || l.Taken != t.uploaded || t.doingLocked(l) != t.doing || t.waitsLocked(now) != t.waiting || now.Sub(t.told) >= heartbeat
}

// running reports whether the table runs.
func (t *tableRun) running() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.result.Status == statusRunning
}

// results returns how far each table is.
func (a *attempt) results() []event.TableResult {
	tables := make([]event.TableResult, 0, len(a.tables))
	for _, t := range a.tables {
		tables = append(tables, t.snapshot())
	}
	return tables
}

// report writes the progress of running tables: often for those that move, and every
// HeartbeatEvery for those that do not, so that a sync which waits for its source differs
// from one whose worker is lost. The caller calls end.
func (a *attempt) report(work context.Context, stop context.CancelCauseFunc) (end func()) {
	ctx, cancel := context.WithCancel(work)
	var wg sync.WaitGroup
	wg.Go(func() {
		tick := time.NewTicker(a.h.Options.ProgressEvery)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			for _, t := range a.tables {
				if !t.due(a.h.Options.HeartbeatEvery) {
					continue
				}
				err := a.journal.running(ctx, t)
				var lost *overtaken
				if errors.As(err, &lost) {
					stop(err)
					return
				}
				if err != nil && ctx.Err() == nil {
					a.j.Log.Warn("progress could not be written", "error", err)
				}
			}
		}
	})
	return func() {
		cancel()
		wg.Wait()
	}
}

// Bounds of what a table's result tells beside its counts.
const (
	maxNotes    = 20
	maxNoteSize = 500 // bytes
)

// note adds sentences to the table's result, each once.
func (t *tableRun) note(texts ...string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, text := range texts {
		text = shortened(text)
		if text == "" || len(t.result.Notes) >= maxNotes || slices.Contains(t.result.Notes, text) {
			continue
		}
		// Results that were told of share the list.
		t.result.Notes = append(slices.Clip(t.result.Notes), text)
		t.changed = true
	}
}

// notes returns the notes of the table's result up to now.
func (t *tableRun) notes() []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.result.Notes
}

// shortened returns a text of at most maxNoteSize bytes.
func shortened(text string) string {
	text = strings.TrimSpace(text)
	if len(text) <= maxNoteSize {
		return text
	}
	const dots = "..."
	cut := maxNoteSize - len(dots)
	for cut > 0 && !utf8.RuneStart(text[cut]) {
		cut--
	}
	return text[:cut] + dots
}
