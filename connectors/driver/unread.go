package driver

import "fmt"

// UnreadTables is an error of Discover beside which the returned tables are valid:
// these further tables exist, but cannot be described. It has the kind of the first
// one's error.
type UnreadTables struct {
	Tables []UnreadTable // at least one
}

// UnreadTable is a table of which Discover knows only the name.
type UnreadTable struct {
	Namespace, Name string
	Err             error // an *Error
}

// Error says why the first one cannot be read, and how many more cannot.
func (e *UnreadTables) Error() string {
	first := e.Tables[0].Err.Error()
	if more := len(e.Tables) - 1; more > 0 {
		return fmt.Sprintf("%s (and %d more cannot be read)", first, more)
	}
	return first
}

// Unwrap returns the error of the first one.
func (e *UnreadTables) Unwrap() error { return e.Tables[0].Err }
