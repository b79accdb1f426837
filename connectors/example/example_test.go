package example_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"

	"headwater/connectors/driver"
	"headwater/connectors/drivertest"
	"headwater/connectors/example"
)

// server answers in the way that package example describes. The answers of the tables
// in cut break off without their ends, by so many bytes before that of the last row.
type server struct {
	tables map[string]string // the columns, by name
	rows   map[string][]string
	cut    map[string]int
}

// listen serves on a port of its own until the test ends, and returns settings.
func (s server) listen(t *testing.T) example.Settings {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go s.answer(conn)
		}
	}()
	return example.Settings{Host: "127.0.0.1", Port: l.Addr().(*net.TCPAddr).Port, Token: "a-token-7391"}
}

func (s server) answer(conn net.Conn) {
	defer conn.Close()
	request, _ := bufio.NewReader(conn).ReadString('\n')
	words := strings.Fields(request)
	out := bufio.NewWriter(conn)
	defer out.Flush()
	switch {
	case len(words) < 2 || words[1] != "a-token-7391":
		fmt.Fprintln(out, "!token")
		return
	case words[0] == "TABLES":
		for name, columns := range s.tables {
			fmt.Fprintf(out, "%s\t%s\n", name, columns)
		}
	case len(words) < 3 || s.tables[words[2]] == "":
		fmt.Fprintln(out, "!there is no such table")
		return
	default:
		rows := strings.Join(s.rows[words[2]], "\n") + "\n"
		if by, broken := s.cut[words[2]]; broken {
			io.WriteString(out, rows[:len(rows)-by])
			return
		}
		io.WriteString(out, rows)
	}
	fmt.Fprintln(out, ".")
}

func column(name, typ string) driver.Column {
	t, _ := driver.ParseType(typ)
	return driver.Column{Name: name, Type: t, SourceType: typ, Nullable: true}
}

// TestConformance is all that a connector has to pass: one call against a real
// server.
func TestConformance(t *testing.T) {
	many := make([]string, 5000)
	for i := range many {
		many[i] = fmt.Sprintf("%d\trow %d", i, i)
	}
	s := server{
		tables: map[string]string{"orders": "id:int64\tamount:decimal(9,2)\tday:date", "many": "id:int64\tname:string", "cut": "id:int64", "halved": "id:int64\tname:string"},
		rows:   map[string][]string{"orders": {"1\t\\N\t\\N", "2\t-0.05\t2024-02-29", "3\t12.50\t2024-03-01"}, "many": many, "cut": {"1", "2"}, "halved": {"1\tone", "2\ttwo"}},
		cut:    map[string]int{"cut": 0, "halved": len("\ttwo\n")},
	}
	settings := s.listen(t)
	wrong := settings
	wrong.Token = "another-token-5512"
	drivertest.Run(t, drivertest.Harness{
		Driver: example.Driver{}, Settings: settings, Secrets: []string{settings.Token, wrong.Token}, Exact: true, Large: "many", LargeRows: len(many),
		Bad: []drivertest.Bad{
			{Name: "no token", Settings: map[string]any{"host": settings.Host}, Kind: driver.ErrInvalidConfig},
			{Name: "two words", Settings: example.Settings{Host: "h", Token: "a b"}, Kind: driver.ErrInvalidConfig},
			{Name: "another token", Settings: wrong, Kind: driver.ErrAuthentication},
			{Name: "nobody there", Settings: example.Settings{Host: "127.0.0.1", Port: 1, Token: "x"}, Kind: driver.ErrUnreachable},
		},
		Tables: []drivertest.Expected{
			{Table: driver.Table{Name: "orders", Kind: "table", RowEstimate: -1, Columns: []driver.Column{column("id", "int64"), column("amount", "decimal(9,2)"), column("day", "date")}},
				Rows: [][]string{{"1", drivertest.Null, drivertest.Null}, {"2", "-0.05", "2024-02-29"}, {"3", "12.50", "2024-03-01"}}, Cursors: []string{"id", "day"}},
			{Table: driver.Table{Name: "cut", Kind: "table", RowEstimate: -1, Columns: []driver.Column{column("id", "int64")}}, Broken: driver.ErrUnreachable},
			{Table: driver.Table{Name: "halved", Kind: "table", RowEstimate: -1, Columns: []driver.Column{column("id", "int64"), column("name", "string")}}, Broken: driver.ErrUnreachable},
		},
	})
}

// What a server sends is not believed: a value that its type cannot hold, a row
// that is short, a type that nobody knows.
func TestBadData(t *testing.T) {
	s := server{
		tables: map[string]string{"numbers": "id:int64\tn:int32"},
		rows:   map[string][]string{"numbers": {"1\t1", "2\tsecret-9102"}},
	}
	for _, c := range []struct {
		rows []string
		want string
	}{{[]string{"1\t1", "2\tsecret-9102"}, `row 2: column "n" holds a value that is not int32`}, {[]string{"1"}, "row 1 has 1 values"}} {
		s.rows["numbers"] = c.rows
		src, table := open(t, s.listen(t))
		var failed error
		for b, err := range src.Read(t.Context(), table, driver.Cursor{}) {
			if failed = err; err == nil {
				b.Record.Release()
			}
		}
		if !errors.Is(failed, driver.ErrBadData) || !strings.Contains(failed.Error(), c.want) || strings.Contains(failed.Error(), "9102") {
			t.Errorf("%q: %v, want %q", c.rows, failed, c.want)
		}
	}
}

// open opens the source and returns its first table.
func open(t *testing.T, settings example.Settings) (driver.Source, driver.Table) {
	t.Helper()
	src, err := example.Driver{}.Open(t.Context(), driver.Config{
		Settings: fmt.Appendf(nil, `{"host":%q,"port":%d,"token":%q}`, settings.Host, settings.Port, settings.Token), Dial: (&net.Dialer{}).DialContext,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { src.Close() })
	tables, err := src.Discover(t.Context())
	if err != nil || len(tables) == 0 {
		t.Fatalf("%d tables, %v", len(tables), err)
	}
	return src, tables[0]
}
