package input

import (
	"context"
	"io"
)

// Source is the bytes of one file as they are stored: compressed or not, text of
// any encoding or none. Whoever has the bytes fills it in, a folder, a bucket or a
// download; a decoder asks it for no more than it says that it has.
//
// CSV and JSON need Bytes alone. Parquet, and dividing a file into ranges, need At
// and Size; a Parquet file without them is held in memory, up to 256 MiB, and is
// an ErrLimit beyond: a connector that meets larger ones spools them to where they
// can be read at random.
type Source struct {
	Name  string      // the file, as messages name it; its ending is a hint of the format
	Table string      // the table that is made of it
	Bytes io.Reader   // all of the bytes, from the first on; required
	At    io.ReaderAt // the same bytes at random, or nil
	Size  int64       // how many they are, or -1 where that is not known

	// Growing reports whether bytes were added behind those that Bytes yields since
	// they began to be read: a last row that is not whole is then no error. Nil is
	// never.
	Growing func() bool
	// Unchanged returns an ErrBadData if the bytes that were read are no longer those
	// of the file. Nil is a source whose bytes cannot change.
	Unchanged func() error
	// Reopen opens the same bytes once more, from the first on. Nil where they can be
	// had only once; what could be read over again is then kept until it cannot.
	Reopen func(context.Context) (*Input, error)
	// Close releases the source, after the Input is closed. Nil for nothing to do.
	Close func() error
}

// random reports whether the bytes can be read at any place.
func (s *Source) random() bool { return s.At != nil && s.Size >= 0 }
