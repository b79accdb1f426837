package session

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"headwater/connectors/driver"
)

// Quote writes a name as an identifier.
func Quote(name string) string {
	return `"` + replaceAll(name, '"') + `"`
}

// Literal writes text as a string constant. standard_conforming_strings is on in every
// session.
func Literal(text string) string {
	return `'` + replaceAll(text, '\'') + `'`
}

// replaceAll doubles a quote character, and drops NUL, which would end the statement.
func replaceAll(s string, q byte) string {
	out := make([]byte, 0, len(s)+2)
	for i := range len(s) {
		switch s[i] {
		case 0:
		case q:
			out = append(out, q, q)
		default:
			out = append(out, s[i])
		}
	}
	return string(out)
}

// Relation writes a table's name as SQL.
func Relation(t driver.Table) string {
	return fmt.Sprintf("%s.%s", Quote(t.Namespace), Quote(t.Name))
}

// OIDList writes oids as an array.
func OIDList(oids []int64) string {
	text := make([]string, len(oids))
	for i, oid := range oids {
		text[i] = strconv.FormatInt(oid, 10)
	}
	return "'{" + strings.Join(text, ",") + "}'::pg_catalog.oid[]"
}

// JSONList writes names as the text of a JSON list.
func JSONList(names []string) string {
	text, _ := json.Marshal(names) // strings always marshal
	return string(text)
}

// ListOf reads a JSON list of names, nil for NULL.
func ListOf(text []byte) (names []string) {
	_ = json.Unmarshal(text, &names)
	return names
}

// Number reads an integer of a row, 0 for NULL.
func Number(text []byte) int64 {
	n, _ := strconv.ParseInt(string(text), 10, 64)
	return n
}

// Truth reads a boolean of a row, false for NULL.
func Truth(text []byte) bool { return string(text) == "t" }
