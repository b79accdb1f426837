// Package input opens the bytes of one file for the decoders of its format: it
// undoes their compression and their encoding, finds the format, and holds them to
// the limits. It knows no disk: a Source says where the bytes come from.
package input

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"slices"

	"headwater/connectors/driver"
)

const (
	// HeadSize is how many bytes format and dialect are found by.
	HeadSize = 1 << 20
	// SampleBytes is how much of a file decides its types when the settings do not
	// say how many rows.
	SampleBytes = 64 << 20

	// A file may grow by this factor when it is decompressed, once it is over
	// the size that every honest ratio may reach.
	maxRatio   = 1000
	ratioFloor = 64 << 20

	// defaultMaxSize bounds a decompressed file when the limits do not.
	defaultMaxSize = 1 << 40
)

// ErrStopped ends a read whose consumer wants no more.
var ErrStopped = errors.New("left")

// ErrEmpty is the cause of an error about a file without a byte.
var ErrEmpty = errors.New("0 bytes")

// Input is one open file: its bytes decompressed and, if they are text, in UTF-8.
// It is used by one goroutine at a time.
type Input struct {
	*bufio.Reader
	Source      Source
	Name        string // of the source
	Table       string // of the source
	Settings    Settings
	Limits      driver.Limits
	Format      string          // csv, tsv, json, ndjson or parquet
	Compression string          // gzip, zstd, bzip2 or ""
	Mark        int64           // bytes that tell the encoding, at the beginning
	Encoded     bool            // not in UTF-8
	Known       *Known          // the columns that the table had before; nil for none
	Found       []driver.Column // what Discover found of the table
	Notes       []string        // for people, about what was guessed

	ctx     context.Context
	stored  *counter // the bytes as they are stored
	decoder io.Reader
	out     int64 // bytes after decompression
	limit   int64
	closers []func() error
}

// Known are the columns that a table had before.
type Known struct {
	Names []string
	Some  bool // a file of several, which has some of them
}

// Note keeps a sentence for people.
func (in *Input) Note(text string) {
	if text != "" && !slices.Contains(in.Notes, text) {
		in.Notes = append(in.Notes, text)
	}
}

// counter counts what is read, and stops with the context.
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

// Open finds compression, encoding and format of a file by the settings and its
// first bytes. The caller closes what it returns; on failure the source is closed.
// ctx ends all reading. Errors are typed: ErrBadData, with ErrEmpty as the cause
// where there is no byte, ErrUnsupported for what is no data, ErrInvalidConfig
// where a setting contradicts the file.
func Open(ctx context.Context, src Source, settings Settings, limits driver.Limits) (*Input, error) {
	in := &Input{Source: src, Name: src.Name, Table: src.Table, Settings: settings, Limits: limits, ctx: ctx, limit: limits.MaxFileSize}
	if src.Close != nil {
		in.closers = append(in.closers, src.Close)
	}
	if in.limit <= 0 {
		in.limit = defaultMaxSize
	}
	if err := in.prepare(); err != nil {
		in.Close()
		return nil, in.Failed(err)
	}
	return in, nil
}

func (in *Input) prepare() error {
	in.stored = &counter{ctx: in.ctx, r: in.Source.Bytes}
	if err := in.decompress(bufio.NewReaderSize(in.stored, 64<<10)); err != nil {
		return err
	}
	in.Reader = newReader(in)
	return in.findFormat()
}

// Section opens a part of a plain file whose bytes can be read at random, as one
// that holds nothing else. What is read of it goes to tee, too. It needs no Close.
func (in *Input) Section(ctx context.Context, from, to int64, tee io.Writer) *Input {
	part := &Input{Source: in.Source, Name: in.Name, Table: in.Table, Settings: in.Settings, Limits: in.Limits, Format: in.Format, Found: in.Found, ctx: ctx, limit: in.limit}
	part.stored = &counter{ctx: ctx, r: io.TeeReader(io.NewSectionReader(in.Source.At, from, to-from), tee)}
	part.decoder = part.stored
	part.Reader = newReader(part)
	return part
}

// Random returns the bytes as they are stored, at random, and how many they are.
// It is nil for a file that is compressed as a whole and for a source that can be
// read only from its beginning.
func (in *Input) Random() (io.ReaderAt, int64) {
	if !in.Source.random() || in.Compression != "" {
		return nil, 0
	}
	return in.Source.At, in.Source.Size
}

// Growing reports whether the file is longer now than what is read of it.
func (in *Input) Growing() bool { return in.Source.Growing != nil && in.Source.Growing() }

