// Package parts turns the Arrow batches of one table into Parquet files. It
// knows neither the table format nor where files are, so it runs wherever the
// rows are: beside the connector, in a process of its own.
package parts

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/ipc"
	"github.com/apache/arrow-go/v18/parquet/metadata"
)

// ErrStorage means that the lake could not be read or written: disk full,
// permission, bucket unreachable. The cause is wrapped beside it.
var ErrStorage = errors.New("the lake's storage failed")

// storage wraps a failure of the lake's files with ErrStorage, once.
func storage(doing string, err error) error {
	if err == nil || errors.Is(err, ErrStorage) {
		return err
	}
	return fmt.Errorf("%w: %s: %w", ErrStorage, doing, err)
}

// Files makes the files that parts are written to. Create is called by one
// goroutine at a time; a file is durable once its Close has returned nil.
type Files interface {
	Create(name string) (io.WriteCloser, error)
}

// Part is one durable Parquet file.
type Part struct {
	Name   string
	Rows   int64
	Size   int64  // of the file, bytes
	Footer []byte // the file's metadata: Thrift, as it stands in the file
}

// Metadata reads the footer. What is no Parquet footer is an error.
func (p Part) Metadata() (m *metadata.FileMetaData, err error) {
	defer func() {
		if r := recover(); r != nil {
			m, err = nil, fmt.Errorf("part %s: its footer cannot be read (%T)", p.Name, r)
		}
	}()
	return metadata.NewFileMetaData(p.Footer, nil)
}

// Layout is how the rows of one source table become Parquet: the source's
// columns in their order, each with the type and field id that it has in the
// landed table. It crosses process boundaries in the form of Marshal.
type Layout struct{ Schema *arrow.Schema }

// Marshal returns the layout as an Arrow IPC stream without batches.
func (l Layout) Marshal() ([]byte, error) {
	var b bytes.Buffer
	w := ipc.NewWriter(&b, ipc.WithSchema(l.Schema))
	if err := w.Close(); err != nil {
		return nil, fmt.Errorf("write a layout: %w", err)
	}
	return b.Bytes(), nil
}

// UnmarshalLayout reverses Marshal.
func UnmarshalLayout(b []byte) (Layout, error) {
	r, err := ipc.NewReader(bytes.NewReader(b))
	if err != nil {
		return Layout{}, fmt.Errorf("read a layout: %w", err)
	}
	defer r.Release()
	return Layout{Schema: r.Schema()}, nil
}
