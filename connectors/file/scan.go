package file

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"iter"
	"math/bits"
	"slices"
	"strings"

	"github.com/cespare/xxhash/v2"

	"headwater/connectors/driver"
	"headwater/connectors/records"
)

// rangeBytes is about how much of a file one range is.
const rangeBytes = 64 << 20

var _ driver.Scanner = (*source)(nil)

// scan is one CSV or NDJSON file, divided at the ends of records. The snapshot
// is the open file: what is put in its place is another file, and one that is
// written to fails, because its bytes no longer have the sum that Scan found.
type scan struct {
	source *source
	in     *input
	table  driver.Table
	csv    *csvFile
	begin  int64           // of the first part
	parts  map[string]part // by token
	unread []driver.Range
	kept   []driver.Range
}

// part is a piece of the file.
type part struct {
	from, to int64
	first    bool
	sum      uint64
}

// Scan divides a plain file of several ranges. Finding their ends takes one
// pass over all of it, which counts quotes and sums up the bytes: a landed range
// is kept if the bytes at its place are those that were read, whatever became of
// the rest, and hold as many rows.
func (s *source) Scan(ctx context.Context, t driver.Table, landed []driver.Range) (driver.Scan, error) {
	if strings.HasPrefix(t.Identity, manyFiles) {
		return nil, driver.E(driver.ErrUnsupported, nil, "the files of %s are read one after the other", t)
	}
	in, err := s.openTable(ctx, t)
	if err != nil {
		return nil, err
	}
	c := &scan{source: s, in: in, table: t, parts: map[string]part{}}
	if err := c.divide(ctx, landed); err != nil {
		in.Close()
		return nil, in.failed(ctx, err)
	}
	return c, nil
}

func (c *scan) divide(ctx context.Context, landed []driver.Range) error {
	in, s := c.in, c.source
	file, ok := in.file.(io.ReaderAt)
	text := in.format == "csv" || in.format == "tsv"
	if !ok || in.compressed != "" || in.encoded || !text && in.format != "ndjson" || in.size < 2*s.rangeBytes || s.limits.MaxFileSize > 0 && in.size > s.limits.MaxFileSize {
		return driver.E(driver.ErrUnsupported, nil, "%s is read from its beginning to its end", c.table)
	}
	mark := sha256.New()
	fmt.Fprintf(mark, "%q %q %d", c.table.Name, in.entry.path, s.rangeBytes)
	for _, col := range c.table.Columns {
		fmt.Fprintf(mark, "%q %s %t", col.Name, col.Type, col.Nullable)
	}
	quote, comma, begin := byte(0), byte(0), in.mark
	if text {
		var err error
		if c.csv, err = s.csvFile(in); err != nil {
			return err
		}
		if c.csv.loose != nil || c.csv.skips != nil {
			return driver.E(driver.ErrUnsupported, nil, "%s is read from its beginning to its end", c.table)
		}
		quote, comma, begin = c.csv.quote, c.csv.comma, begin+int64(c.csv.skip)
		fmt.Fprintf(mark, "%d %d %t %q %q", c.csv.comma, quote, c.csv.header, c.csv.names, c.csv.nulls)
	} else if !lines(in) {
		return driver.E(driver.ErrUnsupported, nil, "%s is read from its beginning to its end: its records are not on lines of their own", c.table)
	}
	prefix := hex.EncodeToString(mark.Sum(nil)[:8])
	c.begin = begin
	check := &quotes{quote: quote, comma: comma, last: '\n'}
	return split(ctx, file, begin, in.whole(), s.rangeBytes, check, func(p part) error {
		token := fmt.Sprintf("%s.%d.%d.%016x", prefix, p.from, p.to, p.sum)
		c.parts[token] = p
		if at := slices.IndexFunc(landed, func(r driver.Range) bool { return r.Token == token }); at >= 0 {
			if n, err := c.count(ctx, p); err == nil && n == landed[at].Rows {
				c.kept = append(c.kept, landed[at])
				return nil
			} else if ctx.Err() != nil {
				return ctx.Err()
			}
		}
		c.unread = append(c.unread, driver.Range{Token: token, Rows: -1})
		return nil
	})
}

