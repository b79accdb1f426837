// Package widetable makes the rows of the wide table, the same each time, and compares
// them with what landed. It knows no source and no service.
package widetable

import (
	"crypto/md5"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"time"
)

// Column is one column of the wide table.
type Column struct {
	Name     string
	Postgres string // its type in PostgreSQL
	MariaDB  string // and in MariaDB
	Kind     kind
}

// kind says how a value is told as text, whatever type it landed with.
type kind int

const (
	Whole kind = iota
	Money      // two digits behind the point
	Day
	Instant
	Text // without blanks at its end: char(n) has them
	YesNo
)

// Columns is the order line that sync engines are measured with: keys, exact
// decimals, dates, short and long text, JSON and NULLs.
var Columns = []Column{
	{"id", "bigint primary key", "bigint primary key", Whole},
	{"order_id", "bigint not null", "bigint not null", Whole},
	{"line_no", "int not null", "int not null", Whole},
	{"quantity", "numeric(15,2) not null", "decimal(15,2) not null", Money},
	{"price", "numeric(15,2) not null", "decimal(15,2) not null", Money},
	{"discount", "numeric(15,2)", "decimal(15,2)", Money},
	{"ship_date", "date not null", "date not null", Day},
	{"receipt_date", "date", "date", Day},
	{"updated_at", "timestamptz not null", "timestamp(6) not null", Instant},
	{"return_flag", "char(1) not null", "char(1) not null", Text},
	{"ship_mode", "char(10) not null", "char(10) not null", Text},
	{"ship_instruct", "varchar(25) not null", "varchar(25) not null", Text},
	{"comment", "text", "text", Text},
	{"attrs", "jsonb", "json", Text},
	{"active", "bool", "tinyint(1)", YesNo},
	{"row_uuid", "uuid not null", "char(36) character set ascii not null", Text},
}

// ColumnsOf lists the wide table's columns for CREATE TABLE.
func ColumnsOf(kind func(Column) string) string {
	var all []string
	for _, c := range Columns {
		all = append(all, c.Name+" "+kind(c))
	}
	return strings.Join(all, ", ")
}

const (
	seed     = 42
	sentence = `carefully final deposits nag quickly; slyly regular accounts haggle above the furiously "even", ironic requests. ` +
		`blithely bold ideas sleep among the pending packages, quietly express theodolites détente`
)

var (
	letters  = []rune(sentence)
	flags    = []string{"R", "A", "N"}
	modes    = []string{"REG AIR", "AIR", "RAIL", "SHIP", "TRUCK", "MAIL", "FOB"}
	instruct = []string{"DELIVER IN PERSON", "COLLECT COD", "NONE", "TAKE BACK RETURN"}
	tags     = []string{"new", "vip", "old", "gold"}
	firstDay = time.Date(1992, 1, 1, 0, 0, 0, 0, time.UTC)
	newYear  = time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC)
)

// Generator makes the rows of the wide table from the first, the same each time.
type Generator struct {
	random *rand.Rand
	ID     int64
	// Values are those of the last row by column, as canonical text; null says
	// which are none.
	Values [16]string
	Null   [16]bool
}

// NewGenerator returns a generator before its first row.
func NewGenerator() *Generator { return &Generator{random: rand.New(rand.NewPCG(seed, seed))} }

// Next makes the next row.
func (g *Generator) Next() {
	g.ID++
	r, i := g.random, g.ID
	g.Null = [16]bool{}
	cents := func(n int64) string { return fmt.Sprintf("%d.%02d", n/100, n%100) }
	chance := func(percent int) bool { return r.IntN(100) < percent }
	date := func(from, days int) string { return firstDay.AddDate(0, 0, from+r.IntN(days)).Format(time.DateOnly) }
	sum := md5.Sum(strconv.AppendInt(nil, i, 10))
	id := hex.EncodeToString(sum[:])

	g.Values[0] = strconv.FormatInt(i, 10)
	g.Values[1] = strconv.FormatInt(i/4+1, 10)
	g.Values[2] = strconv.FormatInt(i%7+1, 10)
	g.Values[3] = cents(100 * (1 + r.Int64N(50)))
	g.Values[4] = cents(90_000 + r.Int64N(10_000_000))
	g.Values[5], g.Null[5] = cents(r.Int64N(11)), chance(10)
	g.Values[6] = date(0, 2500)
	g.Values[7], g.Null[7] = date(14, 2500), chance(10)
	g.Values[8] = newYear.Add(time.Duration(i) * 1_234_567 * time.Microsecond).Format("2006-01-02 15:04:05.000000")
	g.Values[9] = flags[r.IntN(len(flags))]
	g.Values[10] = modes[r.IntN(len(modes))]
	g.Values[11] = instruct[r.IntN(len(instruct))]
	from, long := r.IntN(100), 10+r.IntN(60)
	g.Values[12], g.Null[12] = string(letters[from:min(from+long, len(letters))]), chance(5)
	g.Values[13] = fmt.Sprintf(`{"k": %d, "src": "web-%d", "tag": %q}`, r.IntN(1000), i%100, tags[r.IntN(len(tags))])
	g.Null[13] = chance(20)
	g.Values[14], g.Null[14] = strconv.FormatBool(chance(50)), chance(10)
	g.Values[15] = id[:8] + "-" + id[8:12] + "-" + id[12:16] + "-" + id[16:20] + "-" + id[20:]
}

// Sums is what is compared: how many rows, the sum of their ids, and for each
// other column the sum of the first 32 bits of md5(id|value) where there is one.
type Sums struct {
	Rows, IDs int64
	Columns   [16]uint64
}

// add counts a value of a column; buffer is scratch.
func (s *Sums) add(column int, id, value []byte, buffer []byte) {
	buffer = append(append(append(buffer[:0], id...), '|'), value...)
	sum := md5.Sum(buffer)
	s.Columns[column] += uint64(sum[0])<<24 | uint64(sum[1])<<16 | uint64(sum[2])<<8 | uint64(sum[3])
}

// AddRow counts the generator's last row.
func (s *Sums) AddRow(g *Generator, buffer []byte) {
	s.Rows++
	s.IDs += g.ID
	for i := 1; i < len(Columns); i++ {
		if g.Null[i] {
			continue
		}
		value := g.Values[i]
		if Columns[i].Kind == Text {
			for len(value) > 0 && value[len(value)-1] == ' ' {
				value = value[:len(value)-1]
			}
		}
		s.add(i, []byte(g.Values[0]), []byte(value), buffer)
	}
}

// Compare names the columns that differ.
func (s Sums) Compare(want Sums) error {
	if s.Rows != want.Rows || s.IDs != want.IDs {
		return fmt.Errorf("%d rows landed with ids of the sum %d; the source has %d and %d", s.Rows, s.IDs, want.Rows, want.IDs)
	}
	for i, c := range Columns {
		if s.Columns[i] != want.Columns[i] {
			return fmt.Errorf("column %s landed with other values than the source has", c.Name)
		}
	}
	return nil
}
