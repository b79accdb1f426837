package main

import (
	"crypto/md5"
	"encoding/hex"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"

	"headwater/handlers/landing/landingtest"
)

// column is one of the source's, by name, and how its value is written as text.
type column struct{ name, text string }

// columns returns a table's columns as the source has them.
func (s *changingSource) columns(table string) (all []column) {
	s.t.Helper()
	rows, err := s.db.Query("SELECT column_name, data_type FROM information_schema.columns WHERE table_name = '" + table + "' AND table_schema NOT IN ('pg_catalog', 'information_schema') ORDER BY ordinal_position")
	if err != nil {
		s.t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var name, kind string
		if err := rows.Scan(&name, &kind); err != nil {
			s.t.Fatal(err)
		}
		text := name + "::text"
		switch {
		case kind == "datetime":
			text = "timestampdiff(microsecond, '1970-01-01', " + name + ")"
		case kind == "varbinary":
			text = "lower(hex(" + name + "))"
		case kind == "bytea":
			text = "encode(" + name + ", 'hex')"
		case s.maria():
			text = "CAST(" + name + " AS char)"
		case kind == "boolean":
			text = name + "::int::text"
		case strings.HasPrefix(kind, "timestamp"):
			text = "(extract(epoch FROM " + name + ") * 1000000)::bigint::text"
		}
		all = append(all, column{name, text})
	}
	if err := rows.Err(); err != nil {
		s.t.Fatal(err)
	}
	return all
}

// sums are rows by the md5 of all columns, which the server calculates, with how many
// there are of each and one of them as text.
type sums map[string]*sum

type sum struct {
	rows int
	text string
}

func (s sums) add(md5, text string) {
	if s[md5] == nil {
		s[md5] = &sum{text: text}
	}
	s[md5].rows++
}

// equal reports whether others are the same rows, each as often.
func (s sums) equal(others sums) bool {
	return len(s) == len(others) && s.besides(others) == ""
}

// besides returns a few of the rows of which there are more than others have.
func (s sums) besides(others sums) string {
	var all []string
	for md5, one := range s {
		if o := others[md5]; o == nil || o.rows < one.rows {
			all = append(all, fmt.Sprintf("%.300s", one.text))
		}
	}
	slices.Sort(all)
	return strings.Join(all[:min(len(all), 8)], "\n")
}

// contents returns the rows of a table, and their sums.
func (s *changingSource) contents(table string, columns []column) (rows []map[string]string, all sums) {
	s.t.Helper()
	var parts []string
	for _, c := range columns {
		parts = append(parts, "coalesce("+c.text+", '-')")
	}
	if s.maria() {
		table = "`" + table + "`"
	}
	by := "md5(concat_ws('|', " + strings.Join(parts, ", ") + "))"
	here := s.name == "MySQL" // 9.7 has no md5
	if here {
		by = "''"
	}
	found, err := s.db.Query("SELECT " + by + ", " + strings.Join(parts, ", ") + " FROM " + table)
	if err != nil {
		s.t.Fatal(err)
	}
	defer found.Close()
	all = sums{}
	for found.Next() {
		values := make([]string, len(columns)+1)
		into := make([]any, len(values))
		for i := range values {
			into[i] = &values[i]
		}
		if err := found.Scan(into...); err != nil {
			s.t.Fatal(err)
		}
		row := map[string]string{}
		for i, c := range columns {
			row[c.name] = values[i+1]
		}
		rows = append(rows, row)
		text := strings.Join(values[1:], "|")
		if here {
			sum := md5.Sum([]byte(text))
			values[0] = hex.EncodeToString(sum[:])
		}
		all.add(values[0], text)
	}
	if err := found.Err(); err != nil {
		s.t.Fatal(err)
	}
	return rows, all
}

// sumsOf are those of landed rows.
func sumsOf(rows []map[string]string, columns []column) sums {
	all := sums{}
	for _, row := range rows {
		text := rowText(row, columns)
		sum := md5.Sum([]byte(text))
		all.add(hex.EncodeToString(sum[:]), text)
	}
	return all
}

func rowText(row map[string]string, columns []column) string {
	var parts []string
	for _, c := range columns {
		value, ok := row[c.name]
		if !ok {
			value = "no such column"
		}
		parts = append(parts, value)
	}
	return strings.Join(parts, "|")
}

// landedPlace is where a table lies, by the service's catalog.
type landedPlace struct {
	Name     string
	Location string
	Metadata string `json:"metadata_location"`
}

// place asks the service where a table lies. The newest file of its folder may be of
// a commit that was cut off.
func (r *followedRun) place(of *tracked, table string) landedPlace {
	r.t.Helper()
	var all []landedPlace
	r.caller.get("/data/changes/tables?source_id="+of.id).into(r.t, &all)
	for _, p := range all {
		if p.Name == table {
			return p
		}
	}
	return landedPlace{}
}

// rows returns the rows of a table that lies there, each value as the source writes it.
func (r *followedRun) rows(at landedPlace) (all []map[string]string) {
	r.t.Helper()
	snapshot, err := landingtest.Current(at.Metadata)
	if err != nil {
		r.t.Fatal(err)
	}
	for rec, err := range landingtest.Rows(r.t.Context(), at.Location, snapshot) {
		if err != nil {
			r.t.Fatal(err)
		}
		for row := range int(rec.NumRows()) {
			values := map[string]string{}
			for i, field := range rec.Schema().Fields() {
				values[field.Name] = landedText(rec.Column(i), row)
			}
			all = append(all, values)
		}
	}
	return all
}

func landedText(values arrow.Array, row int) string {
	if values.IsNull(row) {
		return "-"
	}
	switch v := values.(type) {
	case *array.Decimal128:
		return v.Value(row).ToString(v.DataType().(*arrow.Decimal128Type).Scale)
	case *array.Timestamp:
		return strconv.FormatInt(int64(v.Value(row)), 10)
	case *array.Binary:
		return hex.EncodeToString(v.Value(row))
	case *array.Date32:
		return v.Value(row).FormattedString()
	case *array.Boolean:
		if v.Value(row) {
			return "1"
		}
		return "0"
	}
	return values.ValueStr(row)
}
