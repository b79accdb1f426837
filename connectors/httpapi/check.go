package httpapi

import (
	"context"
	"errors"
	"net/http/httptrace"
	"time"

	"headwater/connectors/driver"
)

// Check reads the first page of every endpoint, and the second if there is one, so that
// the way to it is proven. It succeeds if one of several endpoints can be read: Discover
// says why the others cannot.
func (s *source) Check(ctx context.Context) error {
	s.checking.Store(true)
	s.cautious.Store(true)
	defer s.cautious.Store(false)
	var first error
	readable := false
	for _, e := range s.endpoints {
		err := s.beginning(ctx, e)
		readable = readable || err == nil
		if err != nil && first == nil {
			first = err
		}
		if ctx.Err() != nil || !readable && errors.Is(err, driver.ErrUnreachable) {
			return err // the others are not there either
		}
	}
	if readable {
		return nil
	}
	return first
}

// CheckSteps is Check, with its steps.
func (s *source) CheckSteps(ctx context.Context) ([]driver.Step, error) {
	began := time.Now()
	var connected time.Duration
	traced := httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{GotConn: func(httptrace.GotConnInfo) {
		if connected == 0 {
			connected = max(time.Since(began), 1)
		}
	}})
	err := s.Check(traced)
	rest := time.Since(began) - connected
	steps := []driver.Step{{Name: "connect", Duration: connected}}
	if connected == 0 {
		steps[0].Duration, steps[0].Err = rest, err
		return steps, err
	}
	name := "read"
	switch {
	case err == nil:
		authenticated := driver.Step{Name: "authenticate"}
		if s.idle.Load() {
			authenticated.Message = "the API gives the same answer with the credentials and without: they have no effect"
		}
		steps = append(steps, authenticated)
	case errors.Is(err, driver.ErrAuthentication):
		name = "authenticate"
	case errors.Is(err, driver.ErrPermission):
		name = "permissions"
	}
	return append(steps, driver.Step{Name: name, Duration: rest, Err: err}), err
}
