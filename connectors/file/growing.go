package file

import (
	"bytes"
	"context"
	"io"

	"github.com/cespare/xxhash/v2"

	"headwater/connectors/driver"
	"headwater/connectors/formats/input"
)

// A file that a program appends to is read as it was when it was opened: up to
// its last whole line then. What is appended meanwhile changes nothing of that,
// and whatever else is written does: then the bytes that were read are no longer
// those of the file.

// lined reports whether the records of a file are on lines, which can be
// appended.
func (s *source) lined(path string) bool {
	base, compressed := input.WithoutCompression(path)
	format := s.settings.Format
	if format == "" {
		format = input.FormatOf(base)
	}
	set := s.settings.Compression
	return (compressed == "" || set == "none") && (set == "" || set == "none") && (format == "csv" || format == "tsv" || format == "ndjson")
}

// longestLine is how far lastLine looks: a longer row is over every limit.
const longestLine = 128 << 20

// lastLine returns where the line begins that the end of a text may have cut
// off, or the size where the last line has an end or is longer than longestLine.
func lastLine(file io.ReaderAt, size int64) (int64, error) {
	var buffer [64 << 10]byte
	for end, most := size, 1; end > 0; most = len(buffer) {
		if size-end > longestLine {
			return size, nil
		}
		b := buffer[:min(int64(most), end)]
		if n, err := file.ReadAt(b, end-int64(len(b))); n < len(b) {
			return size, err
		}
		if at := bytes.LastIndexByte(b, '\n'); at >= 0 {
			return end - int64(len(b)) + int64(at) + 1, nil
		}
		end -= int64(len(b))
	}
	return 0, nil
}

// grew reports whether the file is longer now than when it was opened.
func (o *opened) grew() bool {
	info, err := o.file.Stat()
	return err == nil && info.Size() > o.size
}

// whole returns the size of a file without a last line that was being written
// when it was opened.
func (o *opened) whole() int64 {
	if o.last < o.size && o.grew() {
		return o.last
	}
	return o.size
}

// Read reads a file as far as it went when it was opened, and looks before its last
// line, where that has no end, whether more was written since.
func (o *opened) Read(p []byte) (int, error) {
	end := o.last
	if o.at >= end {
		end = o.whole()
	}
	if o.at >= end {
		return 0, io.EOF
	}
	n, err := o.file.Read(p[:min(int64(len(p)), end-o.at)])
	o.at += int64(n)
	o.sum.Write(p[:n])
	return n, err
}

// unchanged returns an ErrBadData if what was read is not what the file held when
// it was opened.
func (o *opened) unchanged() error {
	changed := driver.E(driver.ErrBadData, nil, "%s changed while it was read; sync again", o.name)
	info, err := o.file.Stat()
	if err == nil && info.Size() == o.size && info.ModTime().Equal(o.modified) {
		return nil
	}
	file, ok := o.file.(io.ReaderAt)
	if err != nil || info.Size() < o.size || !ok || o.Format == "parquet" {
		return changed
	}
	sum := xxhash.New()
	if _, err := io.Copy(sum, untilDone{o.ctx, io.NewSectionReader(file, 0, o.at)}); err != nil {
		return o.failed(err)
	}
	if sum.Sum64() != o.sum.Sum64() {
		return changed
	}
	return nil
}

// untilDone reads until the context ends.
type untilDone struct {
	ctx context.Context
	r   io.Reader
}

func (u untilDone) Read(p []byte) (int, error) {
	if err := u.ctx.Err(); err != nil {
		return 0, err
	}
	return u.r.Read(p)
}
