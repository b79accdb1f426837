package parts

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"io"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/compress"
	pqfile "github.com/apache/arrow-go/v18/parquet/file"
	"github.com/apache/arrow-go/v18/parquet/metadata"
	"github.com/apache/arrow-go/v18/parquet/pqarrow"
)

// properties are what the footer's makers ask for.
func properties() *parquet.WriterProperties {
	return parquet.NewWriterProperties(
		parquet.WithCompression(compress.Codecs.Zstd),
		parquet.WithCompressionLevel(1),
		parquet.WithDictionaryDefault(false),
		// Iceberg wants decimals of up to 18 digits as integers.
		parquet.WithStoreDecimalAsInteger(true),
		parquet.WithCreatedBy("headwater"),
	)
}

// file is one Parquet file being written.
type file struct {
	sizes
	name    string
	file    io.WriteCloser
	out     *counter
	meta    *metadata.FileMetaDataBuilder
	pager   pqfile.PageWriter
	press   *press
	columns []*column
	rows    int64
	group   struct {
		rows int64
		raw  int64
	}
	groups int
}

// counter buffers and counts what goes to a file.
type counter struct {
	w *bufio.Writer
	n int64
}

func (c *counter) Write(p []byte) (int, error) {
	n, err := c.w.Write(p)
	c.n += int64(n)
	return n, err
}

// Tell returns how many bytes were written.
func (c *counter) Tell() int64 { return c.n }

// magic begins and ends a Parquet file.
const magic = "PAR1"

// create starts a file, whose dictionaries are chosen by its first batch.
func create(files Files, l Layout, name string, first arrow.RecordBatch, p *press, limit sizes) (*file, error) {
	out, err := files.Create(name)
	if err != nil {
		return nil, storage("create a part", err)
	}
	f := &file{name: name, file: out, out: &counter{w: bufio.NewWriterSize(out, 64<<10)}, press: p, sizes: limit}
	started := false
	defer func() {
		if !started { // failed, or panicked
			f.drop()
		}
	}()
	if err := f.start(l, first); err != nil {
		return nil, storage("start a part", err)
	}
	started = true
	return f, nil
}

func (f *file) start(l Layout, first arrow.RecordBatch) error {
	props := properties()
	sc, err := pqarrow.ToParquet(l.Schema, props, pqarrow.DefaultWriterProps())
	if err != nil {
		return err
	}
	kv := metadata.NewKeyValueMetadata()
	for i, key := range l.Schema.Metadata().Keys() {
		if err := kv.Append(key, l.Schema.Metadata().Values()[i]); err != nil {
			return err
		}
	}
	f.meta = metadata.NewFileMetadataBuilder(sc, props, kv)
	f.columns = make([]*column, sc.NumColumns())
	for i := range f.columns {
		if f.columns[i], err = newColumn(sc.NumColumns(), l.Schema.Field(i), sc.Column(i), f.sizes, first.Column(i)); err != nil {
			return err
		}
	}
	_, err = io.WriteString(f.out, magic)
	return err
}

// write appends a batch that conforms to the layout.
func (f *file) write(rec arrow.RecordBatch) error {
	rows := int(rec.NumRows())
	raw := rawSize(rec)
	for from := 0; from < rows; from += f.piece {
		to := min(from+f.piece, rows)
		for i, c := range f.columns {
			c.add(f.press, rec.Column(i), from, to)
		}
		f.rows += int64(to - from)
		f.group.rows += int64(to - from)
		f.group.raw += raw * int64(to-from) / int64(rows)
		if f.group.raw >= f.groupRaw || f.press.held >= f.groupEncoded {
			if err := f.endGroup(); err != nil {
				return storage("write a part", err)
			}
		}
	}
	return nil
}

// full reports whether the file has about its size.
func (f *file) full(size int64) bool {
	return f.out.n+f.press.held >= size || (f.groups+1)*len(f.columns) > f.chunks && f.group.rows == 0
}

func (f *file) endGroup() error {
	if f.group.rows == 0 {
		return nil
	}
	group := f.meta.AppendRowGroup()
	group.SetNumRows(int(f.group.rows))
	for i, c := range f.columns {
		c.endPage(f.press)
		meta := group.NextColumnChunk()
		var err error
		if f.pager == nil {
			f.pager, err = pqfile.NewPageWriter(f.out, compress.Codecs.Zstd, 1, meta, int16(f.groups), int16(i), memory.DefaultAllocator, false, nil, nil)
		} else {
			err = f.pager.Reset(f.out, compress.Codecs.Zstd, 1, meta, int16(f.groups), int16(i), nil, nil)
		}
		if err != nil {
			return err
		}
		if err := c.endGroup(f.pager, f.out, meta); err != nil {
			return err
		}
	}
	if err := group.Finish(0, int16(f.groups)); err != nil {
		return err
	}
	f.press.reset()
	f.groups++
	f.group.rows, f.group.raw = 0, 0
	return nil
}

// close makes the file durable.
func (f *file) close() (Part, error) {
	footer, err := f.finish()
	if err != nil {
		f.file.Close()
		return Part{}, storage("finish a part", err)
	}
	if err := f.file.Close(); err != nil {
		return Part{}, storage("finish a part", err)
	}
	for _, c := range f.columns {
		c.retire()
	}
	return Part{Name: f.name, Rows: f.rows, Size: f.out.n, Footer: footer}, nil
}

// finish writes what is left, and returns the footer.
func (f *file) finish() ([]byte, error) {
	if err := f.endGroup(); err != nil {
		return nil, err
	}
	meta, err := f.meta.Finish()
	if err != nil {
		return nil, err
	}
	var footer bytes.Buffer
	if _, err := meta.WriteTo(&footer, nil); err != nil {
		return nil, err
	}
	n := footer.Len()
	tail := append(binary.LittleEndian.AppendUint32(footer.Bytes(), uint32(n)), magic...)
	if _, err := f.out.Write(tail); err != nil {
		return nil, err
	}
	return tail[:n:n], f.out.w.Flush()
}

// drop gives the file up. It may stay; whoever made it removes it.
func (f *file) drop() {
	f.press.reset()
	f.file.Close()
}
