// Package places finds where an answer of an API keeps its records, and brings
// records that are no list of objects into that form. It asks nobody.
package places

import (
	"bytes"
	"slices"
	"strings"

	"headwater/connectors/driver"
	"headwater/connectors/httpapi/words"
	"headwater/connectors/records"
)

// deepestList is how many objects down the records are looked for.
const deepestList = 4

// Place is where an answer keeps its records.
type Place struct {
	Path   []string // to it, outermost key first; empty for the answer itself
	Shape  string   // list, map or single; rows for lists of values
	Header []string // of rows: the path to the columns' names
	Sure   bool     // also where it is empty: its name says that these are the records
	Beside bool     // it is empty and another list beside it is not
}

// List returns the place as an index takes it, nil where an index finds none.
func (p *Place) List() *records.List {
	if p.Shape != "list" {
		return nil
	}
	return &records.List{Path: p.Path}
}

var (
	// usual are the names that APIs give to the list of records.
	usual = words.Of(`data items results result records rows value values entries entry hits list content objects elements resources features documents docs nodes edges collection members`)
	// aside are the names of lists that stand beside the records.
	aside = words.Of(`links link errors warnings messages included facets notifications alerts debug aggregations expand sort`)
	// headings are the names of lists of column names.
	headings = words.Of(`columns fields headers header cols schema columnnames fieldnames columnheaders`)
)

// Found is a list in an answer.
type Found struct {
	Path  []string
	Raw   []byte
	full  bool // it holds objects
	rows  bool // it holds lists
	score int
}

// Locate finds the records of an answer: itself when it is a list, else the list
// whose name says it, nearest to the top. name is the table's. It returns an
// error that names records_path where the choice is open.
func Locate(document []byte, name string) (Place, error) {
	switch {
	case document[0] == '[':
		return Place{Shape: "list"}, nil
	case document[0] != '{':
		return Place{}, driver.E(driver.ErrBadData, nil, "the JSON is neither a list nor an object")
	}
	if string(bytes.Join(bytes.Fields(document), nil)) == "{}" {
		return Place{}, driver.E(driver.ErrBadData, nil, "the answer is an object without any field, {}: set connection_config.record_shape to \"map\" if records stand in it under their keys, or records_path to where they are")
	}
	if IsMap(document) {
		return Place{Shape: "map"}, nil
	}
	lists := listsIn(document, name)
	for depth := range deepestList {
		level := slices.DeleteFunc(slices.Clone(lists), func(f Found) bool { return len(f.Path) != depth+1 || f.score == 0 })
		if p, ok, err := pick(level, document); ok || err != nil {
			return p, err
		}
	}
	if p, ok, err := emptied(lists, document); ok || err != nil {
		return p, err
	}
	// Lists with the names of what usually stands beside records are the records
	// where there are no others.
	lists = slices.DeleteFunc(lists, func(f Found) bool { return f.score > 0 || isLinks(f.Raw) })
	for _, full := range []bool{true, false} {
		left := slices.DeleteFunc(slices.Clone(lists), func(f Found) bool { return f.full != full })
		if len(left) == 1 && words.Plain(left[0].Path[len(left[0].Path)-1]) != "errors" {
			return Place{Path: left[0].Path, Shape: "list", Sure: true}, nil
		}
	}
	return enveloped(document, name), nil
}

// enveloped finds records in an envelope that has no list: null in the place of one, or
// a map. What is no envelope is one record.
func enveloped(document []byte, name string) Place {
	var null, object []string
	for key, value := range records.Fields(document) {
		switch {
		case value[0] == '{' && !bookkeeping(key):
			object = append(object, string(key))
		case string(value) == "null" && score(string(key), name) > 1:
			null = append(null, string(key))
		}
	}
	switch {
	case !Bare(document):
	case len(null) == 1 && len(object) == 0:
		return Place{Path: null, Shape: "list", Sure: true}
	case len(null) > 0 || len(object) != 1:
	case IsMap(records.Field(document, object[0])):
		return Place{Path: object, Shape: "map"}
	default:
		if in := enveloped(records.Field(document, object[0]), name); in.Shape != "single" {
			in.Path = append(object, in.Path...)
			return in
		}
	}
	return Place{Shape: "single"}
}

