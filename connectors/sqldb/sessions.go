package sqldb

import (
	"context"
	"sync"
	"time"

	"headwater/connectors/driver"
)

// IdleSession keeps one session of a source between its calls. It is safe for
// concurrent use. The zero value is ready.
type IdleSession[S any] struct {
	mu      sync.Mutex // closing may come at any moment
	session S
	has     bool
	closed  bool
}

// Take returns the kept session, which then belongs to the caller, or false if there
// is none. After Close it returns ErrUnreachable.
func (k *IdleSession[S]) Take() (session S, ok bool, err error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.closed {
		return session, false, driver.E(driver.ErrUnreachable, nil, "the connection is closed")
	}
	session, ok = k.session, k.has
	var none S
	k.session, k.has = none, false
	return session, ok, nil
}

// Put keeps a session for the next call. If it returns false the session is not kept,
// and the caller closes it.
func (k *IdleSession[S]) Put(session S) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.closed || k.has {
		return false
	}
	k.session, k.has = session, true
	return true
}

// Close returns the kept session, which the caller closes, or false if there is none.
// Nothing is kept afterwards.
func (k *IdleSession[S]) Close() (session S, ok bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	session, ok = k.session, k.has
	var none S
	k.session, k.has, k.closed = none, false, true
	return session, ok
}

// Closed reports whether Close was called.
func (k *IdleSession[S]) Closed() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.closed
}

// Await connects. While crowded says of the error that the server has no free
// connection, it tries again after each pause, until limit or ctx ends. It returns the
// last error.
func Await[S any](ctx context.Context, limit, pause time.Duration, crowded func(error) bool, connect func() (S, error)) (S, error) {
	for began := time.Now(); ; {
		session, err := connect()
		if err == nil || !crowded(err) || time.Since(began) > limit {
			return session, err
		}
		select {
		case <-ctx.Done():
			return session, err
		case <-time.After(pause):
		}
	}
}
