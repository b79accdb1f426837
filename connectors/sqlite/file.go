package sqlite

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"io/fs"
	"time"

	"headwater/connectors/driver"
	"headwater/connectors/sqlite/btree"
)

// regular is an open file that can be read at any place.
type regular interface {
	fs.File
	io.ReaderAt
}

// dbFile is the content of a database at one moment: the file with pages of a log over
// it. While it is held no program can change what it reads. It is safe for concurrent
// use.
type dbFile struct {
	btree.Layout
	name  string // as it was asked for
	file  regular
	log   regular          // where the pages of at are: walFile, journal or nil
	at    map[uint32]int64 // where in the log a page begins
	wal   *wal             // set with walFile
	index regular          // the -shm file of a log that is in use, or nil
	// findIndex opens it, if a program has begun to use the log.
	findIndex func() (regular, error)

	walFile, journal regular // or nil
	size             int64   // with what the log adds
	utf8             bool
	header           [100]byte
	stamp            stamp
	notes            []string
	lease            lease
}

// stamp tells one content of a database from another.
type stamp struct {
	inode          uint64
	header         [100]byte // of the file itself, with its change counter
	size, modified int64
	wal            [walHeader]byte
	frames         int64
	sums           [2]uint32
	journal        [journalHeader]byte
	journaled      int64
}

// openFile opens the database as it is now. It waits for short transactions;
// ErrUnreachable says that a program goes on writing.
func openFile(ctx context.Context, files fs.FS, name string, maxSize int64, patience time.Duration) (*dbFile, error) {
	for until := time.Now().Add(patience); ; {
		f, err := openOnce(files, name, maxSize)
		if !errors.Is(err, driver.ErrUnreachable) || time.Now().After(until) {
			return f, err
		}
		select {
		case <-ctx.Done():
			return nil, err
		case <-time.After(pause):
		}
	}
}

func openOnce(files fs.FS, name string, maxSize int64) (*dbFile, error) {
	real := resolve(files, name)
	file, err := openRegular(files, real, name)
	if err != nil {
		return nil, err
	}
	f := &dbFile{name: name, file: file}
	if err := f.begin(files, real, maxSize); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// openRegular opens a regular file.
func openRegular(files fs.FS, real, name string) (regular, error) {
	// The file is looked at before it is opened: opening a pipe would block.
	info, err := fs.Stat(files, real)
	if err != nil {
		return nil, fileError(err, name)
	}
	if info.IsDir() {
		return nil, driver.E(driver.ErrInvalidConfig, nil, "%s is a folder; connection_config.path must name a SQLite file", name)
	}
	if !info.Mode().IsRegular() {
		return nil, driver.E(driver.ErrInvalidConfig, nil, "%s is no regular file", name)
	}
	opened, err := files.Open(real)
	if err != nil {
		return nil, fileError(err, name)
	}
	file, ok := opened.(regular)
	if !ok {
		opened.Close()
		return nil, driver.E(driver.ErrUnsupported, nil, "%s: the files root cannot be read at random", name)
	}
	if info, err := file.Stat(); err != nil || !info.Mode().IsRegular() {
		file.Close()
		return nil, driver.E(driver.ErrInvalidConfig, nil, "%s is no regular file", name)
	}
	return file, nil
}

func fileError(err error, name string) error {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return driver.E(driver.ErrNotFound, nil, "there is no file %s below the files root", name)
	case errors.Is(err, fs.ErrPermission):
		return driver.E(driver.ErrPermission, nil, "the server may not read %s", name)
	}
	return driver.E(driver.ErrInvalidConfig, nil, "%s cannot be opened: it must lie below the files root, also through links", name)
}

