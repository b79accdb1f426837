package file

import (
	"bytes"
	"io"

	"github.com/cespare/xxhash/v2"

	"headwater/connectors/driver"
)

// A file that a program appends to is read as it was when it was opened: up to
// its last whole line then. What is appended meanwhile changes nothing of that,
// and whatever else is written does: then the bytes that were read are no longer
// those of the file.

// lined reports whether the records of a file are on lines, which can be
// appended.
func (s *source) lined(path string) bool {
	base, compressed := withoutCompression(path)
	format := s.settings.Format
	if format == "" {
		format = formatOf(base)
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
func (in *input) grew() bool {
	info, err := in.file.Stat()
	return err == nil && info.Size() > in.size
}

// whole returns the size of a file without a last line that was being written
// when it was opened.
func (in *input) whole() int64 {
	if in.last < in.size && in.grew() {
		return in.last
	}
	return in.size
}

// upToSize reads a file as far as it went when it was opened, and looks before
// its last line, where that has no end, whether more was written since.
type upToSize struct {
	in *input
	at int64
}

func (t *upToSize) Read(p []byte) (int, error) {
	end := t.in.last
	if t.at >= end {
		end = t.in.whole()
	}
	if t.at >= end {
		return 0, io.EOF
	}
	n, err := t.in.file.Read(p[:min(int64(len(p)), end-t.at)])
	t.at += int64(n)
	return n, err
}

// unchanged returns an ErrBadData if what was read is not what the file held when
// it was opened.
func (in *input) unchanged() error {
	changed := driver.E(driver.ErrBadData, nil, "%s changed while it was read; sync again", in.entry.path)
	info, err := in.file.Stat()
	if err == nil && info.Size() == in.size && info.ModTime().Equal(in.modified) {
		return nil
	}
	file, ok := in.file.(io.ReaderAt)
	if err != nil || info.Size() < in.size || !ok || in.raw.sum == nil || in.format == "parquet" {
		return changed
	}
	sum := xxhash.New()
	again := &counter{ctx: in.ctx, r: io.NewSectionReader(file, 0, in.raw.n)}
	if _, err := io.Copy(sum, again); err != nil {
		return in.failed(in.ctx, err)
	}
	if sum.Sum64() != in.raw.sum.Sum64() {
		return changed
	}
	return nil
}
