// Package example is the smallest connector that keeps the whole contract, to copy
// from. It reads a server of lines, which its test brings along: who sends
//
//	TABLES token             gets a line a table: name, then column:type, by tabs
//	ROWS token table         gets a line a row: values by tabs, \N for NULL
//
// up to a line with a point alone; a line that begins with ! is an error. It is in
// no binary: connectors/builtin lists those that are.
package example

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"io"
	"iter"
	"net"
	"slices"
	"strconv"
	"strings"

	"headwater/connectors/driver"
	"headwater/connectors/records"
)

// Driver opens servers of lines. Its zero value is ready.
type Driver struct{}

// Settings is the connection_config: schema, validation and help at once. A field
// without public:"true" is a secret.
type Settings struct {
	Host  string `json:"host" public:"true" jsonschema:"required,minLength=1,maxLength=255,title=Host,description=Host name or address of the server"`
	Port  int    `json:"port,omitempty" public:"true" jsonschema:"minimum=1,maximum=65535,default=7777,title=Port"`
	Token string `json:"token" jsonschema:"required,minLength=1,title=Token"`
}

// Validate says what the tags cannot, and is asked where nobody looks at those.
func (s *Settings) Validate() error {
	switch {
	case s.Host == "":
		return driver.InvalidField("host", "is missing")
	case s.Token == "":
		return driver.InvalidField("token", "is missing")
	case strings.ContainsAny(s.Token, " \n"): // which would end it early
		return driver.InvalidField("token", "must have neither spaces nor line ends")
	}
	return nil
}

// Spec describes the driver.
func (Driver) Spec() driver.Spec {
	return driver.Spec{Name: "lines", Class: "api", Schemes: []string{"lines"}, Ports: []int{7777}, Title: "A server of lines", Settings: &Settings{}}
}

// Open prepares the source. It does not dial: Check does.
func (Driver) Open(_ context.Context, cfg driver.Config) (driver.Source, error) {
	s := &source{dial: cfg.Dial, limits: cfg.Limits.WithDefaults()}
	if err := driver.Decode(cfg.Settings, &s.settings); err != nil {
		return nil, err
	}
	if err := s.settings.Validate(); err != nil {
		return nil, err
	}
	return s, nil
}

// source holds nothing open between calls.
type source struct {
	settings Settings
	dial     func(ctx context.Context, network, address string) (net.Conn, error)
	limits   driver.Limits
}

// Close has nothing to release.
func (s *source) Close() error { return nil }

// Check proves that the server is there and takes the token.
func (s *source) Check(ctx context.Context) error {
	_, err := s.Discover(ctx)
	return err
}

// Discover returns the tables, sorted by name.
func (s *source) Discover(ctx context.Context) ([]driver.Table, error) {
	var tables []driver.Table
	err := s.ask(ctx, "TABLES", "", func(line string) error {
		name, columns, _ := strings.Cut(line, "\t")
		t := driver.Table{Name: name, Kind: "table", RowEstimate: -1}
		for c := range strings.SplitSeq(columns, "\t") {
			column, text, _ := strings.Cut(c, ":")
			typ, err := driver.ParseType(text)
			if err != nil { // in full or not at all: no column is left out in silence
				return driver.E(driver.ErrUnsupported, nil, "table %s, column %s is of the unknown type %q", name, column, text)
			}
			t.Columns = append(t.Columns, driver.Column{Name: column, Type: typ, SourceType: text, Nullable: true})
		}
		t.Cursor, t.CursorNotes = driver.DefaultCursor(t)
		tables = append(tables, t)
		return nil
	})
	slices.SortFunc(tables, func(a, b driver.Table) int { return cmp.Compare(a.Name, b.Name) })
	return tables, err
}

// Read yields every row, or those behind a cursor. The server knows no order:
// records.Unordered compares, and gives the place to go on from at the end.
func (s *source) Read(ctx context.Context, t driver.Table, from driver.Cursor) iter.Seq2[driver.Batch, error] {
	all := func(yield func(driver.Batch, error) bool) {
		err := records.CheckCursor(t, from)
		if err == nil {
			err = s.read(ctx, t, func(b driver.Batch) bool { return yield(b, nil) })
		}
		if err != nil && !errors.Is(err, errLeft) {
			yield(driver.Batch{}, err)
		}
	}
	return records.Unordered(ctx, t, from, all)
}

