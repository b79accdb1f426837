// Package verification compares what landed with the sources, table by table.
package verification

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/dustin/go-humanize"

	"headwater/bus"
	"headwater/bus/command"
	"headwater/bus/event"
	"headwater/connectors/driver"
	"headwater/handlers/extract"
	"headwater/handlers/history"
	"headwater/handlers/inspect"
	"headwater/handlers/landing"
	"headwater/handlers/landing/digest"
	"headwater/handlers/landing/parts"
	"headwater/handlers/outcome"
	"headwater/handlers/readmodel"
	"headwater/handlers/schema"
	"headwater/handlers/syncoptions"
)

// shownRows is how many rows that differ are named of a table.
const shownRows = 20

// Verifier compares what landed with the sources. It is safe for concurrent use.
type Verifier struct {
	Inspector *inspect.Inspector
	Lake      Lake
	LookEvery time.Duration   // at whether changes have landed, if nothing says so
	Stopping  <-chan struct{} // ends a command after the table at hand, for another worker
}

// Lake is where what landed is read. *landing.Lake is one, whose comments say what
// comes back on failure.
type Lake interface {
	Standing(ctx context.Context, a event.Address, t driver.Table, key []string) (landing.Standing, error)
	Digest(ctx context.Context, st landing.Standing, spec digest.Spec, newer []digest.Hash) (digest.Sums, error)
}

// Verify compares the landed tables of a source with the source, table by table. Each has
// an event of its own. If a worker dies another begins again with the first table.
func (y *Verifier) Verify(ctx context.Context, j *history.Job, c *command.VerifySource) error {
	v, err := j.Load(ctx)
	if err != nil || v.Ended {
		return err
	}
	why := v.Missing()
	if why == nil {
		why, err = y.verifyAll(ctx, j, v, c.Tables)
		if err != nil || why == nil {
			return err
		}
	}
	return j.Reject(ctx, why)
}

// verifyAll verifies the tables that match and writes what it finds. why is what
// kept it from looking at any, err a reason to try the command again.
func (y *Verifier) verifyAll(ctx context.Context, j *history.Job, v history.View, patterns []string) (why, err error) {
	work, cancel := j.Work(ctx)
	defer cancel()
	conn, err := y.Inspector.OpenCurrent(work, j, v, driver.Limits{})
	if err != nil {
		return sorted(ctx, work, err)
	}
	defer func() { inspect.Close(j, conn) }()
	found, err := y.Inspector.Discover(work, j, conn)
	if err != nil {
		return sorted(ctx, work, err)
	}
	only := syncoptions.NewChoice(command.SyncOptions{Tables: patterns}, schema.Of(found.Tables))
	var due []event.Verification
	tables := map[int]driver.Table{}
	for _, t := range found.Tables {
		if only.Takes(t.Namespace, t.Name) {
			tables[len(due)] = t
			due = append(due, event.Verification{Name: t.Name, Namespace: t.Namespace})
		}
	}
	for _, u := range found.Unread {
		if only.Takes(u.Namespace, u.Name) {
			reason, message := outcome.Explain(u.Err)
			due = append(due, event.Verification{Name: u.Name, Namespace: u.Namespace, Status: event.Unverified, Reason: reason, Message: message})
		}
	}
	if len(due) == 0 {
		return outcome.Failf(event.ReasonNotFound, "the source has no table that is named like %s; its schema lists those it has", strings.Join(patterns, ", ")), nil
	}
	for i, done := range due {
		if t, ok := tables[i]; ok {
			select {
			case <-y.Stopping:
				return nil, bus.Snooze(0)
			default:
			}
			if done, err = y.verifyTable(ctx, work, j, conn, v.Source, t); err != nil {
				return nil, err
			}
		}
		if err := record(ctx, j, done, i == len(due)-1); err != nil {
			return nil, err
		}
	}
	return nil, nil
}

// sorted returns err as why if it is a failure of the source, which is the outcome, and
// else as again.
func sorted(ctx, work context.Context, err error) (why, again error) {
	if err = outcome.CauseOf(work, err); outcome.OfSource(ctx, err) {
		return err, nil
	}
	return nil, err
}