// bookkeeping reports whether an object beside records tells of pages or of the request.
func bookkeeping(key []byte) bool {
	plain := words.Plain(string(key))
	return !usual[plain] && (words.Envelopes[plain] || words.Failing[plain] || words.Backwards[plain] || asides[plain])
}

// listsIn returns the lists of an answer that may be records.
func listsIn(document []byte, name string) (lists []Found) {
	type node struct {
		path []string
		raw  []byte
	}
	level := []node{{raw: document}}
	for range deepestList {
		var next []node
		for _, n := range level {
			for key, value := range records.Fields(n.raw) {
				path := append(slices.Clone(n.path), string(key))
				switch value[0] {
				case '{':
					next = append(next, node{path, value})
				case '[':
					f := Found{Path: path, Raw: value, score: score(string(key), name)}
					switch first := bytes.TrimLeft(value[1:], " \n\t\r"); first[0] {
					case '{':
						f.full = true
					case '[':
						f.rows = true
					case ']':
					default:
						continue // a list of values
					}
					lists = append(lists, f)
				}
			}
		}
		level = next
	}
	return lists
}

// score says how much a list's name speaks for the records.
func score(key, table string) int {
	plain, table := words.Plain(key), words.Plain(table)
	switch {
	case plain != "" && (plain == table || plain+"s" == table || plain == table+"s" || strings.HasSuffix(plain, table) && len(table) > 2):
		return 3
	case usual[plain]:
		return 2
	case aside[plain]:
		return 0
	}
	return 1
}

// pick chooses among the lists of one depth.
func pick(level []Found, document []byte) (p Place, ok bool, err error) {
	for _, f := range level {
		if f.rows {
			if header := headingOf(document, f); header != nil {
				return Place{Path: f.Path, Shape: "rows", Header: header}, true, nil
			}
		}
	}
	level = slices.DeleteFunc(slices.Clone(level), func(f Found) bool { return f.rows })
	best, full := 0, 0
	for _, f := range level {
		best = max(best, f.score)
		if f.full {
			full++
		}
	}
	top := slices.DeleteFunc(slices.Clone(level), func(f Found) bool { return f.score != best })
	switch {
	case len(level) == 0:
		return p, false, nil
	case len(top) == 1 && (best > 1 || len(level) == 1 && full == 1):
		return Place{Path: top[0].Path, Shape: "list", Sure: best > 1, Beside: full > 0 && !top[0].full}, true, nil
	case full == 0 && (len(level) > 1 || best == 1):
		return p, false, nil // there may be records further down
	}
	var names []string
	for _, f := range level {
		names = append(names, strings.Join(f.Path, "."))
	}
	return p, false, driver.E(driver.ErrInvalidConfig, nil, "the answer holds several lists (%s): set connection_config.records_path to the one that holds the records", strings.Join(names[:min(len(names), 8)], ", "))
}

// emptied chooses among empty lists, where there are no others: an envelope that
// holds one has no records today. What has fields of its own is one record that
// has none of something.
func emptied(lists []Found, document []byte) (p Place, ok bool, err error) {
	best := 0
	for _, f := range lists {
		if !f.full && !f.rows && len(f.Path) <= 2 {
			best = max(best, f.score)
		}
	}
	top := slices.DeleteFunc(slices.Clone(lists), func(f Found) bool { return f.full || f.rows || f.score != best || len(f.Path) > 2 })
	switch {
	case best == 0 || best == 1 && !Bare(document):
		return p, false, nil
	case len(top) == 1:
		return Place{Path: top[0].Path, Shape: "list", Sure: best > 1}, true, nil
	}
	var names []string
	for _, f := range top {
		names = append(names, strings.Join(f.Path, "."))
	}
	return p, false, driver.E(driver.ErrInvalidConfig, nil, "the answer holds several lists (%s): set connection_config.records_path to the one that holds the records", strings.Join(names[:min(len(names), 8)], ", "))
}

