package sqlite

import (
	"errors"
	"io/fs"
)

var (
	errBusy    = errors.New("another program writes")
	errNoLocks = errors.New("no locks of open files")
)

// Where SQLite's locks lie in a database: one byte that whoever is about to lock
// everything holds, one that whoever writes does, then those that readers share.
const (
	pendingByte  = 0x40000000
	reservedByte = pendingByte + 1
	sharedBytes  = pendingByte + 2
	sharedLength = 510
	lockBytes    = 2 + sharedLength
)

// And in the index of a write-ahead log, the -shm file: who holds the first keeps
// pages of the log from being copied into the database, who holds one of the
// others keeps the log from being begun anew. Programs use the last one least.
const (
	copyByte = 120 + 3
	anewByte = copyByte + 4
)

// share takes SQLite's SHARED lock as a reader does. It fails if a writer waits for
// readers to end.
func share(file fs.File) error {
	if err := hold(file, pendingByte, 1); err != nil {
		return err
	}
	defer letGo(file, pendingByte, 1)
	return hold(file, sharedBytes, sharedLength)
}

// keep locks the log, to which programs can then only append, and the database beside
// it.
func keep(index fs.File) error {
	if err := hold(index, copyByte, 1); err != nil {
		return err
	}
	return hold(index, anewByte, 1)
}

// writing reports whether a transaction writes to the database, or is about to.
func writing(file fs.File) bool { return writes(file, pendingByte, lockBytes) }
