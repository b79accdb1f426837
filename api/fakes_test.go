package api

import (
	"context"
	"net/http/httptest"
	"time"

	"headwater/api/call"
	"headwater/api/idempotency"
	"headwater/api/jobs"
	"headwater/bus/command"
	"headwater/bus/event"
	"headwater/bus/kv"
	"headwater/projections"
)

func newRecorder() *httptest.ResponseRecorder { return httptest.NewRecorder() }

// behind is a projection that does not know of running syncs yet.
type behind struct{ Reads }

func (b behind) Source(a event.Address) (projections.Source, error) {
	s, err := b.Reads.Source(a)
	s.Running = nil
	return s, err
}

func (b behind) AnySource(a event.Address) (projections.Source, error) {
	s, err := b.Reads.AnySource(a)
	s.Running = nil
	return s, err
}

// sender is a bus that may refuse commands.
type sender struct {
	jobs.Commands
	send func(ctx context.Context, c *command.Command) error
}

func (s sender) Send(ctx context.Context, c *command.Command) error {
	if err := s.send(ctx, c); err != nil {
		return err
	}
	return s.Commands.Send(ctx, c)
}

// writer is a log that may refuse events.
type writer struct {
	call.Events
	append func(e *event.Event) error
}

func (w writer) Append(ctx context.Context, after uint64, e *event.Event) (uint64, error) {
	if err := w.append(e); err != nil {
		return 0, err
	}
	return w.Events.Append(ctx, after, e)
}

// answerBox is a bucket that may fail.
type answerBox struct {
	idempotency.Bucket
	create func() error
	update func() error
}

func (k answerBox) Create(ctx context.Context, key string, value []byte, ttl time.Duration) (uint64, error) {
	if k.create != nil {
		if err := k.create(); err != nil {
			return 0, err
		}
	}
	return k.Bucket.Create(ctx, key, value, ttl)
}

func (k answerBox) Update(ctx context.Context, key string, value []byte, revision uint64) (uint64, error) {
	if k.update != nil {
		if err := k.update(); err != nil {
			return 0, err
		}
	}
	return k.Bucket.Update(ctx, key, value, revision)
}

var _ idempotency.Bucket = kv.Store(nil)
