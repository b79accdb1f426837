package connectors

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"syscall"
)

// files is what one organization may read: a folder of its own, and the shared
// one under its name. Names cannot leave either, not by "..", not by symbolic
// links, and only regular files and folders open: opening a FIFO or a device
// could block or do things.
type files struct {
	own        *os.Root // nil is an empty one
	shared     *os.Root
	sharedName string // "" for none
	where      string // where the own files lie, for people
}

// in returns the folder that a name lies in, with its name there.
func (f *files) in(op, name string) (*os.Root, string, error) {
	if !fs.ValidPath(name) {
		return nil, "", &fs.PathError{Op: op, Path: name, Err: fs.ErrInvalid}
	}
	root := f.own
	if f.sharedName != "" {
		if rest, ok := strings.CutPrefix(name+"/", f.sharedName+"/"); ok {
			root, name = f.shared, cmp.Or(strings.TrimSuffix(rest, "/"), ".")
		}
	}
	if root == nil || name == organizationsFile { // it names the others
		return nil, "", &fs.PathError{Op: op, Path: name, Err: fs.ErrNotExist}
	}
	return root, name, nil
}

// Open returns an *os.File, which can seek, for a regular file or a folder.
func (f *files) Open(name string) (fs.File, error) {
	root, name, err := f.in("open", name)
	if err != nil {
		return nil, err
	}
	// Without O_NONBLOCK, opening a FIFO waits for a writer before it can be
	// refused.
	file, err := root.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	info, err := file.Stat()
	if err == nil && !info.Mode().IsRegular() && !info.IsDir() {
		err = &fs.PathError{Op: "open", Path: name, Err: fmt.Errorf("%w: not a regular file", fs.ErrPermission)}
	}
	if err != nil {
		file.Close()
		return nil, err
	}
	return file, nil
}

// Lstat and ReadLink let a driver find the file that a link leads to, for what
// lies beside it. They do not leave the folder either.
func (f *files) Lstat(name string) (fs.FileInfo, error) {
	root, name, err := f.in("lstat", name)
	if err != nil {
		return nil, err
	}
	return root.Lstat(name)
}

// ReadLink returns where a link leads, as it says.
func (f *files) ReadLink(name string) (string, error) {
	root, name, err := f.in("readlink", name)
	if err != nil {
		return "", err
	}
	return root.Readlink(name)
}

// told adds to a message about a file that is not there where it is looked for.
func (f *files) told(message string) string {
	if f == nil || f.where == "" || !strings.Contains(message, "below the files root") {
		return message
	}
	return message + "; " + f.where
}

func (f *files) close() error {
	var errs []error
	for _, root := range []*os.Root{f.own, f.shared} {
		if root != nil {
			errs = append(errs, root.Close())
		}
	}
	return errors.Join(errs...)
}
