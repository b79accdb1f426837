package storage

import (
	"context"
	"errors"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	iceio "github.com/apache/iceberg-go/io"
)

// Disk is a local lake. A file is on the disk, and its name in its folder, once
// its writer's Close or WriteFile returned nil. Names are file:// URLs or
// absolute paths.
type Disk struct {
	Mode fs.FileMode     // of files
	ctx  context.Context // nil for none
	Seam func(op string) // a test's stalled mount, nil otherwise
}

// dirMode lets those enter folders who may read files.
func (d Disk) dirMode() fs.FileMode { return d.Mode | 0o100 | d.Mode&0o444>>2 }

// LocalPath returns the path of a file:// URL, or a path as it is. A URL of another host
// is an *fs.PathError.
func LocalPath(name string) (string, error) {
	if !strings.HasPrefix(name, "file:") {
		return name, nil
	}
	u, err := url.Parse(name)
	if err != nil {
		return "", err
	}
	if u.Host != "" && u.Host != "localhost" {
		return "", &fs.PathError{Op: "open", Path: name, Err: errors.New("a file URL of another host")}
	}
	return filepath.FromSlash(u.Path), nil
}

// FileURL returns the file:// URL of an absolute path.
func FileURL(path string) string {
	return (&url.URL{Scheme: "file", Path: filepath.ToSlash(path)}).String()
}

// Open opens a file for reading. Its reads end with the disk's context.
func (d Disk) Open(name string) (iceio.File, error) {
	path, err := LocalPath(name)
	if err != nil {
		return nil, err
	}
	f, err := within(d, "open", path, func() (*os.File, error) { return os.Open(path) })
	if err != nil || d.ctx == nil {
		return f, err
	}
	return &boundFile{f, d}, nil
}

// Create makes a new file. It never opens one that exists: no name is written
// twice in a lake.
func (d Disk) Create(name string) (iceio.FileWriter, error) {
	path, err := LocalPath(name)
	if err != nil {
		return nil, err
	}
	return within(d, "create", path, func() (iceio.FileWriter, error) {
		if err := makeDirs(filepath.Dir(path), d.dirMode()); err != nil {
			return nil, err
		}
		f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, d.Mode)
		if err != nil {
			return nil, err
		}
		return &diskFile{File: f, disk: d}, nil
	})
}

// WriteFile makes a new file, as Create does; it is durable once nil is returned.
func (d Disk) WriteFile(name string, content []byte) error {
	w, err := d.Create(name)
	if err != nil {
		return err
	}
	_, err = w.Write(content)
	return errors.Join(err, w.Close())
}

// Remove removes a file. One that is not there is fs.ErrNotExist.
func (d Disk) Remove(name string) error {
	path, err := LocalPath(name)
	if err != nil {
		return err
	}
	return d.tidies("remove", path, func() error { return os.Remove(path) })
}

// WalkDir calls fn with file:// URLs.
func (d Disk) WalkDir(root string, fn fs.WalkDirFunc) error {
	path, err := LocalPath(root)
	if err != nil {
		return err
	}
	return d.tidies("list", path, func() error {
		return filepath.WalkDir(path, func(path string, d fs.DirEntry, err error) error {
			return fn(FileURL(path), d, err)
		})
	})
}

// RemoveAll removes a folder and what is in it.
func (d Disk) RemoveAll(name string) error {
	path, err := LocalPath(name)
	if err != nil {
		return err
	}
	return d.tidies("remove", path, func() error { return os.RemoveAll(path) })
}

// writebackSize is how much of a file is written before the disk is asked to
// begin with it, so that little is left to wait for when it is closed.
const writebackSize = 8 << 20

// diskFile is durable once Close returned nil.
type diskFile struct {
	*os.File
	disk    Disk
	closed  bool
	written int64
	begun   int64 // of it, handed to the disk
}

func (f *diskFile) Write(p []byte) (int, error) {
	n, err := within(f.disk, "write", f.Name(), func() (int, error) { return f.File.Write(p) })
	f.written += int64(n)
	if f.written-f.begun >= writebackSize {
		from, size := f.begun, f.written-f.begun
		if _, late := within(f.disk, "write", f.Name(), func() (int, error) { beginWriteback(f.File, from, size); return 0, nil }); late != nil {
			return n, late
		}
		f.begun = f.written
	}
	return n, err
}

func (f *diskFile) Close() error {
	if f.closed {
		return nil
	}
	f.closed = true
	_, err := within(f.disk, "sync", f.Name(), func() (int, error) {
		err := f.Sync()
		if e := f.File.Close(); err == nil {
			err = e
		}
		if err != nil {
			return 0, err
		}
		return 0, syncDir(filepath.Dir(f.Name()))
	})
	return err
}

// makeDirs makes a folder and its parents, each durable in its own parent.
func makeDirs(dir string, mode fs.FileMode) error {
	if info, err := os.Stat(dir); err == nil {
		if !info.IsDir() {
			return &fs.PathError{Op: "mkdir", Path: dir, Err: syscall.ENOTDIR}
		}
		return nil
	}
	parent := filepath.Dir(dir)
	if parent == dir {
		return os.Mkdir(dir, mode)
	}
	if err := makeDirs(parent, mode); err != nil {
		return err
	}
	if err := os.Mkdir(dir, mode); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return syncDir(parent)
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	err = d.Sync()
	return errors.Join(err, d.Close())
}
