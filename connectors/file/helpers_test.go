package file

import (
	"bytes"
	"io"
	"io/fs"
	"testing/fstest"
	"testing/iotest"
)

// oneFile is a file system of one file, which can be read at random.
type oneFile struct {
	name    string
	content []byte
}

func (m oneFile) Open(name string) (fs.File, error) {
	f, err := (fstest.MapFS{m.name: {Data: m.content}}).Open(name)
	return f, err
}

// odd reads a text in pieces of one byte and more.
func odd(text string) io.Reader { return iotest.HalfReader(bytes.NewReader([]byte(text))) }