// Unchanged returns an ErrBadData if what was read is not what the file holds.
func (in *Input) Unchanged() error {
	if in.Source.Unchanged == nil {
		return nil
	}
	return in.Source.Unchanged()
}

// Widen has Peek return as many as size bytes.
func (in *Input) Widen(size int) {
	if size > in.Size() {
		in.Reader = bufio.NewReaderSize(in.Reader, size)
	}
}

func newReader(in *Input) *bufio.Reader { return bufio.NewReaderSize(bounded{in}, HeadSize) }

// bounded reads the decompressed bytes within the limits.
type bounded struct{ in *Input }

func (b bounded) Read(p []byte) (int, error) {
	n, err := b.in.decoder.Read(p)
	b.in.out += int64(n)
	switch {
	case b.in.out > b.in.limit:
		return 0, driver.E(driver.ErrLimit, nil, "%s has more than %d bytes after decompression", b.in.Name, b.in.limit)
	case b.in.Compression != "" && b.in.out > ratioFloor && b.in.out/maxRatio > b.in.stored.n:
		return 0, driver.E(driver.ErrLimit, nil, "%s grows by more than %d when it is decompressed; decompress it yourself if you trust it", b.in.Name, maxRatio)
	}
	return n, err
}

// findFormat finds the format by settings, ending and content, and makes UTF-8
// of text.
func (in *Input) findFormat() error {
	head, err := in.Peek(HeadSize)
	if err != nil && err != io.EOF {
		return err
	}
	if len(head) == 0 {
		return Empty(in.Name, "after decompression")
	}
	base, _ := WithoutCompression(in.Name)
	in.Format = in.Settings.Format
	if in.Format == "" {
		in.Format = FormatOf(base)
	}
	switch {
	case (bytes.HasPrefix(head, []byte("PAR1")) || bytes.HasPrefix(head, []byte("PARE"))) && (in.Settings.Format == "" || in.Settings.Format == "parquet"):
		in.Format = "parquet"
		return nil
	case in.Format == "parquet":
		if err := in.notData(head); err != nil {
			return err
		}
		return driver.E(driver.ErrBadData, nil, "%s is no Parquet file", in.Name)
	}
	if err := in.notText(head); err != nil {
		return err
	}
	if err := in.decoded(head); err != nil {
		return err
	}
	if head, err = in.Peek(HeadSize); err != nil && err != io.EOF {
		return err
	}
	if at := bytes.IndexByte(head[:min(len(head), 4096)], 0); at >= 0 {
		return driver.E(driver.ErrBadData, nil, "%s is no text: byte %d is NUL; if it is UTF-16, set connection_config.encoding to utf-16le or utf-16be", in.Name, at)
	}
	if in.Format == "" {
		in.Format = "csv"
		if text := bytes.TrimLeft(head, " \t\r\n"); len(text) > 0 && (text[0] == '{' || text[0] == '[') {
			in.Format = "json"
		}
	}
	return in.notData(head)
}

// Empty is the error about a file without a byte. where says of which of its
// forms that is so, "" for the file as it is stored.
func Empty(name, where string) error {
	if where != "" {
		name += " " + where
	}
	return driver.E(driver.ErrBadData, ErrEmpty, "%s is empty", name)
}

// Failed turns an error of reading into a driver's, with its kind and the name of
// the file. One that is a driver's already it returns as it is.
func (in *Input) Failed(err error) error {
	var typed *driver.Error
	switch {
	case errors.As(err, &typed):
		return err
	case in.ctx.Err() != nil:
		return driver.E(driver.ErrTimeout, in.ctx.Err(), "%s: stopped", in.Name)
	case errors.Is(err, io.ErrUnexpectedEOF):
		return driver.E(driver.ErrBadData, nil, "%s ends in the middle; it is truncated", in.Name)
	}
	return driver.E(driver.ErrBadData, err, "%s cannot be read", in.Name)
}

// Close releases decoders and the source. It is safe to call twice.
func (in *Input) Close() error {
	var errs []error
	for i := len(in.closers) - 1; i >= 0; i-- {
		errs = append(errs, in.closers[i]())
	}
	in.closers = nil
	return errors.Join(errs...)
}

// Estimate returns about how many rows the file has, given that so many took
// so many bytes, or -1 where nothing tells.
func (in *Input) Estimate(rows, bytes int64) int64 {
	if bytes == 0 || in.stored.n == 0 || in.Source.Size < 0 {
		return -1
	}
	total := float64(in.Source.Size)
	if in.Compression != "" {
		total *= float64(in.out) / float64(in.stored.n)
	}
	return max(rows, int64(float64(rows)*total/float64(bytes)))
}
