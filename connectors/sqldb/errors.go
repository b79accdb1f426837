package sqldb

import (
	"context"
	"errors"

	"headwater/connectors/driver"
)

// Classify turns an error of a database's client into a *driver.Error, nil into nil. what
// names what was being read, "" for nothing in particular. A *driver.Error stays as it is,
// and after the end of ctx the cause of that end is the reason. serverError judges other
// errors and writes its second argument before its message; for those that it does not
// know it returns nil, and the connection counts as lost.
func Classify(ctx context.Context, err error, what string, serverError func(err error, prefix string) error) error {
	if err == nil {
		return nil
	}
	if what != "" {
		what += ": "
	}
	var typed *driver.Error
	if errors.As(err, &typed) {
		return typed
	}
	if ctx.Err() != nil {
		return driver.E(driver.ErrTimeout, context.Cause(ctx), "%sstopped", what)
	}
	if judged := serverError(err, what); judged != nil {
		return judged
	}
	return driver.E(driver.ErrUnreachable, nil, "%sthe connection to the server was lost", what)
}
