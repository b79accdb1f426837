// Package ranges divides one CSV or NDJSON file at the ends of records into ranges
// that are read apart from each other.
package ranges

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"iter"
	"slices"

	"github.com/cespare/xxhash/v2"

	"headwater/connectors/driver"
	"headwater/connectors/formats/csv"
	"headwater/connectors/formats/input"
	"headwater/connectors/formats/json"
)

// scan is one CSV or NDJSON file, divided at the ends of records. The snapshot
// is the open file: what is put in its place is another file, and one that is
// written to fails, because its bytes no longer have the sum that Scan found.
type scan struct {
	in     *input.Input
	table  driver.Table
	csv    *csv.File
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

// Divide divides a plain file into ranges of about so many bytes each, if it is of
// several, up to a size: a last line behind that is not whole. Finding their ends
// takes one pass over all of it, which counts quotes and sums up the bytes: a landed
// range is kept if the bytes at its place are those that were read, whatever became
// of the rest, and hold as many rows. A file that cannot be divided is an
// ErrUnsupported: it is to be read from its beginning. Closing the Scan closes the
// file; on failure the caller does.
func Divide(ctx context.Context, in *input.Input, t driver.Table, each, size int64, landed []driver.Range) (driver.Scan, error) {
	c := &scan{in: in, table: t, parts: map[string]part{}}
	if err := c.divide(ctx, each, size, landed); err != nil {
		return nil, in.Failed(err)
	}
	return c, nil
}

func (c *scan) divide(ctx context.Context, each, size int64, landed []driver.Range) error {
	in := c.in
	file, stored := in.Random()
	text := in.Format == "csv" || in.Format == "tsv"
	if file == nil || in.Encoded || !text && in.Format != "ndjson" || stored < 2*each || in.Limits.MaxFileSize > 0 && stored > in.Limits.MaxFileSize {
		return driver.E(driver.ErrUnsupported, nil, "%s is read from its beginning to its end", c.table)
	}
	mark := sha256.New()
	fmt.Fprintf(mark, "%q %q %d", c.table.Name, in.Name, each)
	for _, col := range c.table.Columns {
		fmt.Fprintf(mark, "%q %s %t", col.Name, col.Type, col.Nullable)
	}
	begin, check := in.Mark, &csv.Quotes{}
	if text {
		var err error
		if c.csv, err = csv.Open(in); err != nil {
			return err
		}
		if !c.csv.Divisible() {
			return driver.E(driver.ErrUnsupported, nil, "%s is read from its beginning to its end", c.table)
		}
		begin, check = begin+c.csv.Start(), c.csv.Quotes()
		c.csv.Fingerprint(mark)
	} else if !json.Lined(in) {
		return driver.E(driver.ErrUnsupported, nil, "%s is read from its beginning to its end: its records are not on lines of their own", c.table)
	}
	prefix := hex.EncodeToString(mark.Sum(nil)[:8])
	c.begin = begin
	return split(ctx, file, begin, size, each, check, func(p part) error {
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

// split gives the parts of a file from a place on to each, in order. A part ends at the first
// newline at or after its size that has an even number of quotes before it.
func split(ctx context.Context, file io.ReaderAt, begin, size, each int64, q *csv.Quotes, f func(part) error) error {
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
		if q.Wrong {
			return driver.E(driver.ErrUnsupported, nil, "a quote amid a field: what is behind it is found by reading from the beginning")
		}
		for len(b) > 0 {
			if rest := p.from + each - 1 - at; rest > 0 { // no end may come before it
				take := b[:min(int64(len(b)), rest)]
				q.Pass(take)
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
			q.Pass(take)
			sum.Write(take)
			at += int64(len(take))
			b = b[len(take):]
			if end > 0 && !q.Open && at < size {
				p.to, p.sum = at, sum.Sum64()
				if err := f(p); err != nil {
					return err
				}
				p = part{from: at}
				sum.Reset()
			}
		}
	}
	if q.Wrong {
		return driver.E(driver.ErrUnsupported, nil, "a quote amid a field: what is behind it is found by reading from the beginning")
	}
	p.to, p.sum = size, sum.Sum64()
	return f(p)
}

func (c *scan) Unread() []driver.Range { return slices.Clone(c.unread) }
func (c *scan) Kept() []driver.Range   { return slices.Clone(c.kept) }

// Close closes the file.
func (c *scan) Close() error { return c.in.Close() }

// view returns the file as one that holds a part alone, and the sum of what is
// read of it.
func (c *scan) view(ctx context.Context, p part) (*input.Input, hash.Hash64) {
	sum := xxhash.New()
	return c.in.Section(ctx, p.from, p.to, sum), sum
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
		in, sum := c.view(ctx, p)
		err := c.read(ctx, in, p, yield)
		if err == nil && sum.Sum64() != p.sum {
			err = driver.E(driver.ErrBadData, nil, "%s changed while it was read; sync again", in.Name)
		}
		if err != nil && err != input.ErrStopped {
			yield(driver.Batch{}, in.Failed(err))
		}
	}
}

func (c *scan) read(ctx context.Context, in *input.Input, p part, yield func(driver.Batch, error) bool) error {
	meter := &input.Meter{Yield: yield, Limit: in.Limits.MaxBytes, Table: c.table}
	if c.csv == nil {
		return c.readLines(ctx, in, p, meter)
	}
	before := func() (int64, error) { return c.count(ctx, part{from: c.begin, to: p.from, first: true}) }
	return c.csv.Part(in, p.first, before).Read(ctx, c.table, meter.Batch)
}

// readLines reads a part of an NDJSON file.
func (c *scan) readLines(ctx context.Context, in *input.Input, p part, meter *input.Meter) error {
	head, err := in.Peek(input.HeadSize)
	text := bytes.TrimLeft(head, " \t\r\n")
	if len(text) == 0 && err == io.EOF {
		_, err := io.Copy(io.Discard, in)
		return err
	}
	if len(text) == 0 || text[0] != '{' {
		return driver.E(driver.ErrBadData, nil, "%s, at byte %d: a line that does not begin with an object; set connection_config.format to json if records take several lines", in.Name, p.from+1)
	}
	err = json.Read(ctx, in, c.table, meter.Batch)
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
		if head, err := in.Peek(input.HeadSize); err == io.EOF && len(bytes.TrimSpace(head)) == 0 {
			return 0, nil
		}
		for _, err := range json.Records(in) {
			if err != nil {
				return rows, err
			}
			rows++
		}
		return rows, nil
	}
	return c.csv.Part(in, p.first, nil).Count(ctx)
}
