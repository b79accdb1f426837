package main

import (
	"crypto/md5"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"strconv"
	"time"
)

// column is one column of the wide table.
type column struct {
	name string
	pg   string // its type in PostgreSQL
	my   string // and in MariaDB
	kind kind
}

// kind says how a value is told as text, whatever type it landed with.
type kind int

const (
	whole kind = iota
	money      // two digits behind the point
	day
	instant
	text // without blanks at its end: char(n) has them
	yesNo
)

// wide is the order line that sync engines are measured with: keys, exact
// decimals, dates, short and long text, JSON and NULLs.
var wide = []column{
	{"id", "bigint primary key", "bigint primary key", whole},
	{"order_id", "bigint not null", "bigint not null", whole},
	{"line_no", "int not null", "int not null", whole},
	{"quantity", "numeric(15,2) not null", "decimal(15,2) not null", money},
	{"price", "numeric(15,2) not null", "decimal(15,2) not null", money},
	{"discount", "numeric(15,2)", "decimal(15,2)", money},
	{"ship_date", "date not null", "date not null", day},
	{"receipt_date", "date", "date", day},
	{"updated_at", "timestamptz not null", "timestamp(6) not null", instant},
	{"return_flag", "char(1) not null", "char(1) not null", text},
	{"ship_mode", "char(10) not null", "char(10) not null", text},
	{"ship_instruct", "varchar(25) not null", "varchar(25) not null", text},
	{"comment", "text", "text", text},
	{"attrs", "jsonb", "json", text},
	{"active", "bool", "tinyint(1)", yesNo},
	{"row_uuid", "uuid not null", "char(36) character set ascii not null", text},
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

// generator makes the rows of the wide table from the first, the same each time.
type generator struct {
	random *rand.Rand
	id     int64
	// values are those of the last row by column, as canonical text; null says
	// which are none.
	values [16]string
	null   [16]bool
}

func newGenerator() *generator { return &generator{random: rand.New(rand.NewPCG(seed, seed))} }

// next makes the next row.
func (g *generator) next() {
	g.id++
	r, i := g.random, g.id
	g.null = [16]bool{}
	cents := func(n int64) string { return fmt.Sprintf("%d.%02d", n/100, n%100) }
	chance := func(percent int) bool { return r.IntN(100) < percent }
	date := func(from, days int) string { return firstDay.AddDate(0, 0, from+r.IntN(days)).Format(time.DateOnly) }
	sum := md5.Sum(strconv.AppendInt(nil, i, 10))
	id := hex.EncodeToString(sum[:])

	g.values[0] = strconv.FormatInt(i, 10)
	g.values[1] = strconv.FormatInt(i/4+1, 10)
	g.values[2] = strconv.FormatInt(i%7+1, 10)
	g.values[3] = cents(100 * (1 + r.Int64N(50)))
	g.values[4] = cents(90_000 + r.Int64N(10_000_000))
	g.values[5], g.null[5] = cents(r.Int64N(11)), chance(10)
	g.values[6] = date(0, 2500)
	g.values[7], g.null[7] = date(14, 2500), chance(10)
	g.values[8] = newYear.Add(time.Duration(i) * 1_234_567 * time.Microsecond).Format("2006-01-02 15:04:05.000000")
	g.values[9] = flags[r.IntN(len(flags))]
	g.values[10] = modes[r.IntN(len(modes))]
	g.values[11] = instruct[r.IntN(len(instruct))]
	from, long := r.IntN(100), 10+r.IntN(60)
	g.values[12], g.null[12] = string(letters[from:min(from+long, len(letters))]), chance(5)
	g.values[13] = fmt.Sprintf(`{"k": %d, "src": "web-%d", "tag": %q}`, r.IntN(1000), i%100, tags[r.IntN(len(tags))])
	g.null[13] = chance(20)
	g.values[14], g.null[14] = strconv.FormatBool(chance(50)), chance(10)
	g.values[15] = id[:8] + "-" + id[8:12] + "-" + id[12:16] + "-" + id[16:20] + "-" + id[20:]
}

// sums is what is compared: how many rows, the sum of their ids, and for each
// other column the sum of the first 32 bits of md5(id|value) where there is one.
type sums struct {
	Rows, IDs int64
	Columns   [16]uint64
}

// add counts a value of a column; buffer is scratch.
func (s *sums) add(column int, id, value []byte, buffer []byte) {
	buffer = append(append(append(buffer[:0], id...), '|'), value...)
	sum := md5.Sum(buffer)
	s.Columns[column] += uint64(sum[0])<<24 | uint64(sum[1])<<16 | uint64(sum[2])<<8 | uint64(sum[3])
}

// addRow counts the generator's last row.
func (s *sums) addRow(g *generator, buffer []byte) {
	s.Rows++
	s.IDs += g.id
	for i := 1; i < len(wide); i++ {
		if g.null[i] {
			continue
		}
		value := g.values[i]
		if wide[i].kind == text {
			for len(value) > 0 && value[len(value)-1] == ' ' {
				value = value[:len(value)-1]
			}
		}
		s.add(i, []byte(g.values[0]), []byte(value), buffer)
	}
}

// compare names the columns that differ.
func (s sums) compare(want sums) error {
	if s.Rows != want.Rows || s.IDs != want.IDs {
		return fmt.Errorf("%d rows landed with ids of the sum %d; the source has %d and %d", s.Rows, s.IDs, want.Rows, want.IDs)
	}
	for i, c := range wide {
		if s.Columns[i] != want.Columns[i] {
			return fmt.Errorf("column %s landed with other values than the source has", c.name)
		}
	}
	return nil
}
