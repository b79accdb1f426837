//go:build !linux

package storage

import "os"

// beginWriteback does nothing where the system cannot be asked for it.
func beginWriteback(*os.File, int64, int64) {}