// record writes what was found of one table.
func record(ctx context.Context, j *history.Job, done event.Verification, last bool) error {
	_, err := j.Advance(ctx, func(v history.View) (history.Move, error) {
		if v.Ended {
			return history.Move{}, nil
		}
		m := history.Move{Stop: true, Data: &event.TableVerified{Meta: j.Meta(last), Table: done}}
		m.Discriminator = schema.Name(done.Namespace, done.Name)
		if last {
			// A worker that died may have told of it when it was not the last: the
			// broker would take this for the same event, and nothing would ever end.
			m.Discriminator += "\x00last"
		}
		return m, nil
	})
	return err
}

// verifyTable compares one table. What keeps it from it is in the result; an
// error is a reason to try the command again.
func (y *Verifier) verifyTable(ctx, work context.Context, j *history.Job, conn extract.Session, s readmodel.Source, t driver.Table) (event.Verification, error) {
	began := time.Now().UTC()
	c := &comparison{Job: j, by: y, conn: conn, source: s, began: began, done: event.Verification{Name: t.Name, Namespace: t.Namespace}}
	err := c.run(work, t)
	if err = outcome.CauseOf(work, err); err != nil {
		if !outcome.OfSource(ctx, err) {
			return c.done, err
		}
		reason, message := outcome.Explain(err)
		c.done.Status, c.done.Reason, c.done.Message = event.Unverified, reason, message
	}
	c.done.DurationMS = time.Since(began).Milliseconds()
	return c.done, nil
}

// comparison is the comparison of one table.
type comparison struct {
	*history.Job
	by     *Verifier
	conn   extract.Session
	source readmodel.Source
	began  time.Time
	stand  landing.Standing
	done   event.Verification

	settled bool // what differs was looked at again, after the source's log had landed
}

func (c *comparison) run(ctx context.Context, t driver.Table) error {
	var err error
	c.stand, err = c.by.Lake.Standing(ctx, c.Address, t, t.PrimaryKey)
	if errors.Is(err, landing.ErrNoTable) {
		return outcome.Failf(event.ReasonNotFound, "nothing of the table has landed yet: sync it first")
	}
	if err != nil {
		return err
	}
	c.done.SnapshotID, c.done.NotRead, c.done.LandedRows = event.SnapshotID(c.stand.SnapshotID), c.stand.Apart, c.stand.Rows
	c.done.Snapshot = c.done.SnapshotID.Text()
	if len(c.stand.Spec.Columns) == 0 {
		return outcome.Failf(event.ReasonSchemaChanged, "the table and what landed of it have no column in common")
	}
	if err := c.comparable(); err != nil {
		return err
	}
	source, landed, err := c.both(ctx, c.stand.Spec)
	if err != nil {
		return err
	}
	c.done.SourceRows, c.done.LandedRows, c.done.Behind = source.Rows, landed.Rows, source.Behind
	buckets, more := digest.Differing(source, landed)
	if len(buckets) == 0 {
		c.same()
		return nil
	}
	// The rows of these buckets are looked at one by one.
	spec := c.stand.Spec
	spec.Only = buckets
	if source, landed, err = c.both(ctx, spec); err != nil {
		return err
	}
	c.done.SourceRows, c.done.Behind = source.Rows, source.Behind
	rows := digest.Compare(source.Listed, landed.Listed)
	c.done.AtLeast = more || source.Cut || landed.Cut
	if c.stand.Follows && !c.done.AtLeast {
		if rows, err = c.settle(ctx, t, spec, rows); err != nil {
			return err
		}
	}
	for _, r := range rows {
		switch r.What {
		case digest.Missing:
			c.done.Missing++
		case digest.Changed:
			c.done.Changed++
		default:
			c.done.Surplus++
		}
		if len(c.done.Rows) < shownRows {
			c.done.Rows = append(c.done.Rows, event.VerifiedRow{What: r.What, Key: r.Key})
		}
	}
	if len(rows) == 0 && !c.done.AtLeast {
		c.same() // what differed had changed between the looks
		return nil
	}
	c.differs()
	return nil
}

// comparable returns why what landed of a table cannot be compared with its source.
func (c *comparison) comparable() error {
	switch {
	case !c.stand.Follows:
		return nil
	case c.stand.Has(parts.LogColumns[0].Name):
		return outcome.Failf(event.ReasonUnsupported, "the table is the log of its changes (sync_options.changes append) and has a row for each of them, so it cannot be compared with its source")
	case c.stand.Has(parts.DeletedColumn.Name):
		return outcome.Failf(event.ReasonUnsupported, "rows that its source has deleted stay in the table (sync_options.soft_delete), so it cannot be compared with its source")
	}
	return nil
}

