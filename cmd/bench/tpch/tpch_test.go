package tpch

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"

	"headwater/connectors/drivertest/servers"
)

const small = 0.01

// rowsOf returns the values of a table at a scale.
func rowsOf(t *testing.T, table Table, scale float64) (rows [][]string) {
	t.Helper()
	var b bytes.Buffer
	n, err := table.Write(&b, scale)
	if err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(&b)
	for lines.Scan() {
		values := strings.Split(lines.Text(), "\t")
		if len(values) != len(table.Columns) {
			t.Fatalf("%s has the row %q", table.Name, values)
		}
		rows = append(rows, values)
	}
	if int64(len(rows)) != n {
		t.Errorf("%s: %d rows, told of %d", table.Name, len(rows), n)
	}
	return rows
}

// TestDatabase: as many rows as the specification says, keys that are nobody
// else's, references that lead somewhere, and the relations between columns that
// queries rely on.
func TestDatabase(t *testing.T) {
	all := map[string][][]string{}
	for _, table := range Tables() {
		rows := rowsOf(t, table, small)
		all[table.Name] = rows
		seen := map[string]bool{}
		for _, r := range rows {
			var key []string
			for _, k := range table.keys() {
				key = append(key, r[k])
			}
			if k := strings.Join(key, "|"); seen[k] {
				t.Fatalf("%s has the key %s twice", table.Name, k)
			} else {
				seen[k] = true
			}
		}
	}
	for name, want := range map[string]int{"region": 5, "nation": 25, "supplier": 100, "part": 2000, "partsupp": 8000, "customer": 1500, "orders": 15000} {
		if len(all[name]) != want {
			t.Errorf("%d rows of %s, want %d", len(all[name]), name, want)
		}
	}
	if n := len(all["lineitem"]); n < 58_500 || n > 61_500 {
		t.Errorf("%d items, want about 4 of an order", n)
	}
	known := func(name string, columns ...int) map[string]bool {
		set := map[string]bool{}
		for _, r := range all[name] {
			var key []string
			for _, c := range columns {
				key = append(key, r[c])
			}
			set[strings.Join(key, "|")] = true
		}
		return set
	}
	for _, ref := range []struct {
		from    string
		columns []int
		to      string
		keys    []int
	}{
		{"nation", []int{2}, "region", []int{0}}, {"supplier", []int{3}, "nation", []int{0}}, {"customer", []int{3}, "nation", []int{0}},
		{"partsupp", []int{0}, "part", []int{0}}, {"partsupp", []int{1}, "supplier", []int{0}}, {"orders", []int{1}, "customer", []int{0}},
		{"lineitem", []int{0}, "orders", []int{0}}, {"lineitem", []int{1, 2}, "partsupp", []int{0, 1}},
	} {
		there := known(ref.to, ref.keys...)
		for key := range known(ref.from, ref.columns...) {
			if !there[key] {
				t.Fatalf("%s refers to %s %s, which is not there", ref.from, ref.to, key)
			}
		}
	}
	for _, r := range all["lineitem"] {
		if flagged := r[8] != "N"; r[10] >= r[12] || flagged != (r[12] <= "1995-06-17") || (r[9] == "O") != (r[10] > "1995-06-17") {
			t.Fatalf("an item of %q", r)
		}
	}
	if orders := known("orders", 2); len(orders) != 3 {
		t.Errorf("orders have the states %v", orders)
	}
}

// TestSameEachTime: the rows of a scale are always the same, which measurements of
// other days rely on.
func TestSameEachTime(t *testing.T) {
	var got []string
	for _, table := range Tables() {
		var first, again bytes.Buffer
		for _, w := range []io.Writer{&first, &again} {
			if _, err := table.Write(w, 0.001); err != nil {
				t.Fatal(err)
			}
		}
		if !bytes.Equal(first.Bytes(), again.Bytes()) {
			t.Errorf("%s is not the same twice", table.Name)
		}
		s, err := table.Text(&first)
		if err != nil {
			t.Fatal(err)
		}
		sum := uint64(0)
		for _, c := range s.Columns {
			sum = sum*31 + c
		}
		got = append(got, fmt.Sprintf("%s %d %x", table.Name, s.Rows, sum))
	}
	want := `region 5 af3044e6308610d3
nation 25 da7b0b80f433f8de
supplier 10 a885e79cd9cdd78c
part 200 a68f7c1764ef5c55
partsupp 800 8ef16f0903742476
customer 150 a5e056f6e9ee0d57
orders 1500 7fea2595c787bad0
lineitem 6008 d30d4b760ea95542`
	if told := strings.Join(got, "\n"); told != want {
		t.Errorf("the database is\n%s\nit was\n%s", told, want)
	}
}

// TestPostgres: PostgreSQL takes every table, and says again what it was given.
func TestPostgres(t *testing.T) {
	server := servers.Postgres(t)
	conn, err := pgconn.Connect(t.Context(), fmt.Sprintf("postgres://%s:%s@%s/%s?sslmode=disable", server.User, server.Password, server.Address(), server.Database))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	for _, table := range Tables() {
		var text bytes.Buffer
		rows, err := table.Write(&text, small)
		if err != nil {
			t.Fatal(err)
		}
		want, err := table.Text(&text)
		if err != nil {
			t.Fatal(err)
		}
		loaded, err := table.Load(t.Context(), conn, small)
		if err != nil || loaded != rows {
			t.Fatalf("%d rows of %s loaded, %d were made: %v", loaded, table.Name, rows, err)
		}
		got, err := table.Stored(t.Context(), conn)
		if err == nil {
			err = got.Compare(table, want)
		}
		if err != nil {
			t.Error(err)
		}
	}
	if _, err := Tables()[0].Load(t.Context(), conn, small); err == nil {
		t.Error("a table was made twice")
	}
}

// TestOtherRows: a changed value, a value in another row and a missing row are told
// of, another order of rows is none.
func TestOtherRows(t *testing.T) {
	table := Tables()[0]
	const text = "1\tEUROPE                   \tfar\n2\tASIA\tnear \n"
	sums := func(text string) Sums {
		t.Helper()
		s, err := table.Text(strings.NewReader(text))
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	for other, differs := range map[string]string{
		"2\tASIA\tnear \n1\tEUROPE\tfar\n": "",
		"1\tEUROPE\tfar\n2\tASIA\tnear\n":  "region.r_comment has other values",
		"1\tASIA\tfar\n2\tEUROPE\tnear \n": "region.r_name has other values",
		"1\tEUROPE\tfar\n":                 "region has 1 rows, want 2",
	} {
		told := ""
		if err := sums(other).Compare(table, sums(text)); err != nil {
			told = err.Error()
		}
		if told != differs {
			t.Errorf("%q: %q, want %q", other, told, differs)
		}
	}
	if _, err := table.Text(strings.NewReader("1\tEUROPE\n")); err == nil {
		t.Error("a row with too few columns is taken")
	}
}
