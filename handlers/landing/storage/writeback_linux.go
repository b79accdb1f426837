package storage

import (
	"os"
	"syscall"
)

// beginWriteback asks the disk to begin with n bytes of a file. It promises
// nothing: only Sync tells that they are durable, and what fails here fails
// there too.
func beginWriteback(f *os.File, from, n int64) {
	const write = 2 // SYNC_FILE_RANGE_WRITE: begin, and do not wait
	_ = syscall.SyncFileRange(int(f.Fd()), from, n, write)
}