// errLeft ends a read whose loop was left: nothing is yielded after that.
var errLeft = errors.New("left")

func (s *source) read(ctx context.Context, t driver.Table, yield func(driver.Batch) bool) error {
	places, err := s.places(ctx, t)
	if err != nil {
		return err
	}
	b := records.NewBuilder(t, s.limits)
	defer b.Release()
	row := 0
	err = s.ask(ctx, "ROWS", t.Name, func(line string) error {
		row++
		values := strings.Split(line, "\t")
		for i, at := range places {
			switch {
			case at >= len(values):
				return driver.E(driver.ErrBadData, nil, "table %s, row %d has %d values", t, row, len(values))
			case values[at] == `\N`:
				b.Null(i)
			case b.Text(i, []byte(values[at])) != nil:
				// Table, column and row, never the value.
				return driver.E(driver.ErrBadData, nil, "table %s, row %d: column %q holds a value that is not %s", t, row, t.Columns[i].Name, t.Columns[i].Type)
			}
		}
		if full := b.EndRow(int64(len(line))); full && !yield(b.Batch()) {
			return errLeft
		}
		return nil
	})
	if err == nil && b.Rows() > 0 && !yield(b.Batch()) {
		return errLeft
	}
	return err
}

// places returns where in a line the values of the table's columns are: what is
// read is the table as it was discovered, or an error that says what is gone.
func (s *source) places(ctx context.Context, t driver.Table) ([]int, error) {
	tables, err := s.Discover(ctx)
	if err != nil {
		return nil, err
	}
	at := slices.IndexFunc(tables, func(now driver.Table) bool { return now.Name == t.Name && t.Namespace == "" })
	if at < 0 {
		return nil, driver.E(driver.ErrNotFound, nil, "there is no table %s", t)
	}
	places := make([]int, len(t.Columns))
	for i, c := range t.Columns {
		if places[i] = slices.IndexFunc(tables[at].Columns, func(now driver.Column) bool { return now.Name == c.Name }); places[i] < 0 {
			return nil, driver.E(driver.ErrNotFound, nil, "table %s has no column %s any more: discover the schema again", t, c.Name)
		}
	}
	return places, nil
}

// ask sends a request and hands each line of the answer to f. An answer ends on
// its last line and on nothing else: a connection that breaks off is an error, and
// never the end of the rows.
func (s *source) ask(ctx context.Context, verb, what string, f func(line string) error) error {
	address := net.JoinHostPort(s.settings.Host, strconv.Itoa(cmp.Or(s.settings.Port, 7777)))
	conn, err := s.dial(ctx, "tcp", address)
	if err != nil {
		return driver.E(driver.ErrUnreachable, err, "%s", address)
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })() // a canceled read lets go at once
	if _, err := io.WriteString(conn, strings.TrimSpace(verb+" "+s.settings.Token+" "+what)+"\n"); err != nil {
		return s.lost(ctx, err)
	}
	lines := bufio.NewScanner(conn)
	lines.Buffer(nil, int(s.limits.MaxRowBytes))
	lines.Split(wholeLine)
	for lines.Scan() {
		line := lines.Text()
		switch {
		case line == ".":
			return nil
		case line == "!token":
			return driver.E(driver.ErrAuthentication, nil, "the server does not take this token")
		case strings.HasPrefix(line, "!"):
			return driver.E(driver.ErrNotFound, nil, "the server says: %s", line[1:])
		}
		if err := f(line); err != nil {
			return err
		}
	}
	return s.lost(ctx, lines.Err())
}

// wholeLine is bufio.ScanLines without what it takes for a last line: half a row of an
// answer that broke off may look like a row.
func wholeLine(data []byte, _ bool) (advance int, line []byte, err error) {
	return bufio.ScanLines(data, false)
}

// lost explains an answer without an end.
func (s *source) lost(ctx context.Context, err error) error {
	var typed *driver.Error
	switch {
	case ctx.Err() != nil:
		return driver.E(driver.ErrTimeout, context.Cause(ctx), "stopped")
	case errors.As(err, &typed): // the dialer's own: it waited for a byte long enough
		return typed
	case errors.Is(err, bufio.ErrTooLong):
		return driver.E(driver.ErrLimit, nil, "a line has more than %d bytes", s.limits.MaxRowBytes)
	}
	return driver.E(driver.ErrUnreachable, nil, "the server hung up in the middle of its answer")
}
