package parquet

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/parquet"
	"github.com/apache/arrow-go/v18/parquet/compress"
	pqfile "github.com/apache/arrow-go/v18/parquet/file"
	"github.com/apache/arrow-go/v18/parquet/metadata"
	"github.com/apache/arrow-go/v18/parquet/pqarrow"

	"headwater/connectors/driver"
)

// readFooter reads what a file says of itself at its end.
func readFooter(r parquet.ReaderAtSeeker) (*metadata.FileMetaData, error) {
	size, err := r.Seek(0, io.SeekEnd)
	if err != nil {
		return nil, err
	}
	var tail [8]byte
	if size < 12 {
		return nil, errors.New("it is too short for one")
	}
	if _, err := r.ReadAt(tail[:], size-8); err != nil {
		return nil, err
	}
	switch string(tail[4:]) {
	case "PAR1":
	case "PARE":
		return nil, errEncrypted
	default:
		return nil, errors.New("it does not end as one: it may be cut off")
	}
	length := int64(binary.LittleEndian.Uint32(tail[:]))
	if length > size-12 {
		return nil, errors.New("its footer is longer than the file")
	}
	raw := make([]byte, length)
	if _, err := r.ReadAt(raw, size-8-length); err != nil {
		return nil, err
	}
	footer, err := parseFooter(raw)
	if err != nil {
		if known, changed := withoutUnknownTypes(raw); changed {
			footer, err = parseFooter(known)
		}
	}
	if err != nil {
		return nil, driver.E(driver.ErrBadData, err, "the footer is damaged, or not as the format has it")
	}
	footer.SetSourceFileSize(size)
	return footer, nil
}

var errEncrypted = driver.E(driver.ErrUnsupported, nil, "the file is encrypted, and there is no way to give a key; write it without encryption")

// parseFooter parses a footer with the library, which panics on what it does not
// know.
func parseFooter(raw []byte) (footer *metadata.FileMetaData, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("%v", r)
		}
	}()
	return metadata.NewFileMetaData(raw, nil)
}

// readable returns an ErrUnsupported that says why a field cannot be read, if so
// by what its column chunks say of themselves.
func (p *File) readable(f *field, groups int) error {
	for g := range min(groups, p.NumRowGroups()) {
		group := p.MetaData().RowGroup(g)
		for _, l := range f.leaves {
			chunk, err := group.ColumnChunk(l.column)
			if err != nil && p.MetaData().IsSetEncryptionAlgorithm() {
				return driver.E(driver.ErrUnsupported, nil, "column %q is encrypted, and there is no way to give a key; write it without encryption", f.name)
			}
			if err != nil {
				return err
			}
			if chunk.FilePath() != "" {
				return driver.E(driver.ErrUnsupported, nil, "column %q is in another file, %s", f.name, chunk.FilePath())
			}
			if _, err := compress.GetCodec(chunk.Compression()); err != nil {
				return driver.E(driver.ErrUnsupported, nil, "column %q is compressed with %s, which is not supported; write it with zstd", f.name, chunk.Compression())
			}
			for _, e := range chunk.Encodings() {
				if e < parquet.Encodings.Plain || e > parquet.Encodings.ByteStreamSplit {
					return driver.E(driver.ErrUnsupported, nil, "column %q is in encoding %d, which is not supported; write it in another", f.name, e)
				}
			}
		}
	}
	return nil
}

// durations returns the columns that the file's Arrow schema, which Arrow's
// writers put beside that of Parquet, has as durations: Parquet knows no such
// type.
func durations(file *pqfile.Reader) (types map[int]valueType) {
	defer func() {
		if recover() != nil { // a schema that the library has no types for
			types = nil
		}
	}()
	meta := file.MetaData()
	if meta.KeyValueMetadata().FindValue("ARROW:schema") == nil {
		return nil
	}
	manifest, err := pqarrow.NewSchemaManifest(meta.Schema, meta.KeyValueMetadata(), &pqarrow.ArrowReadProperties{})
	if err != nil {
		return nil
	}
	types = map[int]valueType{}
	for i, f := range manifest.ColIndexToField {
		if d, ok := f.Field.Type.(*arrow.DurationType); ok && meta.Schema.Column(i).PhysicalType() == parquet.Types.Int64 {
			types[i] = valueType{means: isDuration, physical: parquet.Types.Int64, bits: 64, unit: d.Unit}
		}
	}
	return types
}

