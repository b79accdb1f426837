// Package exit defines the program's exit codes and the errors that select them.
package exit

import (
	"context"
	"errors"
	"fmt"

	"github.com/alecthomas/kong"
)

// Exit codes. Scripts rely on these numbers, so they do not change.
const (
	Other   = 1 // this machine or program: a file that cannot be written, a service that does not start
	Usage   = 2 // the command line is wrong; nothing was sent
	Refused = 3 // the service, or the person who was asked, said no; nothing was done
	Partial = 4 // some of it was done and some was not
	Failed  = 5 // it was tried, and nothing could be done
	Unknown = 6 // the service cannot be reached, or the command ended early: the work may go on
)

// Codes describes the exit codes for the help.
const Codes = `Ends with
  0  done, also where there was nothing to show or do
  1  this machine or program failed
  2  the command line is wrong; nothing was sent to the service
  3  refused by the service or by the user; nothing was done
  4  partial: some of it was done, some was not
  5  failed: it was tried, and nothing could be done; or a table differs from
     its source
  6  unknown: the service cannot be reached, or the wait was ended; the work may go on`

// Error is an error with an exit code.
type Error struct {
	error
	Code int
}

// Unwrap returns the error that was passed to With.
func (e *Error) Unwrap() error { return e.error }

// With returns err with an exit code, or nil if err is nil.
func With(code int, err error) error {
	if err == nil {
		return nil
	}
	return &Error{err, code}
}

// Usagef returns the error for a wrong command line.
func Usagef(format string, args ...any) error {
	return &Error{fmt.Errorf(format, args...), Usage}
}

// Code returns the exit code for err, 0 for nil. An error has a code from With,
// or from a method ExitCode() int.
func Code(err error) int {
	var told *Error
	var mistake *kong.ParseError
	var coded interface{ ExitCode() int }
	switch {
	case err == nil:
		return 0
	case errors.As(err, &told):
		return told.Code
	case errors.As(err, &mistake):
		return Usage
	case errors.As(err, &coded):
		return coded.ExitCode()
	case errors.Is(err, context.Canceled):
		return Unknown
	}
	return Other
}