// both sums up the source's rows, and then the landed ones.
func (c *comparison) both(ctx context.Context, spec digest.Spec) (source, landed digest.Sums, err error) {
	request := extract.Request{Table: c.stand.Table, Layout: parts.Layout{Schema: driver.ArrowSchema(c.stand.Table)}, Whole: true, Digest: &spec}
	ended := false
	for m, err := range c.conn.Extract(ctx, request, noFiles{}) {
		if err != nil {
			return source, landed, err
		}
		if m.Digest != nil {
			source, ended = *m.Digest, true
		}
	}
	if !ended {
		return source, landed, errors.Join(context.Cause(ctx), fmt.Errorf("the rows of %s came to no end", c.stand.Table))
	}
	if source.Over && len(spec.Key) > 0 {
		return source, landed, outcome.Failf(event.ReasonLimit, "more than %d rows changed after the last sync; sync the table, then verify it", digest.MaxBehind)
	}
	landed, err = c.by.Lake.Digest(ctx, c.stand, spec, source.Newer)
	return source, landed, err
}

// same says that nothing differs but rows that are behind.
func (c *comparison) same() {
	if c.done.Behind == 0 {
		c.done.Status, c.done.VerifiedThrough = event.VerifiedEqual, &c.began
		if c.done.Message = fmt.Sprintf("the %s rows are those of the source", humanize.Comma(c.done.LandedRows)); c.done.LandedRows == 1 {
			c.done.Message = "the 1 row is that of the source"
		}
		return
	}
	c.done.Status, c.done.VerifiedThrough = event.VerifiedBehind, &c.stand.At
	rows := "1 row"
	if c.done.Behind != 1 {
		rows = humanize.Comma(c.done.Behind) + " rows"
	}
	when := "after the last sync"
	if c.settled {
		when = "while the table was compared"
	}
	c.done.Message = rows + " of the source changed " + when + "; all others are the same"
}

func (c *comparison) differs() {
	var what []string
	for _, n := range []struct {
		rows int64
		one  string
		more string
	}{{c.done.Missing, "is missing", "are missing"}, {c.done.Changed, "has other values", "have other values"}, {c.done.Surplus, "is not in the source", "are not in the source"}} {
		switch n.rows {
		case 0:
		case 1:
			what = append(what, "1 "+n.one)
		default:
			what = append(what, fmt.Sprintf("%s %s", humanize.Comma(n.rows), n.more))
		}
	}
	atLeast := ""
	if c.done.AtLeast {
		atLeast = "at least "
	}
	c.done.Status, c.done.Reason = event.VerifiedDifferent, event.ReasonBadData
	c.done.Message = "rows differ: " + atLeast + strings.Join(what, ", ")
	switch {
	case c.settled:
		c.done.Message += fmt.Sprintf("; they differed in each of %d looks, before each of which all changes up to the one before had landed", looks)
	case c.stand.Follows:
		c.done.Message += "; what changed after the last commit of the source's log counts as different: verify it beside a continuous sync, or sync it and verify it while it rests"
	case c.stand.Versions && c.done.Missing == 0 && c.done.Changed == 0:
		c.done.Message += "; the table is appended to, so older versions and deleted rows stay"
	case c.stand.Spec.After == nil:
		c.done.Message += "; the table has no cursor, so rows that changed after the last sync count as different"
	}
	c.done.Message += c.anew()
}

// anew returns how to have a table of a source that follows a log read whole again.
func (c *comparison) anew() string {
	k := c.source.Schedule
	goesOn := k != nil && k.Continuous && !k.Paused
	pause := fmt.Sprintf("pause its continuous schedule (headwater schedule pause %s), ", c.source.Name)
	reset := fmt.Sprintf(`sync_options.mode cdc and sync_options.reset ["%s"]`, schema.Name(c.done.Namespace, c.done.Name))
	switch {
	case c.source.Changes.Position == "":
		return ""
	case !c.stand.Follows && goesOn:
		return "; a sync that goes on reads it as it begins: " + pause + "and resume it"
	case !c.stand.Follows:
		return "; each sync with sync_options.mode cdc reads it whole"
	case goesOn:
		return "; to have it read anew " + pause + "sync with " + reset + ", and resume it"
	}
	return "; a sync with " + reset + " reads it anew"
}

// noFiles are the files of a digest, which writes none.
type noFiles struct{}

func (noFiles) Create(string) (io.WriteCloser, error) {
	return nil, errors.New("a digest writes no files")
}

func (noFiles) NextName() string { return "" }
