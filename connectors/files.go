package connectors

import (
	"fmt"
	"io/fs"
	"os"
	"syscall"
)

// files is the folder that file sources may read. Names cannot leave it, not by
// "..", not by symbolic links, and only regular files and folders open:
// opening a FIFO or a device could block or do things.
type files struct {
	root *os.Root
}

// openFiles opens the folder and makes it where it is missing. An empty path is
// a folder without files.
func openFiles(path string) (*files, error) {
	if path == "" {
		return &files{}, nil
	}
	if err := os.MkdirAll(path, 0o700); err != nil {
		return nil, fmt.Errorf("files root: %w", err)
	}
	root, err := os.OpenRoot(path)
	if err != nil {
		return nil, fmt.Errorf("files root: %w", err)
	}
	return &files{root: root}, nil
}

// Open returns an *os.File, which can seek, for a regular file or a folder.
func (f *files) Open(name string) (fs.File, error) {
	if !fs.ValidPath(name) {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrInvalid}
	}
	if f.root == nil {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	}
	// Without O_NONBLOCK, opening a FIFO waits for a writer before it can be
	// refused.
	file, err := f.root.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0)
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
	if !fs.ValidPath(name) || f.root == nil {
		return nil, &fs.PathError{Op: "lstat", Path: name, Err: fs.ErrNotExist}
	}
	return f.root.Lstat(name)
}

// ReadLink returns where a link leads, as it says.
func (f *files) ReadLink(name string) (string, error) {
	if !fs.ValidPath(name) || f.root == nil {
		return "", &fs.PathError{Op: "readlink", Path: name, Err: fs.ErrNotExist}
	}
	return f.root.Readlink(name)
}

func (f *files) close() error {
	if f.root == nil {
		return nil
	}
	return f.root.Close()
}
