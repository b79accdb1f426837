package projections

import (
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// writePause is how long a failed write waits before it is reported.
const writePause = time.Second

// pacedFS is a file system whose failed writes take writePause. Pebble tries a flush that
// has failed again at once: on a disk that is full, read-only or gone it would keep a
// processor busy, and write thousands of lines a second to the log.
type pacedFS struct {
	vfs.FS
	pause func()
}

func paced(fs vfs.FS) vfs.FS {
	return pacedFS{fs, func() { time.Sleep(writePause) }}
}

// Create is vfs.FS.Create.
func (f pacedFS) Create(name string, category vfs.DiskWriteCategory) (vfs.File, error) {
	file, err := f.FS.Create(name, category)
	if err != nil {
		f.pause()
		return nil, err
	}
	return pacedFile{file, f.pause}, nil
}

// Unwrap is vfs.FS.Unwrap.
func (f pacedFS) Unwrap() vfs.FS { return f.FS }

// pacedFile is a file of pacedFS.
type pacedFile struct {
	vfs.File
	pause func()
}

// Write is vfs.File.Write.
func (f pacedFile) Write(p []byte) (int, error) {
	n, err := f.File.Write(p)
	return n, f.paced(err)
}

// Sync is vfs.File.Sync.
func (f pacedFile) Sync() error { return f.paced(f.File.Sync()) }

// SyncData is vfs.File.SyncData.
func (f pacedFile) SyncData() error { return f.paced(f.File.SyncData()) }

// SyncTo is vfs.File.SyncTo.
func (f pacedFile) SyncTo(length int64) (bool, error) {
	full, err := f.File.SyncTo(length)
	return full, f.paced(err)
}

func (f pacedFile) paced(err error) error {
	if err != nil {
		f.pause()
	}
	return err
}
