// Package outcome says why a command was not carried out: a closed set of reasons,
// and a message for people. What an error of a library says goes no further.
package outcome

import (
	"context"
	"errors"
	"fmt"
	"syscall"

	"headwater/bus"
	"headwater/bus/event"
	"headwater/bus/seal"
	"headwater/connectors/driver"
	"headwater/handlers/landing"
	"headwater/handlers/landing/bucket"
)

// Failure is an outcome for people and programs: the command was carried out as
// far as it can be, and this is why there is no more.
type Failure struct {
	Reason  event.Reason // a closed set: programs decide by it
	Message string
}

func (f *Failure) Error() string { return f.Message }

// Failf returns a failure with a message for people.
func Failf(reason event.Reason, format string, args ...any) *Failure {
	return &Failure{reason, fmt.Sprintf(format, args...)}
}

// Causes of contexts that a limit of the house ends, and of commands that end
// because of one.
var (
	ErrOverdue      = errors.New("the command was not begun before its deadline")
	ErrDeadline     = errors.New("the command's deadline passed")
	ErrStopping     = errors.New("the worker stops")
	ErrIdle         = errors.New("the source went silent")
	ErrInspectLimit = errors.New("the inspection took too long")
)

// reasons maps what packages return to what crosses the bus. The first match
// counts, so what says more stands above what it is wrapped with.
var reasons = []struct {
	err    error
	reason event.Reason
	say    string // instead of the error's own text, which is not for people
}{
	{ErrOverdue, event.ReasonTimeout, "it was not begun within its time limit; try again"},
	{ErrDeadline, event.ReasonTimeout, "the time limit of the operation passed"},
	{ErrIdle, event.ReasonTimeout, "the source sent nothing for too long"},
	{ErrInspectLimit, event.ReasonTimeout, "the source took too long to be checked and its schema read"},
	{seal.ErrDestroyed, event.ReasonSecretDestroyed, "the secrets of the source are destroyed; connect it again"},
	{seal.ErrRefused, event.ReasonSecretDestroyed, "the secrets of the source cannot be unsealed; connect it again"},
	{landing.ErrSchemaChanged, event.ReasonSchemaChanged, ""},
	{landing.ErrBadTable, event.ReasonUnsupported, ""},
	{landing.ErrNoCursor, event.ReasonInvalidConfig, ""},
	{landing.ErrBadKey, event.ReasonInvalidConfig, ""},
	{landing.ErrFenced, event.ReasonConflict, "the table was dropped from the lake while it was written"},
	{landing.ErrUnknown, event.ReasonStorage, "the lake's catalog did not answer; the next sync goes on from what was committed"},
	{syscall.ENOSPC, event.ReasonStorage, "the lake's disk is full: free space there, then sync again"},
	{syscall.EDQUOT, event.ReasonStorage, "the lake's disk quota is used up: free space there, then sync again"},
	{landing.ErrStorage, event.ReasonStorage, "the lake could not be written: its disk or bucket refused"},
	{driver.ErrReplaced, event.ReasonSchemaChanged, ""},
	{driver.ErrInvalidConfig, event.ReasonInvalidConfig, ""},
	{driver.ErrUnreachable, event.ReasonUnreachable, ""},
	{driver.ErrAuthentication, event.ReasonAuthentication, ""},
	{driver.ErrPermission, event.ReasonPermission, ""},
	{driver.ErrNotFound, event.ReasonNotFound, ""},
	{driver.ErrBadData, event.ReasonBadData, ""},
	{driver.ErrRetyped, event.ReasonBadData, ""},
	{driver.ErrUnsupported, event.ReasonUnsupported, ""},
	{driver.ErrLimit, event.ReasonLimit, ""},
	{driver.ErrTimeout, event.ReasonTimeout, ""},
	{context.DeadlineExceeded, event.ReasonTimeout, "the time limit of the operation passed"},
	{context.Canceled, event.ReasonCancelled, "it was stopped"},
}

// Explain returns the reason of an error and a message for people. An error of
// no known kind may hold anything, so its text is left to the log.
func Explain(err error) (event.Reason, string) {
	var f *Failure
	if errors.As(err, &f) {
		return f.Reason, f.Message
	}
	var foreign *landing.ForeignLakeError
	if errors.As(err, &foreign) {
		return event.ReasonStorage, foreign.Error()
	}
	var unanswered *bus.UnansweredError
	if errors.As(err, &unanswered) {
		return event.ReasonInternal, fmt.Sprintf("the service was ended %d times while it was at it (killed, or out of memory), and it is tried no more often: request it again, "+
			"a sync goes on from what has landed; its log, or the system's, has what ended it", unanswered.Workers)
	}
	for _, r := range reasons {
		if !errors.Is(err, r.err) {
			continue
		}
		var d *driver.Error
		var b *bucket.Error
		switch {
		case r.err == landing.ErrStorage && errors.As(err, &b):
			return r.reason, "the lake's bucket refused or did not answer: " + b.Error()
		case r.say != "":
			return r.reason, r.say
		case errors.As(err, &d):
			return r.reason, d.Error()
		default:
			return r.reason, err.Error()
		}
	}
	return event.ReasonInternal, "an internal error; the service's log has the rest"
}

// IsTransient reports whether an error may go away by itself, so that another try is
// worth it.
func IsTransient(err error) bool {
	var b *bucket.Error
	if errors.As(err, &b) && b.Lasting {
		return false
	}
	for _, kind := range []error{driver.ErrUnreachable, driver.ErrTimeout, ErrIdle, landing.ErrStorage, landing.ErrUnknown, bus.ErrUnavailable} {
		if errors.Is(err, kind) {
			return true
		}
	}
	return false
}
