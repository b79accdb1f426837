package json

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"headwater/connectors/driver"
	"headwater/connectors/records"
)

// A file may be one answer of an API that was saved: a page of records, and what
// leads to the next. The file is whole, what it holds is not.

// The names of fields beside a list that lead to the page after it, that say
// whether there is one, and that count the records of all pages; plain.
var (
	leads  = []string{"next", "nextpage", "nextlink", "nexturl", "nexturi", "nexthref", "nextpageurl", "nextpagelink", "nextcursor", "nexttoken", "nextpagetoken", "nextoffset", "nextmarker", "nextrecordsurl", "@odata.nextlink", "odata.nextlink", "endcursor", "continuationtoken", "lastevaluatedkey"}
	mores  = []string{"hasmore", "hasnext", "hasnextpage", "more", "moreitems", "moreresults"}
	totals = []string{"total", "totalcount", "totalresults", "totalrecords", "totalelements", "totalitems", "totalsize", "totalhits", "numfound", "@odata.count"}
)

// savedPage says for people that a document holds a page of a list and not all of
// it, "" where nothing in it says so. path leads to the list.
func savedPage(file string, document []byte, path []string) string {
	var sign string
	var total int64
	over := false
	var look func(object []byte, on []string, above string, depth int)
	look = func(object []byte, on []string, above string, depth int) {
		for k, value := range records.Fields(object) {
			key, name := string(k), plain(string(k))
			field := above + key
			text := string(records.Unquote(value))
			inside := len(on) > 0 && on[0] == key
			switch {
			case slices.Contains(leads, name) && leadsOn(value, text):
				if name == "endcursor" && sign != "" {
					continue
				}
				sign = field
			case slices.Contains(mores, name) && text == "true":
				sign = field
			case slices.Contains(mores, name) && text == "false":
				over = true
			case slices.Contains(totals, name):
				if n, err := strconv.ParseInt(text, 10, 64); err == nil && n > total {
					total = n
				}
			case value[0] == '{' && depth < deepest && (inside || goesWithLists(key, value) || strings.HasSuffix(name, "links") || strings.HasSuffix(name, "metadata")):
				var rest []string
				if inside {
					rest = on[1:]
				}
				look(value, rest, field+".", depth+1)
			}
		}
	}
	look(document, path, "", 1)
	if over && sign != "" {
		sign = "" // a cursor that leads nowhere
	}
	switch {
	case sign != "":
		return fmt.Sprintf("%s may be one page of an answer: its field %s leads to more records, which are not in the file.", file, sign)
	case total > 0:
		held := int64(0)
		for range records.Elements(records.Field(document, path...)) {
			held++
		}
		if held < total {
			return fmt.Sprintf("%s may be one page of an answer: it counts %s in all, and holds %d.", file, driver.Count(total, "record"), held)
		}
	}
	return ""
}

// leadsOn reports whether the value of a field such as "next" is a page.
func leadsOn(value []byte, text string) bool {
	switch value[0] {
	case '{':
		for range records.Fields(value) {
			return true
		}
		return false
	case '[':
		for range records.Elements(value) {
			return true
		}
		return false
	}
	return text != "" && text != "null" && text != "false"
}
