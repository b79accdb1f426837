package bus

import (
	"context"
	"maps"
	"sync"

	"github.com/ThreeDotsLabs/watermill/message"
)

// leads are commands whose handlers have begun while the embedded broker still
// stores them: a quick handler has its event stored beside its command, instead
// of after it. The delivery that follows only waits for the handler and acks.
// Where the handler failed, the delivery is handled as any other.
//
// What a handler did for a command that was not stored in the end stands as it
// does for one whose ack was lost: the sender was told that it is unknown.
type leads struct {
	places chan struct{} // one for each that is under way

	mu     sync.Mutex
	ended  bool
	begun  map[string]*lead // by the message's id, until its delivery
	ending sync.WaitGroup
}

type lead struct {
	done    chan struct{}
	handled bool // when it is done
}

func newLeads(places int) *leads {
	return &leads{places: make(chan struct{}, places), begun: map[string]*lead{}}
}

// lead begins to handle a message that is about to be stored, if a worker is
// free. The returned function forgets it, for a message that was not stored.
func (s *jobSubscription) lead(subject string, stored *message.Message) (forget func()) {
	l := &lead{done: make(chan struct{})}
	if !s.leads.begin(stored.UUID, l) {
		return func() {}
	}
	msg := message.NewMessage(stored.UUID, stored.Payload)
	msg.Metadata = maps.Clone(stored.Metadata)
	msg.Metadata.Set(MetaSubject, subject)
	msg.Metadata.Set(MetaDeliveries, "1")
	go func() {
		defer s.leads.end(l)
		l.handled = s.tryAhead(msg)
	}()
	return func() { s.leads.take(stored.UUID) }
}

// tryAhead reports whether the handler took the message for done.
func (s *jobSubscription) tryAhead(msg *message.Message) bool {
	ctx, _ := withOutcome(s.working)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	msg.SetContext(ctx)
	select {
	case s.out <- msg:
	case <-s.fetching.Done():
		return false
	}
	select {
	case <-msg.Acked():
		return true
	case <-msg.Nacked():
	case <-s.working.Done():
	}
	return false
}

// led waits for the handler of a delivered message that has begun before, and
// reports whether it is done.
func (s *jobSubscription) led(ctx context.Context, id string) bool {
	if s.leads == nil {
		return false
	}
	l := s.leads.take(id)
	if l == nil {
		return false
	}
	select {
	case <-l.done:
		return l.handled
	case <-ctx.Done():
		return false
	}
}

func (l *leads) begin(id string, one *lead) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ended || l.begun[id] != nil {
		return false
	}
	select {
	case l.places <- struct{}{}:
	default:
		return false
	}
	l.begun[id] = one
	l.ending.Add(1)
	return true
}

func (l *leads) end(one *lead) {
	close(one.done)
	<-l.places
	l.ending.Done()
}

func (l *leads) take(id string) *lead {
	l.mu.Lock()
	defer l.mu.Unlock()
	one := l.begun[id]
	delete(l.begun, id)
	return one
}

// close lets none begin and waits for those that have.
func (l *leads) close() {
	l.mu.Lock()
	l.ended = true
	l.mu.Unlock()
	l.ending.Wait()
}
