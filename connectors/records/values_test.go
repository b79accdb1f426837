package records

import (
	"errors"
	"io"
	"math"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/apache/arrow-go/v18/arrow/array"

	"headwater/connectors/driver"
)

// shaped finds the columns of JSON records, one a line.
func shaped(t *testing.T, lines string, extra bool) ([]driver.Column, error) {
	t.Helper()
	var s Shape
	for line := range strings.Lines(lines) {
		if err := s.Record([]byte(strings.TrimSpace(line)), driver.Limits{}); err != nil {
			return nil, err
		}
	}
	return s.Columns(nil, extra)
}

// built reads JSON records, one a line, into columns, in both ways that there
// are.
func built(t *testing.T, columns []driver.Column, lines string) (driver.Batch, error) {
	t.Helper()
	table := driver.Table{Name: "t", Columns: columns}
	rows, indexed := NewRows(table, driver.Limits{}, columns), NewRows(table, driver.Limits{}, columns)
	defer rows.Release()
	defer indexed.Release()
	var x Index
	if !x.Read([]byte("["+strings.ReplaceAll(strings.TrimSpace(lines), "\n", ",")+"]"), &List{}) {
		t.Fatalf("%s is no JSON", lines)
	}
	n := 0
	for line := range strings.Lines(lines) {
		_, err := rows.Record([]byte(strings.TrimSpace(line)))
		if _, other := indexed.Indexed(&x, n); (err == nil) != (other == nil) {
			t.Errorf("%s: %v one way and %v the other", line, err, other)
		}
		if err != nil {
			return driver.Batch{}, err
		}
		n++
	}
	return rows.Batch(), nil
}