// Bare reports whether an object is an envelope: it has no values but those that
// tell of pages, of how the request went, or of the API.
func Bare(object []byte) bool {
	for key, value := range records.Fields(object) {
		plain := words.Plain(string(key))
		_, next := words.Next(plain)
		if value[0] == '[' || value[0] == '{' || string(value) == "null" && usual[plain] || next || words.Failing[plain] || words.MoreNames[plain] || words.OverNames[plain] || words.TokenNames[plain] || words.PageNames[plain] || words.PagesNames[plain] ||
			words.SkipNames[plain] || words.TotalNames[plain] || words.CountNames[plain] || words.SizeNames[plain] || words.Backwards[plain] || asides[plain] {
			continue
		}
		return false
	}
	return true
}

// asides are other values of envelopes.
var asides = words.Of(`object kind type etag took time version apiversion url uri elapsed odatacontext query sort order generated batchcomplete cachets previousurl nexturl number batch`)

// headingOf returns the path to the list beside rows that names their columns.
func headingOf(document []byte, rows Found) []string {
	above := records.Field(document, rows.Path[:len(rows.Path)-1]...)
	width := 0
	for row := range records.Elements(rows.Raw) {
		for range records.Elements(row) {
			width++
		}
		break
	}
	for key, value := range records.Fields(above) {
		if headings[words.Plain(string(key))] && value[0] == '[' && len(columnNames(value)) == width {
			return append(slices.Clone(rows.Path[:len(rows.Path)-1]), string(key))
		}
	}
	return nil
}

// HeadingOfRows is headingOf for a list that the settings name, nil where that is
// no list of lists.
func HeadingOfRows(document []byte, list Found) []string {
	for element := range records.Elements(list.Raw) {
		if element[0] != '[' || len(list.Path) == 0 {
			return nil
		}
		return headingOf(document, list)
	}
	return nil
}

// columnNames reads a list of names, or of objects that have one, nil where it
// is neither or a name comes twice.
func columnNames(list []byte) []string {
	var names []string
	for element := range records.Elements(list) {
		raw := element
		if element[0] == '{' {
			raw = nil
			for _, key := range []string{"name", "fieldName", "field", "key", "id", "columnName", "label", "title"} {
				if raw = records.Field(element, key); len(raw) > 0 && raw[0] == '"' {
					break
				}
			}
		}
		if len(raw) == 0 || raw[0] != '"' || slices.Contains(names, string(records.Unquote(raw))) {
			return nil
		}
		names = append(names, string(records.Unquote(raw)))
	}
	return names
}

// isLinks reports whether a list holds links to pages.
func isLinks(list []byte) bool {
	for element := range records.Elements(list) {
		if element[0] != '{' {
			return false
		}
		return records.Field(element, "rel") != nil || records.Field(element, "relation") != nil
	}
	return false
}

// IsMap reports whether an object holds nothing but objects of one shape, two or
// more: records by their keys.
func IsMap(object []byte) bool {
	var first map[string]bool
	n := 0
	for key, value := range records.Fields(object) {
		if value[0] != '{' || words.Envelopes[words.Plain(string(key))] {
			return false
		}
		keys := map[string]bool{}
		same := 0
		for k, v := range records.Fields(value) {
			if v[0] == '[' && bytes.HasPrefix(bytes.TrimLeft(v[1:], " \n\t\r"), []byte("{")) {
				return false // lists of their own
			}
			keys[string(k)] = true
			if first[string(k)] {
				same++
			}
		}
		if n++; n == 1 {
			first = keys
		} else if same*2 < max(len(first), len(keys)) {
			return false
		}
	}
	return n > 1 && len(first) > 0
}

// FieldAt returns the raw value at a dotted path and the keys that lead to it.
// What is one key, dots and all, is found before what is several.
func FieldAt(object []byte, dotted string) (keys []string, raw []byte) {
	if dotted == "" {
		return nil, object
	}
	for at := len(dotted); at > 0; at = strings.LastIndexByte(dotted[:at], '.') {
		raw := records.Field(object, dotted[:at])
		if len(raw) == 0 {
			continue
		}
		if at == len(dotted) {
			return []string{dotted}, raw
		}
		if more, found := FieldAt(raw, dotted[at+1:]); found != nil {
			return append([]string{dotted[:at]}, more...), found
		}
	}
	return nil, nil
}
