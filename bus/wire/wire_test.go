package wire

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"headwater/bus/kv"
)

// A transient error is tried again until ctx ends; any other is the answer.
func TestRetry(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		fails []error
		tries int
		want  error
	}{
		"answered":            {nil, 1, nil},
		"no answer, then one": {[]error{nats.ErrTimeout, context.DeadlineExceeded, &jetstream.APIError{ErrorCode: ErrCodeNoLeader}}, 4, nil},
		"refused":             {[]error{jetstream.ErrInvalidKey, nil}, 1, jetstream.ErrInvalidKey},
		"no leader, refused":  {[]error{nats.ErrNoResponders, jetstream.ErrStreamNotFound}, 2, jetstream.ErrStreamNotFound},
	} {
		tries := 0
		_, err := Retry(t.Context(), time.Second, func(context.Context) (int, error) {
			tries++
			if tries <= len(c.fails) {
				return 0, c.fails[tries-1]
			}
			return 1, nil
		})
		if tries != c.tries || !errors.Is(err, c.want) {
			t.Errorf("%s: %d tries, %v; wanted %d, %v", name, tries, err, c.tries, c.want)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, err := Ask(ctx, func(context.Context) (int, error) { return 0, nats.ErrTimeout }); !errors.Is(err, nats.ErrTimeout) {
		t.Errorf("without an answer until ctx ends: %v", err)
	}
}

func TestUnavailable(t *testing.T) {
	t.Parallel()
	for cause, want := range map[error]error{
		nats.ErrTimeout: ErrUnavailable,
		&jetstream.APIError{ErrorCode: jetstream.JSErrCodeStreamWrongLastSequence}: kv.ErrConflict,
		fmt.Errorf("%w: 65 MiB", ErrTooLarge):                                      ErrTooLarge,
	} {
		err := Unavailable(cause)
		if !errors.Is(err, want) || !errors.Is(err, cause) || want != ErrUnavailable && errors.Is(err, ErrUnavailable) {
			t.Errorf("%v became %v, wanted %v", cause, err, want)
		}
	}
}

// A signal wakes all who wait, and nobody who begins to wait after it.
func TestSignal(t *testing.T) {
	t.Parallel()
	var s Signal
	one, forgetOne := s.Until(t.Context())
	defer forgetOne()
	two, forgetTwo := s.Until(t.Context())
	defer forgetTwo()
	s.Raise()
	<-one.Done()
	<-two.Done()
	late, forget := s.Until(t.Context())
	if late.Err() != nil {
		t.Error("who came after it was woken")
	}
	forget()
	<-late.Done()
}

func TestOrganizationIn(t *testing.T) {
	t.Parallel()
	for want, filters := range map[string][]string{
		"acme": {"headwater.events.acme.*.ada.>", "headwater.events.acme.*._.>"},
		"":     {"headwater.events.acme.>", "headwater.events.evil.>"},
	} {
		if got := OrganizationIn(filters); got != want {
			t.Errorf("%v are of %q, wanted %q", filters, got, want)
		}
	}
	if got := OrganizationIn([]string{"headwater.events.>"}); got != "" {
		t.Errorf("everybody's are of %q", got)
	}
}
