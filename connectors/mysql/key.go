package mysql

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"headwater/connectors/driver"
	"headwater/connectors/mysql/session"
	"headwater/connectors/mysql/typemap"
)

// key is the primary key that a table is divided by. InnoDB keeps the rows in its order.
type key struct {
	columns []keyColumn
	// sign stands for the table, the columns of the key and their order. A token with
	// another sign is of another table or key.
	sign string
	at   string // the moment of the snapshot that the ranges are read in
}

type keyColumn struct {
	name  string
	quote string // as an identifier
	form  form
	// of text: the character set of its bytes and the collation of the index
	charset, collation string
}

// form is how a value of a key is written in tokens and statements.
type form uint8

const (
	formNumber form = iota // decimal digits
	formInteger
	formText  // hexadecimal, of the bytes in the column's character set
	formBytes // hexadecimal
	formMoment
	formUUID
)

// longBound is the most bytes of a bound as text: tokens are stored.
const longBound = 180

// newKey returns the key that a table is divided by, or an ErrUnsupported that says why
// the table cannot be divided.
func newKey(d tableInfo, server string) (*key, error) {
	no := func(why string) (*key, error) {
		return nil, driver.E(driver.ErrUnsupported, nil, "table %s cannot be read in ranges: %s", d.Table, why)
	}
	switch {
	case d.Kind == "view":
		return no("it is a view")
	case !strings.EqualFold(d.engine, "InnoDB"):
		return no("only InnoDB keeps rows in the order of their key")
	case !d.clustered:
		return no("it has no primary key that this account may read")
	case d.prefixed:
		return no("its primary key holds only the beginning of a column")
	}
	columns, err := keyColumns(d)
	if err != nil {
		return no(err.Error())
	}
	k := &key{columns: columns}
	sign := []any{server, d.Namespace, d.Name, d.created}
	for _, c := range columns {
		of, _ := d.Column(c.name)
		sign = append(sign, c.name, of.SourceType, c.charset, c.collation)
	}
	text, err := json.Marshal(sign)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(text)
	k.sign = hex.EncodeToString(sum[:8])
	return k, nil
}

var errNoKey = errors.New("it has no key")

// keyColumns returns the columns of the table's key, or an error that says why the key
// cannot name a row.
func keyColumns(d tableInfo) (columns []keyColumn, err error) {
	for _, name := range d.PrimaryKey {
		at := slices.IndexFunc(d.Columns, func(c driver.Column) bool { return c.Name == name })
		c, m := d.Columns[at], d.columns[at]
		f, ok := formOf(c, m)
		if !ok {
			return nil, fmt.Errorf("values of the key column %s (%s) cannot be written exactly", c.Name, c.SourceType)
		}
		columns = append(columns, keyColumn{name: name, quote: session.Quote(name), form: f, charset: m.Charset, collation: m.Collation})
	}
	if len(columns) == 0 {
		return nil, errNoKey
	}
	return columns, nil
}

// formOf says how values of a column are written. It returns false for types whose text
// is not the exact value, or does not compare as the index does.
func formOf(c driver.Column, m typemap.Mapped) (form, bool) {
	source, _, _ := strings.Cut(strings.ToLower(c.SourceType), "(")
	source, _, _ = strings.Cut(source, " ")
	switch source {
	case "tinyint", "smallint", "mediumint", "int", "integer", "bigint":
		return formInteger, true
	case "year": // one of two digits compares without its century
		return formInteger, m.Expr == ""
	case "decimal", "numeric":
		return formNumber, true
	case "char", "varchar":
		return formText, typemap.IsWord(m.Charset) && typemap.IsWord(m.Collation)
	case "binary", "varbinary":
		return formBytes, true
	case "date", "datetime", "timestamp":
		return formMoment, true
	case "uuid":
		return formUUID, true
	}
	return 0, false
}

