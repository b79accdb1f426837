package sqlite

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"io/fs"
	"time"

	"headwater/connectors/driver"
)

// oneName is what SQLite calls the file. It never sees the real path.
const oneName = "main.db"

// oneFile is a file system that holds one open file, so that nothing in a
// database can make SQLite open another.
type oneFile struct{ file *dbFile }

func (f oneFile) Open(name string) (fs.File, error) {
	if name != oneName && name != "./"+oneName {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	}
	return &view{dbFile: f.file}, nil
}

// view is SQLite's handle on the file, with its own position.
type view struct {
	*dbFile
	at int64
}

func (v *view) Stat() (fs.FileInfo, error) { return v.file.Stat() }
func (v *view) Close() error               { return nil } // the source closes the file

func (v *view) Read(p []byte) (int, error) {
	n, err := v.file.ReadAt(p, v.at)
	v.at += int64(n)
	return n, err
}

func (v *view) Seek(offset int64, whence int) (int64, error) {
	switch whence {
	case io.SeekStart:
		v.at = offset
	case io.SeekCurrent:
		v.at += offset
	default:
		return 0, errors.ErrUnsupported
	}
	return v.at, nil
}

// dbFile is the open database file.
type dbFile struct {
	file interface {
		fs.File
		io.ReaderAt
	}
	layout
	name     string
	size     int64
	modified time.Time
	utf8     bool
	header   [100]byte
}

// A transaction that is under way when the file is opened is waited for, since
// most take no longer.
const (
	patience = time.Second
	pause    = 10 * time.Millisecond
)

// openFile opens a regular file and checks that it is a whole database to which
// nobody writes. An ErrUnreachable says that somebody goes on writing.
func openFile(ctx context.Context, files fs.FS, name string, maxSize int64) (*dbFile, error) {
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
	// The file is looked at before it is opened: opening a pipe would block.
	info, err := fs.Stat(files, name)
	if err != nil {
		return nil, fileError(err, name)
	}
	if info.IsDir() {
		return nil, driver.E(driver.ErrInvalidConfig, nil, "%s is a folder; connection_config.path must name a SQLite file", name)
	}
	if !info.Mode().IsRegular() {
		return nil, driver.E(driver.ErrInvalidConfig, nil, "%s is no regular file", name)
	}
	opened, err := files.Open(name)
	if err != nil {
		return nil, fileError(err, name)
	}
	f := &dbFile{name: name}
	var ok bool
	if f.file, ok = opened.(interface {
		fs.File
		io.ReaderAt
	}); !ok {
		opened.Close()
		return nil, driver.E(driver.ErrUnsupported, nil, "%s: the files root cannot be read at random", name)
	}
	if err := f.inspect(files, maxSize); err != nil {
		opened.Close()
		return nil, err
	}
	return f, nil
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

// inspect reads the database header.
func (f *dbFile) inspect(files fs.FS, maxSize int64) error {
	info, err := f.file.Stat()
	if err != nil || !info.Mode().IsRegular() {
		return driver.E(driver.ErrInvalidConfig, nil, "%s is no regular file", f.name)
	}
	f.size, f.modified = info.Size(), info.ModTime()
	if f.size == 0 {
		return driver.E(driver.ErrBadData, nil, "%s is empty (0 bytes), not a SQLite database", f.name)
	}
	if maxSize > 0 && f.size > maxSize {
		return driver.E(driver.ErrLimit, nil, "%s has %d bytes, over the limit of %d", f.name, f.size, maxSize)
	}
	var header [100]byte
	n, err := f.file.ReadAt(header[:], 0)
	if err != nil && err != io.EOF {
		return driver.E(driver.ErrBadData, err, "%s cannot be read", f.name)
	}
	if n < len(header) || string(header[:16]) != "SQLite format 3\x00" {
		return driver.E(driver.ErrBadData, nil, "%s is not a SQLite 3 database, or it is encrypted", f.name)
	}
	f.layout = layoutOf(header[:], f.size)
	page := int64(f.layout.size)
	if page < 512 || page&(page-1) != 0 {
		return driver.E(driver.ErrBadData, nil, "%s is damaged: its header gives a page size of %d", f.name, page)
	}
	// The number of pages counts only if the last writer kept it up to date.
	pages := int64(binary.BigEndian.Uint32(header[28:]))
	current := binary.BigEndian.Uint32(header[24:]) == binary.BigEndian.Uint32(header[92:])
	if current && pages*page > f.size || f.size < page {
		return driver.E(driver.ErrBadData, nil, "%s is truncated: it has %d of %d bytes", f.name, f.size, max(pages, 1)*page)
	}
	f.header = header
	f.utf8 = binary.BigEndian.Uint32(header[56:]) <= 1
	if err := f.unlocked(); err != nil {
		return err
	}
	if info, err := fs.Stat(files, f.name+"-wal"); err == nil && info.Size() > 0 {
		return driver.E(driver.ErrUnsupported, nil, "%s has changes in %s-wal that are not in the file: close the program that writes it, or make a copy with VACUUM INTO", f.name, f.name)
	}
	if info, err := fs.Stat(files, f.name+"-journal"); err == nil && info.Size() > 0 {
		if err := f.unlocked(); err != nil { // begun just now
			return err
		}
		return driver.E(driver.ErrUnsupported, nil, "%s is in the middle of a transaction (%s-journal is there): close the program that writes it, or make a copy with VACUUM INTO", f.name, f.name)
	}
	return nil
}

// unlocked returns an ErrUnreachable if another process writes to the file.
func (f *dbFile) unlocked() error {
	if locked(f.file) {
		return driver.E(driver.ErrUnreachable, nil, "%s is being written: another program is in the middle of a transaction; try again when it is done, or make a copy with VACUUM INTO", f.name)
	}
	return nil
}

// unchanged returns an error if what was read up to now may not be what the file
// held, committed, when it was opened: an ErrUnreachable while somebody writes,
// an ErrBadData once somebody has.
func (f *dbFile) unchanged() error {
	// In this order, a transaction that ends in between is seen by its traces.
	if err := f.unlocked(); err != nil {
		return err
	}
	var header [100]byte
	_, err := f.file.ReadAt(header[:], 0)
	info, err2 := f.file.Stat()
	if err != nil || err2 != nil || header != f.header || info.Size() != f.size || !info.ModTime().Equal(f.modified) {
		return driver.E(driver.ErrBadData, nil, "%s changed while it was read; make a copy with VACUUM INTO and read that", f.name)
	}
	return nil
}

func (f *dbFile) Close() error { return f.file.Close() }
