package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"

	"github.com/alecthomas/kong"
)

// What the program ends with. Scripts go by these numbers: they do not change.
const (
	exitOther   = 1 // this machine or program: a file that cannot be written, a service that does not start
	exitUsage   = 2 // the command line is wrong; nothing was asked of anybody
	exitRefused = 3 // the service, or who was asked, said no; nothing was done
	exitPartial = 4 // some of it was done and some was not
	exitFailed  = 5 // it was tried, and none of it could be done
	exitUnknown = 6 // the service cannot be reached, or was left before the end: it may go on
)

// exitCodes is what the help says of them.
const exitCodes = `Ends with
  0  done, also where there was nothing to show or do
  1  this machine or program failed
  2  the command line is wrong; nothing was asked of anybody
  3  refused: the service, or who was asked, said no; nothing was done
  4  partial: some of it was done and some was not
  5  failed: it was tried, and none of it could be done; or a table is different
     from its source
  6  unknown: the service cannot be reached, or was left before the end; it may go on`

// exitError is an error that decides what the program ends with.
type exitError struct {
	error
	code int
}

func (e *exitError) Unwrap() error { return e.error }

// withCode returns err, which may be nil, as one that ends the program with code.
func withCode(code int, err error) error {
	if err == nil {
		return nil
	}
	return &exitError{err, code}
}

// usage is the error of a command line that is wrong.
func usage(format string, args ...any) error {
	return &exitError{fmt.Errorf(format, args...), exitUsage}
}

// exitCode returns what the program ends with after err, 0 for nil.
func exitCode(err error) int {
	var told *exitError
	var mistake *kong.ParseError
	var refused *APIError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &told):
		return told.code
	case errors.As(err, &mistake):
		return exitUsage
	case errors.As(err, &refused):
		return refused.exit()
	case errors.Is(err, context.Canceled):
		return exitUnknown
	}
	return exitOther
}

// exit tells an answer that says no before anything was done from one that says
// how a try ended.
func (e *APIError) exit() int {
	switch {
	case e.HTTP >= 500:
		return exitUnknown
	case e.HTTP == http.StatusUnprocessableEntity && !declined(e.Code):
		return exitFailed
	}
	return exitRefused
}

// declined reports whether a reason is one for which nothing is tried.
func declined(reason string) bool {
	return slices.Contains([]string{"invalid_config", "unsupported", "conflict", "already_syncing", "source_removed", "purged", "idempotency_mismatch"}, reason)
}

// exitOf returns what an operation that was not carried out ends the program
// with.
func exitOf(op operationDoc) int {
	if op.Status == "partial" {
		return exitPartial
	}
	if len(op.Targets) > 0 && !slices.ContainsFunc(op.Targets, func(t targetDoc) bool { return !declined(t.Reason) }) {
		return exitRefused
	}
	return exitFailed
}

// partly returns what a request of which some targets failed ends the program
// with, of the others done were carried out.
func partly(done int) int {
	if done > 0 {
		return exitPartial
	}
	return exitFailed
}
