package sqldb

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http/httptrace"
	"time"

	"headwater/connectors/driver"
)

// Trace is what connecting notes for a check.
type Trace struct {
	Dialled time.Time // zero when dialling failed
	Secure  bool      // TLS
}

// Steps are the steps of a check, in their order. It is not safe for concurrent use.
type Steps struct{ list []driver.Step }

// List returns the steps so far.
func (s *Steps) List() []driver.Step { return s.list }

// Done adds a step that began at a time and has ended now. It returns err.
func (s *Steps) Done(name string, began time.Time, err error, format string, args ...any) error {
	return s.took(name, time.Since(began), err, format, args...)
}

func (s *Steps) took(name string, took time.Duration, err error, format string, args ...any) error {
	s.list = append(s.list, driver.Step{Name: name, Duration: took, Err: err, Message: fmt.Sprintf(format, args...)})
	return err
}

// Connect adds the steps resolve, connect and authenticate. connect fills in the trace
// and says which server it is, "" for nothing. The error is that of the last step.
func (s *Steps) Connect(ctx context.Context, connect func(context.Context, *Trace) (server string, err error)) error {
	began := time.Now()
	var resolved time.Time
	traced := httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{DNSDone: func(httptrace.DNSDoneInfo) { resolved = time.Now() }})
	var tr Trace
	server, err := connect(traced, &tr)
	var dns *net.DNSError
	if errors.As(err, &dns) {
		return s.Done("resolve", began, err, "")
	}
	dialled := began
	if !resolved.IsZero() {
		_ = s.took("resolve", resolved.Sub(began), nil, "")
		dialled = resolved
	}
	if err != nil && tr.Dialled.IsZero() {
		return s.Done("connect", dialled, err, "")
	}
	security := "not encrypted"
	if tr.Secure {
		security = "encrypted"
	}
	_ = s.took("connect", tr.Dialled.Sub(dialled), nil, "%s", security)
	return s.Done("authenticate", tr.Dialled, err, "%s", server)
}
