package file

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"slices"
	"time"

	"github.com/cespare/xxhash/v2"

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
	compressed string // gzip, zstd, bzip2 or ""
	mark       int64  // bytes that tell the encoding, at the beginning
	encoded    bool   // not in UTF-8
	size       int64  // on disk, when it was opened
	last       int64  // where the last line begins, if it has no end; else the size
	modified   time.Time
	raw        *counter // what is read from disk
	out        int64    // bytes after decompression
	limit      int64
	file       fs.File
	decoder    io.Reader
	closers    []func() error
	known      *known
	notes      []string // for people, about what was guessed
}

// note keeps a sentence for people.
func (in *input) note(text string) {
	if text != "" && !slices.Contains(in.notes, text) {
		in.notes = append(in.notes, text)
	}
}

// counter counts and sums up what is read, and stops with the context.
type counter struct {
	ctx context.Context
	r   io.Reader
	n   int64
	sum *xxhash.Digest // nil for none
}

func (c *counter) Read(p []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	n, err := c.r.Read(p)
	c.n += int64(n)
	if c.sum != nil {
		c.sum.Write(p[:n])
	}
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
		return emptyFile(in.entry.path, "")
	}
	in.last = in.size
	if file, ok := in.file.(io.ReaderAt); ok && s.lined(in.entry.path) {
		if in.last, err = lastLine(file, in.size); err != nil {
			return err
		}
	}
	in.raw = &counter{ctx: in.ctx, r: &upToSize{in: in}, sum: xxhash.New()}
	if err := s.decompress(in, bufio.NewReaderSize(in.raw, 64<<10)); err != nil {
		return err
	}
	in.Reader = newReader(in)
	return s.findFormat(in)
}

func newReader(in *input) *bufio.Reader { return bufio.NewReaderSize(bounded{in}, headSize) }

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

// findFormat finds the format by settings, ending and content, and makes UTF-8
// of text.
func (s *source) findFormat(in *input) error {
	head, err := in.Peek(headSize)
	if err != nil && err != io.EOF {
		return err
	}
	if len(head) == 0 {
		return emptyFile(in.entry.path, "after decompression")
	}
	base, _ := withoutCompression(in.entry.path)
	in.format = s.settings.Format
	if in.format == "" {
		in.format = formatOf(base)
	}
	switch {
	case (bytes.HasPrefix(head, []byte("PAR1")) || bytes.HasPrefix(head, []byte("PARE"))) && (s.settings.Format == "" || s.settings.Format == "parquet"):
		in.format = "parquet"
		return nil
	case in.format == "parquet":
		if err := s.notData(in, head); err != nil {
			return err
		}
		return driver.E(driver.ErrBadData, nil, "%s is no Parquet file", in.entry.path)
	}
	if err := notText(in, head); err != nil {
		return err
	}
	if err := s.decoded(in, head); err != nil {
		return err
	}
	if head, err = in.Peek(headSize); err != nil && err != io.EOF {
		return err
	}
	if at := bytes.IndexByte(head[:min(len(head), 4096)], 0); at >= 0 {
		return driver.E(driver.ErrBadData, nil, "%s is no text: byte %d is NUL; if it is UTF-16, set connection_config.encoding to utf-16le or utf-16be", in.entry.path, at)
	}
	if in.format == "" {
		in.format = "csv"
		if text := bytes.TrimLeft(head, " \t\r\n"); len(text) > 0 && (text[0] == '{' || text[0] == '[') {
			in.format = "json"
		}
	}
	return s.notData(in, head)
}

// errEmpty is the cause of an error about a file without a byte.
var errEmpty = errors.New("0 bytes")

func emptyFile(path, where string) error {
	if where != "" {
		path += " " + where
	}
	return driver.E(driver.ErrBadData, errEmpty, "%s is empty", path)
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
