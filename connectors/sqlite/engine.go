package sqlite

import (
	"errors"
	"io"
	"io/fs"
	"time"
)

// oneName is what SQLite calls the file. It never sees the real path.
const oneName = "main.db"

// oneFile is a file system with one open file, so that nothing in a database can make
// SQLite open another.
type oneFile struct{ source *source }

func (f oneFile) Open(name string) (fs.File, error) {
	if name != oneName && name != "./"+oneName {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	}
	return &view{source: f.source}, nil
}

// view is SQLite's handle on the database at the moment of the source, with a position
// of its own.
type view struct {
	source *source
	at     int64
}

func (v *view) Stat() (fs.FileInfo, error) { return sized(v.source.file.size), nil }
func (v *view) Close() error               { return nil } // the source closes the file

func (v *view) Read(p []byte) (int, error) {
	n, err := v.source.file.ReadAt(p, v.at)
	v.at += int64(n)
	if n == 0 && err == nil && len(p) > 0 {
		err = io.EOF
	}
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

// sized is a regular file of that many bytes.
type sized int64

func (s sized) Name() string       { return oneName }
func (s sized) Size() int64        { return int64(s) }
func (s sized) Mode() fs.FileMode  { return 0o400 }
func (s sized) ModTime() time.Time { return time.Time{} }
func (s sized) IsDir() bool        { return false }
func (s sized) Sys() any           { return nil }
