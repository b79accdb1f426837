package json

import (
	"fmt"
	"slices"
	"strings"

	"headwater/connectors/driver"
	"headwater/connectors/formats/input"
	"headwater/connectors/records"
)

// A JSON file of one object is one record, unless the object is an envelope:
// nothing but a list of records and what goes with lists. To read a record as an
// envelope loses its other fields; to read an envelope as a record loses nothing.

// deepest is how many objects down a list of records is looked for.
const deepest = 4

// containers are the names that lists of records have.
var containers = []string{"data", "items", "results", "result", "records", "rows", "value", "values", "entries", "hits", "list", "content", "objects", "elements", "resources", "features", "docs", "documents"}

// besides are the names of lists that stand beside records.
var besides = []string{"links", "link", "_links", "errors", "warnings", "messages", "included", "facets"}

// tells are the names of fields that belong to a list and to no record; with
// hints among other fields of an envelope.
var (
	tells = []string{
		"count", "total", "totalcount", "totalresults", "totalrecords", "totalpages", "numfound", "page", "pages", "pagecount", "pagesize", "perpage", "limit", "offset", "start", "skip", "next", "nextpage", "nextlink", "nexturl",
		"nextcursor", "nexttoken", "nextpagetoken", "prev", "previous", "cursor", "hasmore", "hasnext", "more", "paging", "pagination", "pageinfo", "resultcount", "recordcount", "rowcount", "@odata.context", "@odata.nextlink", "@odata.count",
	}
	hints = []string{"meta", "metadata", "info", "links", "_links", "self", "first", "last", "error", "message", "code", "version", "apiversion", "schema", "$schema", "generated", "generatedat", "exportedat", "exported", "timestamp", "requestid", "took", "elapsed", "etag", "crs", "bbox"}
)

// located is where the records of an object are.
type located struct {
	path   []string // to the list; nil for the object itself
	single bool
	lists  []string // of objects, that the record holds
}

// locate decides what an object is, whose table has a name and, if known is not
// nil, had these columns before. It returns an ErrBadData where the choice is
// open.
func locate(object []byte, name string, known *input.Known) (located, error) {
	found := find(object, name, nil, deepest)
	if known != nil && len(found.lists) > 0 && found.open == "" {
		// What was decided stays: the columns are fields of the one or the other.
		paths := append([][]string{nil}, found.paths...)
		best, most := -1, 0
		for i, path := range paths {
			if n := shared(object, path, known.Names); n > most {
				best, most = i, n
			}
		}
		if best >= 0 {
			return located{path: paths[best], single: best == 0, lists: found.lists}, nil
		}
	}
	switch {
	case found.open != "":
		return located{}, driver.E(driver.ErrBadData, nil, "the JSON holds several lists (%s): name one in connection_config.records_path", found.open)
	case found.path != nil:
		return located{path: found.path, lists: found.lists}, nil
	}
	return located{single: true, lists: found.lists}, nil
}

// unlike refuses a file that is one object and not like the records that the table had:
// an error or a notice in place of the data would replace them all.
func unlike(in *input.Input, object []byte) error {
	if in.Known == nil || in.Settings.Format == "ndjson" || in.Settings.RecordsPath != "" || object[0] != '{' {
		return nil
	}
	before := slices.DeleteFunc(slices.Clone(in.Known.Names), func(name string) bool { return name == records.Extra })
	at, err := locate(object, in.Table, in.Known)
	if len(before) == 0 || err != nil || !at.single {
		return nil // told of elsewhere
	}
	var fields []string
	for key := range records.Fields(object) {
		fields = append(fields, string(key))
	}
	if records.Resembles(before, fields, in.Known.Some) {
		return nil
	}
	return driver.E(driver.ErrBadData, nil, "%s is one object with the fields %s, where there were records with the columns %s; it may be an error in place of the data. If it is a record, set connection_config.format to \"ndjson\"",
		in.Name, records.FirstFew(fields), records.FirstFew(before))
}

// places are the lists of objects in an object.
type places struct {
	path  []string   // of the records, nil where the object is one itself
	paths [][]string // of all lists
	lists []string   // the same, dotted
	open  string     // lists of which nobody can say which it is
}