// TestFieldsThatNoReaderMayChoose refuses records of which another reader would
// see something else, when they are sampled and after it.
func TestFieldsThatNoReaderMayChoose(t *testing.T) {
	columns, err := shaped(t, `{"a":1,"b":"x"}`, true)
	if err != nil {
		t.Fatal(err)
	}
	for line, message := range map[string]string{
		`{"a":1,"a":2}`:                   `has the field "a" twice`,
		`{"a":1,"b":null,"b":"x"}`:        `has the field "b" twice`,
		`{"a":1,"\\u0061":2}`:             `has the field "a" twice`,
		`{"a":1,"late":1,"late":2}`:       `has the field "late" twice`,
		`{"":1,"unnamed":2}`:              `has the field "unnamed" twice`,
		`{"a":1,"b":"\\ud800"}`:           `the text of field "b" is not valid Unicode`,
		"{\"a\":1,\"b\":\"M\xfcller\"}":   `the text of field "b" is not valid Unicode`,
		`{"a":1,"b":"x","b":[],"late":2}`: `has the field "b" twice`,
	} {
		line = strings.ReplaceAll(line, `\\`, `\`)
		if _, err := shaped(t, line, false); !errors.Is(err, driver.ErrBadData) || !strings.Contains(err.Error(), "record 1") || !strings.Contains(err.Error(), message) {
			t.Errorf("sampled %s: %v, want %q", line, err, message)
		}
		if strings.Contains(line, "unnamed") {
			continue // no column of this sample
		}
		if _, err := built(t, columns, `{"a":1}`+"\n"+line); !errors.Is(err, driver.ErrBadData) || !strings.Contains(err.Error(), "record 2") || !strings.Contains(err.Error(), message) {
			t.Errorf("read %s: %v, want %q", line, err, message)
		}
	}
	if _, err := shaped(t, `{"a\u0000b":1}`, false); !errors.Is(err, driver.ErrBadData) || !strings.Contains(err.Error(), "NUL") {
		t.Errorf("a name with a NUL: %v", err)
	}
}

// TestFieldsThatHaveNoColumnAreKept holds names that stand in the way of ours.
func TestFieldsThatHaveNoColumnAreKept(t *testing.T) {
	columns, err := shaped(t, `{"_extra":1,"":2}`, true)
	if err != nil || len(columns) != 3 || columns[1].Name != Unnamed || columns[2].Name != "_extra_2" {
		t.Fatal(columns, err)
	}
	batch, err := built(t, columns, `{"_extra":1,"":2}`+"\n"+`{"_extra":3,"":4,"late":"kept"}`)
	if err != nil {
		t.Fatal(err)
	}
	defer batch.Record.Release()
	for i, want := range []string{"[1 3]", "[2 4]", `[(null) "{\"late\":\"kept\"}"]`} {
		if got := batch.Record.Column(i).String(); got != want {
			t.Errorf("%s: %s, want %s", columns[i].Name, got, want)
		}
	}
}

// TestQuotedTextIsNoNumber holds text between quotes to be text, also where the
// sample had numbers, unless the settings say the type.
func TestQuotedTextIsNoNumber(t *testing.T) {
	columns, err := shaped(t, `{"n":1,"x":1.5,"ok":true}`, false)
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{`{"n":"2"}`, `{"x":"2.50"}`, `{"ok":"true"}`} {
		if _, err := built(t, columns, line); !errors.Is(err, driver.ErrBadData) || !strings.Contains(err.Error(), "column_types") {
			t.Errorf("%s: %v", line, err)
		}
	}
	if err := Retype(columns, map[string]string{"n": "int64", "x": "decimal(5,2)", "ok": "boolean"}); err != nil {
		t.Fatal(err)
	}
	batch, err := built(t, columns, `{"n":"2","x":"2.50","ok":"true"}`)
	if err != nil {
		t.Fatal(err)
	}
	batch.Record.Release()
}

func TestJSONColumnsHoldJSON(t *testing.T) {
	b := NewBuilder(driver.Table{Columns: []driver.Column{{Name: "doc", Type: driver.Of(driver.JSON)}}}, driver.Limits{})
	defer b.Release()
	for _, none := range []string{"", "{broken", "01", "[1", "x", "NaN", `{"a":1}}`, "\"\xff\""} {
		if err := b.Text(0, []byte(none)); !errors.Is(err, ErrMisfit) {
			t.Errorf("%q is JSON: %v", none, err)
		}
	}
	for _, some := range []string{"{}", " [1, 2.50]", "null", `"x"`, "-1e5"} {
		if err := b.Text(0, []byte(some)); err != nil {
			t.Errorf("%q is no JSON: %v", some, err)
		}
	}
}

func TestNonFiniteNumbers(t *testing.T) {
	text := `{"a":NaN,"b":[-Infinity,"NaN and \"Infinity\\"],"c":Infinity,"d":"-Infinity","e":-1.5}`
	for _, r := range []io.Reader{strings.NewReader(text), iotest.OneByteReader(strings.NewReader(text)), iotest.DataErrReader(strings.NewReader(text))} {
		nulls, err := io.ReadAll(NonFinite(r, true))
		if want := strings.NewReplacer(":NaN", ":null", "[-Infinity", "[null", ":Infinity", ":null").Replace(text); err != nil || string(nulls) != want {
			t.Errorf("%s, want %s (%v)", nulls, want, err)
		}
	}
	through, err := io.ReadAll(NonFinite(strings.NewReader(text), false))
	if err != nil || !Valid(through) {
		t.Fatalf("%s (%v)", through, err)
	}
	columns, err := shaped(t, string(through)+"\n"+`{"a":1.5,"c":2}`, false)
	if err != nil || columns[0].Type.Kind != driver.Float64 || columns[2].Type.Kind != driver.Float64 || columns[3].Type.Kind != driver.String {
		t.Fatal(columns, err)
	}
	batch, err := built(t, columns, string(through)+"\n"+`{"a":1.5,"c":2}`)
	if err != nil {
		t.Fatal(err)
	}
	defer batch.Record.Release()
	a, c := batch.Record.Column(0).(*array.Float64), batch.Record.Column(2).(*array.Float64)
	if !math.IsNaN(a.Value(0)) || a.Value(1) != 1.5 || !math.IsInf(c.Value(0), 1) || batch.Record.Column(3).(*array.String).Value(0) != "-Infinity" {
		t.Error(batch.Record)
	}
	if got, err := io.ReadAll(NonFinite(strings.NewReader("[Na"), false)); string(got) != "[Na" || err != nil {
		t.Errorf("cut off: %q, %v", got, err)
	}
}

// FuzzNonFinite lets valid JSON through as it is, and makes valid JSON of what
// is that but for such numbers.
func FuzzNonFinite(f *testing.F) {
	for _, s := range []string{`[1,-2,"NaN"]`, `[NaN]`, `{"a":-Infinity,"I":"\\\"N"}`, `-`, `-I`, `N`, `"`} {
		f.Add(s, true)
	}
	f.Fuzz(func(t *testing.T, text string, null bool) {
		got, err := io.ReadAll(NonFinite(iotest.HalfReader(strings.NewReader(text)), null))
		if err != nil {
			t.Fatal(err)
		}
		if Valid([]byte(text)) && string(got) != text {
			t.Fatalf("%q became %q", text, got)
		}
		slow, err := io.ReadAll(NonFinite(iotest.OneByteReader(strings.NewReader(text)), null))
		if err != nil || string(slow) != string(got) {
			t.Fatalf("%q became %q and %q, byte by byte", text, got, slow)
		}
	})
}

// TestNumbersInTextKeepTheirForm holds a column that was found to be float64 to
// what it was found by.
func TestNumbersInTextKeepTheirForm(t *testing.T) {
	b := NewBuilder(driver.Table{Columns: []driver.Column{{Name: "x", Type: driver.Of(driver.Float64)}}}, driver.Limits{})
	defer b.Release()
	if err := b.Text(0, []byte("1.10")); err != nil {
		t.Errorf("1.10 is no number where the settings say so: %v", err)
	}
	b.Exact(0)
	for text, fits := range map[string]bool{"1.5": true, "2.0": true, "100": true, "1e-07": true, "1.0E10": true, "1.10": false, "12E5": false, "5.": false, "2.00": false} {
		if err := b.Text(0, []byte(text)); (err == nil) != fits {
			t.Errorf("%s fits: %v, want %v", text, err == nil, fits)
		}
	}
}
