//go:build unix

package groupcommit

import (
	"os"
	"syscall"
)

// ownedByUs reports whether a file belongs to this process's user.
func ownedByUs(info os.FileInfo) bool {
	stat, ok := info.Sys().(*syscall.Stat_t)
	return ok && int(stat.Uid) == os.Getuid()
}
