//go:build unix

package keyindex

import "syscall"

// freeOf returns how many bytes of a folder's disk are free, as many as there can be
// where that is not known.
func freeOf(dir string) int64 {
	var fs syscall.Statfs_t
	if err := syscall.Statfs(dir, &fs); err != nil {
		return 1 << 62
	}
	return int64(fs.Bavail) * int64(fs.Bsize)
}