// lines reports whether each record at the beginning of an NDJSON file has a
// line of its own, as the format says and not every file does.
func lines(in *input) bool {
	head, err := in.Peek(headSize)
	if err != nil && err != io.EOF {
		return false
	}
	end := bytes.LastIndexByte(head, '\n')
	for line := range bytes.Lines(head[:end+1]) {
		if line = bytes.TrimSpace(line); len(line) > 0 && (line[0] != '{' || !records.Valid(line)) {
			return false
		}
	}
	return end > 0
}

// split gives the parts of a file from a place on to each, in order. A part ends at the first
// newline at or after its size that has an even number of quotes before it.
func split(ctx context.Context, file io.ReaderAt, begin, size, each int64, q *quotes, f func(part) error) error {
	buffer := make([]byte, 256<<10)
	sum := xxhash.New()
	p := part{from: begin, first: true}
	for at := begin; at < size; {
		if err := ctx.Err(); err != nil {
			return err
		}
		n, err := file.ReadAt(buffer[:min(int64(len(buffer)), size-at)], at)
		if n == 0 {
			if err == nil || err == io.EOF {
				err = io.ErrUnexpectedEOF
			}
			return err
		}
		b := buffer[:n]
		if q.wrong {
			return driver.E(driver.ErrUnsupported, nil, "a quote amid a field: what is behind it is found by reading from the beginning")
		}
		for len(b) > 0 {
			if rest := p.from + each - 1 - at; rest > 0 { // no end may come before it
				take := b[:min(int64(len(b)), rest)]
				q.pass(take)
				sum.Write(take)
				at += int64(len(take))
				b = b[len(take):]
				continue
			}
			end := bytes.IndexByte(b, '\n') + 1
			take := b
			if end > 0 {
				take = b[:end]
			}
			q.pass(take)
			sum.Write(take)
			at += int64(len(take))
			b = b[len(take):]
			if end > 0 && !q.open && at < size {
				p.to, p.sum = at, sum.Sum64()
				if err := f(p); err != nil {
					return err
				}
				p = part{from: at}
				sum.Reset()
			}
		}
	}
	if q.wrong {
		return driver.E(driver.ErrUnsupported, nil, "a quote amid a field: what is behind it is found by reading from the beginning")
	}
	p.to, p.sum = size, sum.Sum64()
	return f(p)
}

// quotes follows the quotes of a CSV text.
type quotes struct {
	quote, comma byte // quote 0 is none
	open         bool // inside of a quoted field
	wrong        bool // a field has a quote and does not begin with one
	last         byte // that was passed
}

// pass goes over a piece of the text, eight bytes at a time.
func (q *quotes) pass(b []byte) {
	if q.quote == 0 || len(b) == 0 {
		return
	}
	i, quote := 0, uint64(q.quote)*lows
	for ; i+8 <= len(b); i += 8 {
		x := binary.LittleEndian.Uint64(b[i:]) ^ quote
		// The high bit of each byte that is zero, exactly.
		found := ^((x&^highs + ^uint64(highs)) | x) & highs
		for ; found != 0; found &= found - 1 {
			q.at(b, i+bits.TrailingZeros64(found)/8)
		}
	}
	for ; i < len(b); i++ {
		if b[i] == q.quote {
			q.at(b, i)
		}
	}
	q.last = b[len(b)-1]
}

// at passes the quote at b[i].
func (q *quotes) at(b []byte, i int) {
	if !q.open {
		before := q.last
		if i > 0 {
			before = b[i-1]
		}
		// Behind a quote it is the second of two, which mean one.
		q.wrong = q.wrong || before != q.comma && before != '\n' && before != q.quote
	}
	q.open = !q.open
}

func (c *scan) Unread() []driver.Range { return slices.Clone(c.unread) }
func (c *scan) Kept() []driver.Range   { return slices.Clone(c.kept) }

