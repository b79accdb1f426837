package file

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"time"

	"github.com/cespare/xxhash/v2"

	"headwater/connectors/driver"
	"headwater/connectors/formats/input"
)

// opened is one open file below the files root.
type opened struct {
	*input.Input
	ctx      context.Context
	name     string
	file     fs.File
	size     int64 // when it was opened
	last     int64 // where the last line begins, if it has no end; else the size
	modified time.Time
	at       int64          // how far it was read
	sum      *xxhash.Digest // of what was read
}

// open opens a file and finds its compression and format. The caller closes it.
func (s *source) open(ctx context.Context, e entry) (*opened, error) {
	// The file is looked at before it is opened: opening a pipe would block.
	info, err := fs.Stat(s.files, e.path)
	if err != nil {
		err := fileError(err, e.path)
		if errors.Is(err, driver.ErrInvalidConfig) { // of one among others: list has told of one alone
			err = driver.E(driver.ErrPermission, nil, "%s", err.Error())
		}
		return nil, err
	}
	if info.IsDir() { // of the folders on the way of the path, one that cannot be read
		return nil, driver.E(driver.ErrPermission, nil, "the server may not read the folder %s", e.path)
	}
	if !info.Mode().IsRegular() {
		return nil, notRegular(e.path)
	}
	f, err := s.files.Open(e.path)
	if err != nil {
		return nil, fileError(err, e.path)
	}
	o := &opened{ctx: ctx, name: e.path, file: f, sum: xxhash.New()}
	if err := o.look(s.lined(e.path)); err != nil {
		f.Close()
		return nil, err
	}
	src := input.Source{
		Name: e.path, Table: e.table, Bytes: o, Size: o.size,
		Growing: o.grew, Unchanged: o.unchanged, Close: f.Close,
		Reopen: func(ctx context.Context) (*input.Input, error) { return s.again(ctx, e, o) },
	}
	src.At, _ = f.(io.ReaderAt)
	if o.Input, err = input.Open(ctx, src, s.settings.Settings, s.limits); err != nil {
		return nil, err
	}
	return o, nil
}

func notRegular(name string) error {
	return driver.E(driver.ErrInvalidConfig, nil, "%s is no regular file", name)
}

// look notes how the file is as it was opened. lined says that its records may be
// on lines, of which the last may have no end yet.
func (o *opened) look(lined bool) error {
	info, err := o.file.Stat()
	if err != nil || !info.Mode().IsRegular() {
		return notRegular(o.name)
	}
	if o.size, o.modified = info.Size(), info.ModTime(); o.size == 0 {
		return input.Empty(o.name, "")
	}
	o.last = o.size
	if file, ok := o.file.(io.ReaderAt); ok && lined {
		o.last, err = lastLine(file, o.size)
	}
	if err != nil {
		return o.failed(err)
	}
	return nil
}

// failed is what an error of reading the file means for people.
func (o *opened) failed(err error) error {
	switch {
	case o.ctx.Err() != nil:
		return driver.E(driver.ErrTimeout, o.ctx.Err(), "%s: stopped", o.name)
	case errors.Is(err, io.ErrUnexpectedEOF):
		return driver.E(driver.ErrBadData, nil, "%s ends in the middle; it is truncated", o.name)
	}
	return driver.E(driver.ErrBadData, err, "%s cannot be read", o.name)
}

// again opens a file once more, as far as it went when it was opened first.
func (s *source) again(ctx context.Context, e entry, first *opened) (*input.Input, error) {
	o, err := s.open(ctx, e)
	if err != nil {
		return nil, err
	}
	if o.size != first.size || !o.modified.Equal(first.modified) {
		if err := first.unchanged(); err != nil {
			o.Close()
			return nil, err
		}
		o.size, o.last = first.size, first.last
	}
	return o.Input, nil
}