// withoutUnknownTypes returns a footer without the logical types that the library
// does not know, which a reader is to pass over, and whether there were any. A
// footer is a struct in Thrift's compact protocol: its field 2 lists the schema's
// elements, of which field 10 is the logical type, a union.
func withoutUnknownTypes(raw []byte) ([]byte, bool) {
	t := &thrift{b: raw}
	var out []byte
	from := 0
	t.fields(func(id int16, kind byte) {
		if id != 2 || kind != thriftList {
			t.skip(kind)
			return
		}
		for range t.list() {
			t.fields(func(id int16, kind byte) {
				header := t.header
				if id != 10 || kind != thriftStruct {
					t.skip(kind)
					return
				}
				known := false
				t.fields(func(id int16, kind byte) {
					known = id >= 1 && id <= 18 && id != 9
					t.skip(kind)
				})
				if !known && t.at < len(t.b) && t.b[t.at] == 0 { // it is the element's last field
					out = append(out, raw[from:header]...)
					from = t.at
				}
			})
		}
	})
	if t.bad || from == 0 {
		return raw, false
	}
	return append(out, raw[from:]...), true
}

// thrift walks Thrift's compact protocol. It stops at what it cannot read.
type thrift struct {
	b      []byte
	at     int
	header int // where the header of the present field begins
	bad    bool
}

// Kinds of values.
const (
	thriftTrue, thriftFalse, thriftByte = 1, 2, 3
	thriftDouble, thriftBinary          = 7, 8
	thriftList, thriftSet               = 9, 10
	thriftMap, thriftStruct             = 11, 12
)

// fields calls each with the number and kind of every field of a struct. each
// reads or skips the value.
func (t *thrift) fields(each func(id int16, kind byte)) {
	for id := int16(0); !t.bad; {
		header := t.at
		b := t.byte()
		if b == 0 {
			return
		}
		if delta := b >> 4; delta != 0 {
			id += int16(delta)
		} else {
			id = int16(t.zigzag())
		}
		t.header = header
		each(id, b&15)
	}
}

func (t *thrift) byte() byte {
	if t.at >= len(t.b) {
		t.bad = true
		return 0
	}
	t.at++
	return t.b[t.at-1]
}

func (t *thrift) varint() uint64 {
	n, size := binary.Uvarint(t.b[min(t.at, len(t.b)):])
	if size <= 0 {
		t.bad = true
		return 0
	}
	t.at += size
	return n
}

func (t *thrift) zigzag() int64 {
	n := t.varint()
	return int64(n>>1) ^ -int64(n&1)
}

// list reads the beginning of a list and returns how many elements it has.
func (t *thrift) list() int {
	n := uint64(t.byte() >> 4)
	if n == 15 {
		n = t.varint()
	}
	if n > uint64(len(t.b)) {
		t.bad = true
		return 0
	}
	return int(n)
}

// skip passes over a value.
func (t *thrift) skip(kind byte) { t.pass(kind, 0) }

func (t *thrift) pass(kind byte, depth int) {
	if depth > 64 || t.bad {
		t.bad = true
		return
	}
	switch kind {
	case thriftTrue, thriftFalse:
	case thriftByte:
		t.byte()
	case 4, 5, 6:
		t.varint()
	case thriftDouble:
		t.at += 8
	case thriftBinary:
		n := t.varint()
		t.bad = t.bad || n > uint64(len(t.b)-min(t.at, len(t.b)))
		t.at += int(min(n, uint64(len(t.b))))
	case thriftList, thriftSet:
		head := t.byte()
		t.at--
		element := head & 15
		for range t.list() {
			if t.bad {
				return
			}
			if element == thriftTrue || element == thriftFalse {
				t.byte()
				continue
			}
			t.pass(element, depth+1)
		}
	case thriftMap:
		if n := t.varint(); n > 0 {
			kinds := t.byte()
			for range min(n, uint64(len(t.b))) {
				t.pass(kinds>>4, depth+1)
				t.pass(kinds&15, depth+1)
			}
		}
	case thriftStruct:
		t.fields(func(_ int16, kind byte) { t.pass(kind, depth+1) })
	default:
		t.bad = true
	}
}