// find looks for the list of records in an object.
func find(object []byte, name string, above []string, depth int) places {
	var found places
	var full, empty, objects []string
	raw := map[string][]byte{}
	told, others := false, 0
	for k, value := range records.Fields(object) {
		key := string(k)
		switch kind := listKind(value); {
		case kind == '{' && !slices.Contains(besides, key):
			full = append(full, key)
			found.paths = append(found.paths, append(slices.Clone(above), key))
			found.lists = append(found.lists, strings.Join(append(slices.Clone(above), key), "."))
		case kind == ']' && !slices.Contains(besides, key):
			empty = append(empty, key)
		case kind != 0 && slices.Contains(besides, key):
		case value[0] == '{' && !goesWithLists(key, value):
			objects = append(objects, key)
			raw[key] = value
		case goesWithLists(key, value):
			told = told || slices.Contains(tells, plain(key))
		default:
			others++
		}
	}
	fits := func(key string) bool { return key == name || slices.Contains(containers, key) || told }
	alone := others == 0 && !told
	switch {
	case len(full) > 0 && others == 0 && len(objects) == 0:
		key, ok := one(full, name)
		if !ok && len(empty) == 0 {
			found.open = strings.Join(found.lists[:min(len(found.lists), 8)], ", ")
		} else if ok && len(empty) == 0 && (fits(key) || alone) || ok && key == name || ok && slices.Contains(containers, key) {
			found.path = append(slices.Clone(above), key)
		}
	case len(full) > 0:
	case len(objects) == 1 && len(empty) == 0 && others == 0 && depth > 1:
		inner := find(raw[objects[0]], name, append(slices.Clone(above), objects[0]), depth-1)
		return inner
	case len(objects) == 0 && others == 0 && len(empty) > 0:
		if key, ok := one(empty, name); ok && (len(empty) == 1 && alone || fits(key)) {
			found.path = append(slices.Clone(above), key)
		}
	}
	return found
}

// one returns the one name, or that which is the table's or usual for records.
func one(names []string, table string) (string, bool) {
	if len(names) == 1 || slices.Contains(names, table) {
		if slices.Contains(names, table) {
			return table, true
		}
		return names[0], true
	}
	var usual []string
	for _, name := range names {
		if slices.Contains(containers, name) {
			usual = append(usual, name)
		}
	}
	if len(usual) == 1 {
		return usual[0], true
	}
	return "", false
}

// listKind returns what a list begins with, "{" for objects and "]" for none,
// and 0 for what is no list.
func listKind(value []byte) byte {
	if value[0] != '[' {
		return 0
	}
	for element := range records.Elements(value) {
		return element[0]
	}
	return ']'
}

// plain returns a name without case and what joins words.
func plain(key string) string {
	return strings.NewReplacer("_", "", "-", "", " ", "").Replace(strings.ToLower(key))
}

// goesWithLists reports whether a field belongs to a list rather than to a
// record.
func goesWithLists(key string, value []byte) bool {
	name, text := plain(key), strings.ToLower(string(records.Unquote(value)))
	switch name {
	case "status", "ok", "success", "result":
		return slices.Contains([]string{"ok", "success", "true", "200", "done", "complete", "completed"}, text)
	case "type", "object", "kind":
		return strings.Contains(text, "list") || strings.Contains(text, "collection") || strings.Contains(text, "page")
	}
	return slices.Contains(tells, name) || slices.Contains(hints, key) || slices.Contains(hints, name)
}

// shared counts the names that are fields of an object, or of the first record
// of a list in it.
func shared(object []byte, path []string, names []string) int {
	if path != nil {
		list := records.Field(object, path...)
		object = nil
		for element := range records.Elements(list) {
			object = element
			break
		}
	}
	n := 0
	for key := range records.Fields(object) {
		if slices.Contains(names, string(key)) {
			n++
		}
	}
	return n
}

// note says for people what the file was taken for, where it may be something
// else.
func (l located) note(file string) string {
	switch {
	case l.path != nil:
		return fmt.Sprintf("The records of %s are those of its list %q. Set connection_config.records_path to name another.", file, strings.Join(l.path, "."))
	case len(l.lists) > 0:
		return fmt.Sprintf("%s was taken for one record, which holds the list %q. Set connection_config.records_path to %q if the records are in it.", file, l.lists[0], l.lists[0])
	}
	return ""
}