// begin locks the database, finds what a log adds to it, and reads its header.
func (f *dbFile) begin(files fs.FS, real string, maxSize int64) error {
	info, err := f.file.Stat()
	if err != nil {
		return driver.E(driver.ErrBadData, err, "%s cannot be read", f.name)
	}
	if info.Size() == 0 {
		return f.empty()
	}
	if maxSize > 0 && info.Size() > maxSize {
		return driver.E(driver.ErrLimit, nil, "%s has %d bytes, over the limit of %d", f.name, info.Size(), maxSize)
	}
	beside, seen, err := logged(files, real, info)
	if err != nil {
		return err
	}
	if n := names(info); n > uint64(max(seen, 1)) {
		f.notes = append(f.notes, "the file has "+driver.Count(n-uint64(max(seen, 1)), "more name")+" (hard links) elsewhere: what a program that opened it by one of those has in a log there is not seen")
	}
	if err := f.hold(files, beside); err != nil {
		return err
	}
	if err := f.settled(); err != nil {
		return err
	}
	return f.inspect(maxSize)
}

// inspect reads the header of the database, of which a log may have a newer one.
func (f *dbFile) inspect(maxSize int64) error {
	if f.log != nil && f.size == 0 {
		return f.empty()
	}
	n, err := f.ReadAt(f.header[:], 0)
	if err != nil && err != io.EOF {
		return driver.E(driver.ErrBadData, err, "%s cannot be read", f.name)
	}
	if n < len(f.header) || string(f.header[:16]) != "SQLite format 3\x00" {
		return driver.E(driver.ErrBadData, nil, "%s is not a SQLite 3 database, or it is encrypted", f.name)
	}
	logged := f.Layout.Size
	if f.log == nil {
		f.size = f.stamp.size
	}
	if maxSize > 0 && f.size > maxSize {
		return driver.E(driver.ErrLimit, nil, "%s has %d bytes, over the limit of %d", f.name, f.size, maxSize)
	}
	f.Layout = btree.LayoutOf(f.header[:], f.size)
	page := int64(f.Layout.Size)
	if page < 512 || page&(page-1) != 0 || f.log != nil && int(page) != logged {
		return driver.E(driver.ErrBadData, nil, "%s is damaged: its header gives a page size of %d", f.name, page)
	}
	// The number of pages counts only if the last writer kept it up to date.
	pages := int64(binary.BigEndian.Uint32(f.header[28:]))
	current := binary.BigEndian.Uint32(f.header[24:]) == binary.BigEndian.Uint32(f.header[92:])
	if current && pages*page > f.size || f.size < page {
		return driver.E(driver.ErrBadData, nil, "%s is truncated: it has %d of %d bytes", f.name, f.size, max(pages, 1)*page)
	}
	f.utf8 = binary.BigEndian.Uint32(f.header[56:]) <= 1
	return nil
}

func (f *dbFile) empty() error {
	return driver.E(driver.ErrBadData, nil, "%s is empty (0 bytes), not a SQLite database", f.name)
}

// ReadAt reads the database at its moment, with pages of the log in their places.
func (f *dbFile) ReadAt(b []byte, at int64) (int, error) {
	if f.log == nil {
		return f.file.ReadAt(b, at)
	}
	b = b[:max(min(int64(len(b)), f.size-at), 0)]
	size := int64(f.Layout.Size)
	done := 0
	for done < len(b) {
		from := at + int64(done)
		page, within := uint32(from/size)+1, from%size
		part := b[done:min(int64(done)+size-within, int64(len(b)))]
		in, ok := f.at[page]
		if ok {
			if err := btree.ReadAt(f.log, part, in+within); err != nil {
				return done, err
			}
			done += len(part)
			continue
		}
		// Pages of the file that follow each other are read at once.
		for next := page + 1; done+len(part) < len(b); next++ {
			if _, ok := f.at[next]; ok {
				break
			}
			part = b[done:min(done+len(part)+int(size), len(b))]
		}
		n, err := f.file.ReadAt(part, from)
		if done += n; n < len(part) {
			return done, err
		}
	}
	if at+int64(done) >= f.size && done == 0 {
		return 0, io.EOF
	}
	return done, nil
}

// Close ends the moment. It is safe to call twice.
func (f *dbFile) Close() error {
	f.release()
	var errs []error
	for _, file := range []regular{f.file, f.walFile, f.journal, f.index} {
		if file != nil {
			errs = append(errs, file.Close())
		}
	}
	f.walFile, f.journal, f.index = nil, nil, nil
	err := errors.Join(errs...)
	if errors.Is(err, fs.ErrClosed) {
		return nil
	}
	return err
}
