package file

import (
	"context"
	"errors"
	"slices"

	"headwater/connectors/driver"
)

// readMany reads the files of a group, one after the other. One that cannot be
// read from its beginning is left out and told of; one that breaks later fails
// the table.
func (s *source) readMany(ctx context.Context, t driver.Table, yield func(driver.Batch) error) error {
	entries, err := s.list(ctx)
	if err != nil {
		return err
	}
	g := s.grouped(entries)
	var bad []string
	read := 0
	for _, e := range g.entries {
		began := false
		err := s.readOf(ctx, g, e, t, func(b driver.Batch) error {
			began = began || b.Record.NumRows() > 0
			return yield(b)
		})
		switch {
		case err == nil:
			read++
		case errors.Is(err, errEmpty):
		case began || errors.Is(err, errLeft) || ctx.Err() != nil || s.settings.BadFiles == "fail":
			return err
		default:
			bad = append(bad, err.Error())
		}
	}
	switch {
	case len(bad) == 0:
		return nil
	case read == 0:
		return driver.E(driver.ErrBadData, nil, "no file of %s can be read: %s", s.settings.Path, bad[0])
	}
	return yield(noted(t, badFiles(bad)))
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
	in.known = &known{names: namesOf(own), some: true}
	part := t
	wide := func(b driver.Batch) error { return s.widen(g, e, t, part, b, yield) }
	with := func(names []string) {
		part.Columns = slices.DeleteFunc(own, func(c driver.Column) bool { return !slices.Contains(names, c.Name) })
	}
	switch in.format {
	case "csv", "tsv":
		var f *csvFile
		if f, err = s.csvFile(in); err == nil {
			with(f.names)
			err = s.readRows(ctx, f, part, wide)
		}
	case "parquet":
		var found driver.Table
		if found, err = s.discoverParquet(ctx, in); err == nil {
			with(namesOf(found.Columns))
			err = s.readAgain(ctx, e, part, wide)
		}
	default:
		part.Columns = own
		err = s.readJSON(ctx, in, part, wide)
	}
	if err == nil {
		err = in.unchanged()
	}
	if err != nil && !errors.Is(err, errLeft) {
		return in.failed(ctx, err)
	}
	return err
}

// readAgain reads a Parquet file whose footer was looked at, which takes all of
// one that is compressed as a whole.
func (s *source) readAgain(ctx context.Context, e entry, t driver.Table, yield func(driver.Batch) error) error {
	in, err := s.open(ctx, e)
	if err != nil {
		return err
	}
	defer in.Close()
	if err := s.readParquet(ctx, in, t, yield); err != nil {
		return err
	}
	return in.unchanged()
}
