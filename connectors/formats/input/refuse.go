package input

import (
	"bytes"
	"regexp"
	"strings"

	"headwater/connectors/driver"
	"headwater/connectors/records"
)

// signatures are how files begin that are no text, and what to do with them.
var signatures = []struct{ magic, what, help string }{
	{"PK\x03\x04", "a ZIP archive or an Excel workbook", "save it as CSV, or take out what is in it"},
	{"\xd0\xcf\x11\xe0", "an Excel workbook or another Office document", "save it as CSV"},
	{"SQLite format 3\x00", "a SQLite database", "connect it with type sqlite"},
	{"%PDF-", "a PDF document", "export its data as CSV"},
	{"Obj\x01", "an Avro file", "save it as Parquet or NDJSON"},
	{"ORC", "an ORC file", "save it as Parquet"},
	{"ARROW1\x00", "an Arrow file", "save it as Parquet"},
	{"\x1f\x8b", "compressed twice", "decompress it once"},
	{"\x28\xb5\x2f\xfd", "compressed twice", "decompress it once"},
	{"PAR1", "a Parquet file", "leave connection_config.format out"},
}

// notText returns an ErrUnsupported that says what a file is that is no text,
// nil where its first bytes do not tell.
func (in *Input) notText(head []byte) error {
	for _, s := range signatures {
		if bytes.HasPrefix(head, []byte(s.magic)) && (s.what != "an ORC file" || bytes.IndexByte(head[:min(len(head), 64)], 0) >= 0) {
			return driver.E(driver.ErrUnsupported, nil, "%s is %s; %s", in.Name, s.what, s.help)
		}
	}
	if len(head) > 262 && string(head[257:262]) == "ustar" {
		return driver.E(driver.ErrUnsupported, nil, "%s is a tar archive; take out what is in it", in.Name)
	}
	return nil
}

// pair is a line of YAML as configurations have them.
var pair = regexp.MustCompile(`^[A-Za-z_][\w.-]*:(\s|$)`)

// notData returns an ErrBadData that says what a text is that holds no rows, nil
// where it may.
func (in *Input) notData(head []byte) error {
	text := bytes.TrimLeft(head, " \t\r\n\ufeff")
	lower := strings.ToLower(string(text[:min(len(text), 256)]))
	starts := func(what string) bool { return strings.HasPrefix(lower, what) }
	refused := func(what, help string) error {
		return driver.E(driver.ErrBadData, nil, "%s is %s; %s", in.Name, what, help)
	}
	switch {
	case starts("<!doctype html"), starts("<html"), starts("<head"), starts("<body"), starts("<!--") && strings.Contains(strings.ToLower(string(text)), "<html"):
		return refused("an HTML page and no data", "it may be a page to sign in or an error; get the file itself")
	case starts("<?xml"), starts("<!doctype"), starts("<") && bytes.Contains(text, []byte("</")) && in.Format != "csv" && in.Format != "tsv":
		return refused("XML, which is not supported", "save it as CSV, JSON or Parquet")
	case starts("version https://git-lfs") && strings.Contains(lower, "\noid sha256:"):
		return refused("a Git LFS pointer and not the file that it stands for", "get that by git lfs pull")
	case starts("<<<<<<< ") && bytes.Contains(text, []byte("\n=======")):
		return refused("a file with the marks of a merge conflict", "resolve it")
	}
	if in.Format != "csv" && in.Format != "tsv" || in.Settings.Format != "" {
		return nil
	}
	switch {
	case yaml(text):
		return refused("YAML, which is not supported", "save it as JSON, or set connection_config.format to csv if its lines are rows")
	case jsonText(text):
		return refused("JSON by its content, not "+strings.ToUpper(in.Format), "set connection_config.format to json or ndjson, or to "+in.Format+" if its lines are rows")
	}
	return nil
}

// yaml reports whether a text is a YAML document: a mark of one, and then, or
// from the beginning, lines of keys and values, of which one at least is below
// another.
func yaml(text []byte) bool {
	lines := strings.Split(strings.TrimRight(string(text[:min(len(text), 64<<10)]), "\r\n"), "\n")
	marked := strings.HasPrefix(lines[0], "%YAML") || strings.TrimRight(lines[0], " \r") == "---"
	if marked {
		lines = lines[1:]
	}
	pairs, items, deeper := 0, 0, 0
	for _, line := range lines {
		line = strings.TrimRight(line, " \r")
		switch {
		case line == "", line[0] == '#', line == "---", line == "...":
		case pair.MatchString(line):
			pairs++
		case strings.HasPrefix(line, "- "), line == "-":
			items++
		case line[0] == ' ':
			deeper++
		default:
			return false
		}
	}
	return pairs+items > 0 && (marked || pairs > 0 && pairs+items+deeper > 1)
}

// jsonText reports whether a text begins with a JSON object, or a list of them.
func jsonText(text []byte) bool {
	line, _, _ := bytes.Cut(text, []byte("\n"))
	line = bytes.TrimSpace(line)
	if len(line) > 1 && line[0] == '{' && records.Valid(line) {
		return true
	}
	if len(text) < 2 || text[0] != '{' && text[0] != '[' {
		return false
	}
	if rest := bytes.TrimLeft(text[1:], " \t\r\n"); text[0] == '[' {
		return len(rest) > 0 && rest[0] == '{'
	} else if len(rest) > 0 && rest[0] == '"' {
		_, after, found := bytes.Cut(rest[1:], []byte{'"'})
		return found && bytes.HasPrefix(bytes.TrimLeft(after, " \t\r\n"), []byte(":"))
	}
	return false
}
