package driver

import "fmt"

// UnreadTables is an error of Discover that leaves the tables beside it whole:
// these others are there, but what they hold could not be told. It has the kind
// of the first. Whoever needs every table treats it as any other error.
type UnreadTables struct {
	Tables []UnreadTable // at least one
}

// UnreadTable is one table of which Discover could tell nothing but the name.
type UnreadTable struct {
	Namespace, Name string
	Err             error // an *Error
}

// Error says why the first could not be read, and how many more.
func (e *UnreadTables) Error() string {
	first := e.Tables[0].Err.Error()
	if more := len(e.Tables) - 1; more > 0 {
		return fmt.Sprintf("%s (and %d more cannot be read)", first, more)
	}
	return first
}

// Unwrap returns why the first could not be read.
func (e *UnreadTables) Unwrap() error { return e.Tables[0].Err }