// Close closes the file.
func (c *scan) Close() error { return c.in.Close() }

// view returns the file as one that holds a part alone, and the sum of what is
// read of it.
func (c *scan) view(ctx context.Context, p part) (*input, hash.Hash64) {
	sum := xxhash.New()
	section := io.NewSectionReader(c.in.file.(io.ReaderAt), p.from, p.to-p.from)
	in := &input{entry: c.in.entry, ctx: ctx, format: c.in.format, size: c.in.size, modified: c.in.modified, file: c.in.file, limit: c.in.limit}
	in.raw = &counter{ctx: ctx, r: io.TeeReader(section, sum)}
	in.decoder = in.raw
	in.Reader = newReader(in)
	return in, sum
}

// Read reads one part. A row that is wrong is counted from the beginning of the
// file.
func (c *scan) Read(ctx context.Context, r driver.Range) iter.Seq2[driver.Batch, error] {
	return func(yield func(driver.Batch, error) bool) {
		p, ok := c.parts[r.Token]
		if !ok {
			yield(driver.Batch{}, driver.E(driver.ErrNotFound, nil, "table %s has no such range any more; sync again", c.table))
			return
		}
		if err := c.read(ctx, p, yield); err != nil && err != errLeft {
			yield(driver.Batch{}, c.in.failed(ctx, err))
		}
	}
}

func (c *scan) read(ctx context.Context, p part, yield func(driver.Batch, error) bool) error {
	in, sum := c.view(ctx, p)
	meter := &meter{yield: yield, limit: c.source.limits.MaxBytes, table: c.table}
	var err error
	if c.csv != nil {
		f := *c.csv
		f.input, f.done = in, 0
		f.before = func() (int64, error) { return c.count(ctx, part{from: c.begin, to: p.from, first: true}) }
		f.header = f.header && p.first
		err = c.source.readRows(ctx, &f, c.table, meter.batch)
	} else {
		err = c.readLines(ctx, in, p, meter)
	}
	if err == nil && sum.Sum64() != p.sum {
		err = driver.E(driver.ErrBadData, nil, "%s changed while it was read; sync again", in.entry.path)
	}
	return err
}

// readLines reads a part of an NDJSON file.
func (c *scan) readLines(ctx context.Context, in *input, p part, meter *meter) error {
	head, err := in.Peek(headSize)
	text := bytes.TrimLeft(head, " \t\r\n")
	if len(text) == 0 && err == io.EOF {
		_, err := io.Copy(io.Discard, in)
		return err
	}
	if len(text) == 0 || text[0] != '{' {
		return driver.E(driver.ErrBadData, nil, "%s, at byte %d: a line that does not begin with an object; set connection_config.format to json if records take several lines", in.entry.path, p.from+1)
	}
	err = c.source.readJSON(ctx, in, c.table, meter.batch)
	var typed *driver.Error
	if p.from > 0 && errors.As(err, &typed) {
		return driver.E(typed.Kind, typed.Cause, "%s (records are counted from byte %d on; set connection_config.format to json if they take several lines)", typed.Message, p.from+1)
	}
	return err
}

// count returns how many rows a part has.
func (c *scan) count(ctx context.Context, p part) (int64, error) {
	in, _ := c.view(ctx, p)
	var rows int64
	if c.csv == nil {
		if head, err := in.Peek(headSize); err == io.EOF && len(bytes.TrimSpace(head)) == 0 {
			return 0, nil
		}
		for _, err := range c.source.values(in) {
			if err != nil {
				return rows, err
			}
			rows++
		}
		return rows, nil
	}
	f := *c.csv
	f.input, f.done = in, 0
	f.header = f.header && p.first
	type counted struct {
		rows int64
		err  error
	}
	err := inOrder(ctx, f.splitter(), func(b block) counted {
		n, err := f.rows(b, nil, func(int64, []cell, int) error { return nil })
		return counted{n, err}
	}, func(n counted) error {
		rows += n.rows
		return n.err
	}, func(counted) {})
	return rows, err
}
