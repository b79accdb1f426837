//go:build !unix

package sqlite

import "io/fs"

func names(fs.FileInfo) uint64 { return 1 }

func inode(fs.FileInfo) uint64 { return 0 }
