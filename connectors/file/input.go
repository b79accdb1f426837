package file

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"time"

	"github.com/klauspost/compress/zstd"

	"headwater/connectors/driver"
)

const (
	headSize = 1 << 20 // what format and dialect are found by

	// A file may grow by this factor when it is decompressed, once it is over
	// the size that every honest ratio may reach.
	maxRatio   = 1000
	freeOfFear = 64 << 20

	// defaultMaxSize bounds a decompressed file when the limits do not.
	defaultMaxSize = 1 << 40
)

// input is one open file, decompressed.
type input struct {
	*bufio.Reader
	entry      entry
	ctx        context.Context
	format     string
	compressed string // gzip, zstd or ""
	size       int64  // on disk
	modified   time.Time
	raw        *counter // what is read from disk
	out        int64    // bytes after decompression
	limit      int64
	file       fs.File
	decoder    io.Reader
	closers    []func() error
}

// counter counts and stops with the context.
type counter struct {
	ctx context.Context
	r   io.Reader
	n   int64
}

func (c *counter) Read(p []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	n, err := c.r.Read(p)
	c.n += int64(n)
	return n, err
}

// open opens a file and finds its compression and format. The caller closes it.
func (s *source) open(ctx context.Context, e entry) (*input, error) {
	// The file is looked at before it is opened: opening a pipe would block.
	info, err := fs.Stat(s.files, e.path)
	if err != nil {
		return nil, fileError(err, e.path)
	}
	if !info.Mode().IsRegular() {
		return nil, driver.E(driver.ErrInvalidConfig, nil, "%s is no regular file", e.path)
	}
	f, err := s.files.Open(e.path)
	if err != nil {
		return nil, fileError(err, e.path)
	}
	in := &input{entry: e, ctx: ctx, file: f, limit: s.limits.MaxFileSize, closers: []func() error{f.Close}}
	if in.limit <= 0 {
		in.limit = defaultMaxSize
	}
	if err := s.prepare(in); err != nil {
		in.Close()
		return nil, in.failed(ctx, err)
	}
	return in, nil
}

func (s *source) prepare(in *input) error {
	info, err := in.file.Stat()
	if err != nil || !info.Mode().IsRegular() {
		return driver.E(driver.ErrInvalidConfig, nil, "%s is no regular file", in.entry.path)
	}
	in.size, in.modified = info.Size(), info.ModTime()
	if in.size == 0 {
		return driver.E(driver.ErrBadData, nil, "%s is empty (0 bytes)", in.entry.path)
	}
	in.raw = &counter{ctx: in.ctx, r: in.file}
	disk := bufio.NewReaderSize(in.raw, 64<<10)
	magic, err := disk.Peek(4)
	if err != nil && err != io.EOF {
		return err
	}
	if in.compressed = s.settings.Compression; in.compressed == "" {
		switch {
		case bytes.HasPrefix(magic, []byte{0x1f, 0x8b}):
			in.compressed = "gzip"
		case bytes.HasPrefix(magic, []byte{0x28, 0xb5, 0x2f, 0xfd}):
			in.compressed = "zstd"
		}
	}
	in.decoder = disk
	switch in.compressed {
	case "gzip":
		z, err := newMembers(disk, in.entry.path)
		if err != nil {
			return driver.E(driver.ErrBadData, err, "%s is no gzip file", in.entry.path)
		}
		in.decoder = z
		in.closers = append(in.closers, z.z.Close)
	case "zstd":
		z, err := zstd.NewReader(disk, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(128<<20), zstd.WithDecoderMaxMemory(256<<20))
		if err != nil {
			return driver.E(driver.ErrBadData, err, "%s is no zstd file", in.entry.path)
		}
		in.decoder = z
		in.closers = append(in.closers, func() error { z.Close(); return nil })
	default:
		in.compressed = ""
	}
	in.Reader = newReader(in)
	return s.findFormat(in)
}

func newReader(in *input) *bufio.Reader { return bufio.NewReaderSize(bounded{in}, headSize) }

// skipMark skips the byte order mark of a UTF-8 text.
func skipMark(in *input) {
	if head, _ := in.Peek(3); string(head) == "\xef\xbb\xbf" {
		in.Discard(3)
	}
}

// bounded reads the decompressed bytes within the limits.
type bounded struct{ in *input }

