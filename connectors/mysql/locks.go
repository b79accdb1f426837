package mysql

import "strings"

// bufferMost is how large a table may be that the server copies before it sends
// it: the copy takes some seconds, and room for temporary files.
const bufferMost = 512 << 20

// locks reports whether a read keeps writers out until its last row is sent:
// engines without versions of rows lock the table for each statement.
func (d described) locks() bool {
	switch strings.ToLower(d.engine) {
	case "myisam", "aria", "memory", "mrg_myisam", "csv":
		return d.Kind != "view"
	}
	return false
}

// unlocking returns the statement so that the server makes a copy of the result
// first and then lets go of the table: how fast we take the rows is no matter to
// those who write.
func (d described) unlocking(query string) string {
	rest, ok := strings.CutPrefix(query, "SELECT ")
	if !ok || !d.locks() || d.bytes > bufferMost {
		return query
	}
	return "SELECT SQL_BUFFER_RESULT " + rest
}
