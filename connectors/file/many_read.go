package file

import (
	"context"
	"encoding/json"
	"errors"
	"iter"
	"slices"

	"headwater/connectors/driver"
	"headwater/connectors/formats"
	"headwater/connectors/formats/input"
	"headwater/connectors/records"
)

// manyRead is one read of the files of a group, one after the other.
//
// A cursor goes on past the rows of a file that could not be read. So a read
// notes the files that it left out, and the next one takes all rows of those that
// can be read then; which of them have landed, the lake can tell.
type manyRead struct {
	source *source
	table  driver.Table
	before leftOut // by the read before
	now    leftOut
	whole  bool // all rows of the present file are wanted
}

// leftOut are the files that a read left out, as a Position.
type leftOut struct {
	Files []string `json:"left_out,omitempty"`
	More  bool     `json:"more,omitempty"` // than have a place: any may be one
}

// mostLeftOut is how many bytes the names of files in a Position may take.
const mostLeftOut = driver.MaxPosition / 2

func (l leftOut) has(path string) bool { return l.More || slices.Contains(l.Files, path) }

// position returns what to note of the read, nil where nothing was left out.
func (r *manyRead) position() json.RawMessage {
	if len(r.now.Files) == 0 {
		return nil
	}
	noted, size := leftOut{}, 0
	for _, path := range r.now.Files {
		if text, _ := json.Marshal(path); size+len(text) < mostLeftOut {
			noted.Files, size = append(noted.Files, path), size+len(text)+1
		} else {
			noted.More = true
		}
	}
	raw, _ := json.Marshal(noted) // texts have a form
	return raw
}

// readMany yields the rows of the files of a group that from asks for.
func (s *source) readMany(ctx context.Context, t driver.Table, from driver.Cursor) iter.Seq2[driver.Batch, error] {
	r := &manyRead{source: s, table: t}
	if len(from.Position) > 0 {
		if err := json.Unmarshal(from.Position, &r.before); err != nil {
			r.before = leftOut{More: true}
		}
	}
	batches := func(yield func(driver.Batch, error) bool) {
		meter := &input.Meter{Yield: yield, Limit: s.limits.MaxBytes, Table: t}
		if err := r.files(ctx, meter.Batch); err != nil && !errors.Is(err, input.ErrStopped) {
			yield(driver.Batch{}, err)
		}
	}
	return records.UnorderedBut(ctx, t, from, batches, records.Exempt{Rows: func() bool { return r.whole }, Position: r.position})
}

// files reads the files. One that cannot be read from its beginning is left out
// and told of; one that breaks later fails the table.
func (r *manyRead) files(ctx context.Context, yield func(driver.Batch) error) error {
	s := r.source
	entries, err := s.list(ctx)
	if err != nil {
		return err
	}
	g := s.grouped(entries)
	var bad []string
	read := 0
	for _, e := range g.entries {
		r.whole = r.before.has(e.path)
		began := false
		err := s.readOf(ctx, g, e, r.table, func(b driver.Batch) error {
			began = began || b.Record.NumRows() > 0
			return yield(b)
		})
		switch {
		case err == nil:
			read++
		case errors.Is(err, input.ErrEmpty):
		case began || errors.Is(err, input.ErrStopped) || ctx.Err() != nil || s.settings.BadFiles == "fail":
			return err
		default:
			bad = append(bad, err.Error())
			r.now.Files = append(r.now.Files, e.path)
		}
	}
	switch {
	case len(bad) == 0:
		return nil
	case read == 0:
		return driver.E(driver.ErrBadData, nil, "no file of %s can be read: %s", s.settings.Path, bad[0])
	}
	last := records.Noted(r.table, badFiles(bad))
	last.Resume = &driver.Cursor{Position: r.position()}
	return yield(last)
}

// readOf reads one file of a group: the columns that it has as they are, those
// that it lacks as NULL.
func (s *source) readOf(ctx context.Context, g group, e entry, t driver.Table, yield func(driver.Batch) error) error {
	in, err := s.open(ctx, e)
	if err != nil {
		return err
	}
	defer in.Close()
	own := slices.DeleteFunc(slices.Clone(t.Columns), func(c driver.Column) bool { return place(c) })
	in.Known, in.Found = &input.Known{Names: namesOf(own), Some: true}, s.known[t.Name]
	part := t
	only := func(names []string) driver.Table {
		part.Columns = own
		if names != nil {
			part.Columns = slices.DeleteFunc(own, func(c driver.Column) bool { return !slices.Contains(names, c.Name) })
		}
		return part
	}
	err = formats.ReadSome(ctx, in.Input, only, func(b driver.Batch) error { return s.widen(g, e, t, part, b, yield) })
	if err == nil {
		err = in.Unchanged()
	}
	if err != nil && !errors.Is(err, input.ErrStopped) {
		return in.Failed(err)
	}
	return err
}
