//go:build !linux

package sqlite

import "io/fs"

// hold would take a reader's lock that belongs to the open file. A lock of the
// process, as there is here, ends when any handle of the file is closed.
func hold(fs.File, int64, int64) error { return errNoLocks }

func letGo(fs.File, int64, int64) {}