// bound is a place between rows: just before the first row whose key is not less than
// these values. nil is the place before all rows or behind all rows.
type bound []string

// interval is a part of a table: the rows from lo to before hi.
type interval struct{ lo, hi bound }

// token is an interval, and the moment it was read at, as it is stored.
type token struct {
	Key string `json:"key"`
	At  string `json:"at,omitempty"`
	Lo  bound  `json:"lo,omitempty"`
	Hi  bound  `json:"hi,omitempty"`
}

func (k *key) token(v interval) string {
	text, _ := json.Marshal(token{k.sign, k.at, v.lo, v.hi}) // strings always marshal
	return string(text)
}

// momentOf returns when the rows of a range were read, or false if the token does not
// say.
func momentOf(text string) (session.Moment, bool) {
	var t token
	if json.Unmarshal([]byte(text), &t) != nil {
		return session.Moment{}, false
	}
	return session.ParseMoment(t.At)
}

// parse reads a token. It returns false for a token of another table or key.
func (k *key) parse(text string) (interval, bool) {
	var t token
	if err := json.Unmarshal([]byte(text), &t); err != nil || t.Key != k.sign {
		return interval{}, false
	}
	for _, b := range []bound{t.Lo, t.Hi} {
		if len(b) > len(k.columns) || b != nil && len(b) == 0 {
			return interval{}, false
		}
		for i, value := range b {
			if _, ok := k.columns[i].constant(value); !ok {
				return interval{}, false
			}
		}
	}
	return interval{t.Lo, t.Hi}, true
}

// value turns what the server sent for a key column into the text of a bound.
func (c keyColumn) value(raw string) string {
	if c.form == formText || c.form == formBytes {
		return hex.EncodeToString([]byte(raw))
	}
	return raw
}

// constant writes a value as SQL that compares as the index is ordered. It returns false
// for text that is not a value of the column.
func (c keyColumn) constant(value string) (string, bool) {
	switch c.form {
	case formNumber, formInteger:
		_, _, fraction, ok := typemap.SplitDecimal([]byte(value))
		return value, ok && (c.form == formNumber || len(fraction) == 0)
	case formMoment:
		return session.Literal(value), value != "" && strings.Trim(value, "0123456789-: .") == ""
	case formUUID:
		_, err := typemap.ParseUUID([]byte(value))
		return "CAST(" + session.Literal(value) + " AS UUID)", err == nil
	}
	if _, err := hex.DecodeString(value); err != nil {
		return "", false
	}
	if c.form == formBytes {
		return "x'" + value + "'", true
	}
	return fmt.Sprintf("_%s x'%s' COLLATE %s", c.charset, value, c.collation), true
}

// where returns the condition for the rows of an interval, "" for all rows. It compares
// column by column: servers use no index for comparisons of whole rows.
func (k *key) where(v interval) string {
	var parts []string
	if v.lo != nil {
		parts = append(parts, k.side(v.lo, ">", ">="))
	}
	if v.hi != nil {
		parts = append(parts, k.side(v.hi, "<", "<"))
	}
	return strings.Join(parts, " AND ")
}

// side compares the key with a bound: with last in the last of its columns, and
// with strict in those before.
func (k *key) side(b bound, strict, last string) string {
	condition := ""
	for i := len(b) - 1; i >= 0; i-- {
		value, _ := k.columns[i].constant(b[i]) // was checked when the bound was made
		if i == len(b)-1 {
			condition = fmt.Sprintf("%s %s %s", k.columns[i].quote, last, value)
			continue
		}
		condition = fmt.Sprintf("(%[1]s %[2]s %[3]s OR (%[1]s = %[3]s AND %[4]s))", k.columns[i].quote, strict, value, condition)
	}
	return condition
}

// list returns the columns of the key as SQL.
func (k *key) list() string {
	names := make([]string, len(k.columns))
	for i, c := range k.columns {
		names[i] = c.quote
	}
	return strings.Join(names, ", ")
}