func (b bounded) Read(p []byte) (int, error) {
	n, err := b.in.decoder.Read(p)
	b.in.out += int64(n)
	switch {
	case b.in.out > b.in.limit:
		return 0, driver.E(driver.ErrLimit, nil, "%s has more than %d bytes after decompression", b.in.entry.path, b.in.limit)
	case b.in.compressed != "" && b.in.out > freeOfFear && b.in.out/maxRatio > b.in.raw.n:
		return 0, driver.E(driver.ErrLimit, nil, "%s grows by more than %d when it is decompressed; decompress it yourself if you trust it", b.in.entry.path, maxRatio)
	}
	return n, err
}

// findFormat finds the format by settings, ending and content, and skips a byte
// order mark.
func (s *source) findFormat(in *input) error {
	head, err := in.Peek(headSize)
	if err != nil && err != io.EOF {
		return err
	}
	if len(head) == 0 {
		return driver.E(driver.ErrBadData, nil, "%s is empty (0 bytes after decompression)", in.entry.path)
	}
	base, _ := withoutCompression(in.entry.path)
	in.format = s.settings.Format
	if in.format == "" {
		in.format = formatOf(base)
	}
	is := func(magic string) bool { return bytes.HasPrefix(head, []byte(magic)) }
	switch {
	case is("PAR1"), is("PARE"):
		in.format = "parquet"
		return nil
	case in.format == "parquet":
		return driver.E(driver.ErrBadData, nil, "%s is no Parquet file", in.entry.path)
	case is("PK\x03\x04"), is("\xd0\xcf\x11\xe0"):
		return driver.E(driver.ErrUnsupported, nil, "%s is a ZIP archive or an Excel workbook; save it as CSV", in.entry.path)
	case is("SQLite format 3\x00"):
		return driver.E(driver.ErrUnsupported, nil, "%s is a SQLite database; connect it with type sqlite", in.entry.path)
	case is("\xff\xfe"), is("\xfe\xff"):
		return driver.E(driver.ErrBadData, nil, "%s is UTF-16 text; save it as UTF-8", in.entry.path)
	case is("\xef\xbb\xbf"):
		in.Discard(3)
		head = head[3:]
	}
	if at := bytes.IndexByte(head[:min(len(head), 4096)], 0); at >= 0 {
		return driver.E(driver.ErrBadData, nil, "%s is no text: byte %d is NUL; it may be UTF-16 or binary", in.entry.path, at)
	}
	if in.format == "" {
		in.format = "csv"
		if text := bytes.TrimLeft(head, " \t\r\n"); len(text) > 0 && (text[0] == '{' || text[0] == '[') {
			in.format = "json"
		}
	}
	return nil
}

// failed turns an error into a driver's.
func (in *input) failed(ctx context.Context, err error) error {
	var typed *driver.Error
	switch {
	case errors.As(err, &typed):
		return err
	case ctx.Err() != nil:
		return driver.E(driver.ErrTimeout, ctx.Err(), "%s: stopped", in.entry.path)
	case errors.Is(err, io.ErrUnexpectedEOF):
		return driver.E(driver.ErrBadData, nil, "%s ends in the middle; it is truncated", in.entry.path)
	}
	return driver.E(driver.ErrBadData, err, "%s cannot be read", in.entry.path)
}

// unchanged returns an ErrBadData if the file is not as it was when opened.
func (in *input) unchanged() error {
	info, err := in.file.Stat()
	if err != nil || info.Size() != in.size || !info.ModTime().Equal(in.modified) {
		return driver.E(driver.ErrBadData, nil, "%s changed while it was read; sync again", in.entry.path)
	}
	return nil
}

// Close releases decoders and the file. It is safe to call twice.
func (in *input) Close() error {
	var errs []error
	for i := len(in.closers) - 1; i >= 0; i-- {
		errs = append(errs, in.closers[i]())
	}
	in.closers = nil
	return errors.Join(errs...)
}

// estimate returns about how many rows the file has, given that so many took
// so many bytes.
func (in *input) estimate(rows, bytes int64) int64 {
	if bytes == 0 || in.raw.n == 0 {
		return -1
	}
	total := float64(in.size)
	if in.compressed != "" {
		total *= float64(in.out) / float64(in.raw.n)
	}
	return max(rows, int64(float64(rows)*total/float64(bytes)))
}
