package capture

import (
	"regexp"
	"slices"
	"strings"

	"headwater/connectors/driver"
)

// bySession returns the refusal of a table with a virtual column whose values may go by the
// session that asks, nil if it has none. The server computes such a value for whoever asks:
// the log has it as the writer's session did, a whole read as ours does. expressions are
// those of the virtual columns, by their names, as the catalog has them.
func (t *captured) bySession(expressions map[string]string, mariaDB bool) error {
	if len(expressions) == 0 {
		return nil
	}
	var moments, varying []string // quoted names in lower case
	for _, c := range t.columns {
		if c.data == "timestamp" && expressions[c.name] == "" {
			moments = append(moments, quoted(c.name))
		}
	}
	for range expressions { // one may be made of another
		for _, c := range t.columns {
			name, expression := quoted(c.name), strings.ToLower(expressions[c.name])
			switch {
			case expression == "" || slices.Contains(moments, name) || slices.Contains(varying, name):
			case c.data == "timestamp" && slices.Contains(moments, expression):
				moments = append(moments, name)
			case c.data == "timestamp" || goesByZone(expression, moments, varying) || mariaDB && goesByReader(expression):
				varying = append(varying, name)
			}
		}
	}
	for _, c := range t.table.Columns {
		if slices.Contains(varying, quoted(c.Name)) {
			return driver.E(driver.ErrUnsupported, nil, "table %s has the virtual column %s, whose values go by the session that writes or reads them (its time zone, the time, its user): make it STORED or of a datetime, exclude it, or %s", t.table, c.Name, elsewhere(t.table))
		}
	}
	return nil
}

// quoted is a column's name as expressions in the catalog have it, in lower case.
func quoted(name string) string {
	return "`" + strings.ReplaceAll(strings.ToLower(name), "`", "``") + "`"
}

// goesByZone reports whether an expression has another value in another time zone: it uses
// a moment for more than whether there is one, or its seconds, or what varies itself.
func goesByZone(expression string, moments, varying []string) bool {
	for _, name := range moments {
		expression = strings.NewReplacer(name+" is null", "", name+" is not null", "", "unix_timestamp("+name+")", "").Replace(expression)
	}
	return slices.ContainsFunc(slices.Concat(moments, varying, []string{"unix_timestamp(", "from_unixtime("}), func(part string) bool { return strings.Contains(expression, part) })
}

// goesByReader reports whether an expression has another value at another time, or for
// another session. MySQL refuses such columns, MariaDB those that are stored.
func goesByReader(expression string) bool {
	return byReader.MatchString(literals.ReplaceAllString(expression, "''"))
}

var (
	literals = regexp.MustCompile("'(?:[^'\\\\]|\\\\.)*'|`[^`]*`") // and quoted names
	byReader = regexp.MustCompile(`@|\b(?:current_timestamp|curdate|curtime|sysdate|utc_date|utc_time|utc_timestamp|rand|uuid|uuid_short|sys_guid|user|current_user|current_role|connection_id|database|version|encrypt)\(`)
)
