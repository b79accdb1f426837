package jobs

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"headwater/bus/wire"
)

const (
	fetchExpiry = 20 * time.Second // of a pull request that waits for work
	fetchPulse  = 2 * time.Second  // the broker has lost a request after twice this time without a heartbeat
)

// fetch passes messages to the workers, as many as are free.
func (s *subscription) fetch() {
	defer close(s.fetched)
	var handing sync.WaitGroup
	defer handing.Wait()
	for {
		n := s.supply.wanted(s.fetching)
		if n == 0 {
			return
		}
		ctx, cancel := context.WithTimeout(s.fetching, fetchExpiry)
		ctx, forget := s.jobs.broker.Reconnected.Until(ctx)
		batch, err := s.consumer.Fetch(n, jetstream.FetchContext(ctx), jetstream.FetchHeartbeat(fetchPulse))
		if err != nil {
			forget()
			cancel()
			s.missed(err)
			s.supply.came(0, n)
			continue
		}
		handing.Go(func() {
			defer cancel()
			defer forget()
			for in := range batch.Messages() {
				n--
				s.supply.came(1, 1)
				s.fetched <- in
			}
			if err := batch.Error(); err != nil {
				s.missed(err)
			}
			s.supply.came(0, n)
		})
	}
}

// supply counts busy workers and the messages requested for free ones.
type supply struct {
	workers int

	mu    sync.Mutex
	busy  int
	asked int
	more  chan struct{} // signals that more may be wanted
}

// wanted waits until it is worth asking for messages, and returns how many: a
// request costs about as much for one as for many. It returns 0 if ctx is done.
func (s *supply) wanted(ctx context.Context) int {
	for ctx.Err() == nil {
		s.mu.Lock()
		n := s.workers - s.busy - s.asked
		if n > 0 && (s.asked == 0 || n >= s.workers/2) {
			s.asked += n
			s.mu.Unlock()
			return n
		}
		s.mu.Unlock()
		select {
		case <-s.more:
		case <-ctx.Done():
		}
	}
	return 0
}

// came records the outcome of a request: of the messages asked for, this many
// are with workers now.
func (s *supply) came(messages, of int) {
	s.mu.Lock()
	s.busy += messages
	s.asked -= of
	s.mu.Unlock()
	s.look()
}

func (s *supply) ended() {
	s.mu.Lock()
	s.busy--
	s.mu.Unlock()
	s.look()
}

func (s *supply) look() {
	select {
	case s.more <- struct{}{}:
	default:
	}
}

// next waits for one message. Messages(PullMaxMessages(1)) would do the same
// with less traffic, but can stop pulling.
func (s *subscription) next() (jetstream.Msg, error) {
	ctx, cancel := context.WithTimeout(s.fetching, fetchExpiry)
	defer cancel()
	ctx, forget := s.jobs.broker.Reconnected.Until(ctx)
	defer forget()
	in, err := s.consumer.Next(jetstream.FetchContext(ctx), jetstream.FetchHeartbeat(fetchPulse))
	if errors.Is(err, nats.ErrTimeout) || errors.Is(err, context.Canceled) {
		return nil, jetstream.ErrNoMessages
	}
	return in, err
}

// missed handles a fetch that returned nothing because of an error.
func (s *subscription) missed(err error) {
	if s.fetching.Err() != nil || foundNothing(err) {
		return
	}
	if errors.Is(err, jetstream.ErrConsumerNotFound) || errors.Is(err, jetstream.ErrConsumerDeleted) || errors.Is(err, jetstream.ErrNoHeartbeat) {
		s.jobs.broker.Log.Warn("the durable consumer is gone or silent, making it again", "topic", s.topic, "error", err)
		if _, err := s.jobs.consumer(s.fetching, s.topic); err != nil {
			s.jobs.broker.Log.Error("cannot make the durable consumer", "topic", s.topic, "error", err)
		}
	}
	wire.Wait(s.fetching, 250*time.Millisecond)
}
