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
	runner *jobSubscription // whose workers begin, nil without
	begun  map[string]*lead // by the message's id, until its delivery is settled
	ending sync.WaitGroup
}

type lead struct {
	done    chan struct{} // closed when the handler has ended
	handled bool          // by then: it took the message for done
	settled bool          // no delivery asks for it any more
}

func newLeads(places int) *leads {
	return &leads{places: make(chan struct{}, places), begun: map[string]*lead{}}
}

// lead begins to handle a message that is about to be stored, if a worker is
// free and none handles it already. The returned function is for a message of
// which no delivery may come.
func (l *leads) lead(subject string, stored *message.Message) (forget func()) {
	one, s := l.begin(stored.UUID)
	if one == nil {
		return func() {}
	}
	msg := message.NewMessage(stored.UUID, stored.Payload)
	msg.Metadata = maps.Clone(stored.Metadata)
	msg.Metadata.Set(MetaSubject, subject)
	msg.Metadata.Set(MetaDeliveries, "1")
	go func() {
		defer l.end(stored.UUID, one)
		one.handled = s.tryAhead(msg)
	}()
	return func() { l.settle(stored.UUID, one) }
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
// reports whether it took it for done.
func (l *leads) led(ctx context.Context, id string) bool {
	l.mu.Lock()
	one := l.begun[id]
	l.mu.Unlock()
	if one == nil {
		return false
	}
	select {
	case <-one.done:
		l.settle(id, one)
		return one.handled
	case <-ctx.Done():
		return false
	}
}

func (l *leads) begin(id string) (*lead, *jobSubscription) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.runner == nil || l.begun[id] != nil {
		return nil, nil
	}
	select {
	case l.places <- struct{}{}:
	default:
		return nil, nil
	}
	one := &lead{done: make(chan struct{})}
	l.begun[id] = one
	l.ending.Add(1)
	return one, l.runner
}

func (l *leads) end(id string, one *lead) {
	close(one.done)
	<-l.places
	l.mu.Lock()
	if one.settled {
		delete(l.begun, id)
	}
	l.mu.Unlock()
	l.ending.Done()
}

// settle forgets a handler's end, once it has come.
func (l *leads) settle(id string, one *lead) {
	l.mu.Lock()
	defer l.mu.Unlock()
	one.settled = true
	select {
	case <-one.done:
		if l.begun[id] == one {
			delete(l.begun, id)
		}
	default:
	}
}

// join has a subscription's workers begin, if no other one's do.
func (l *leads) join(s *jobSubscription) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.runner == nil {
		l.runner = s
	}
}

// leave lets a subscription's workers begin nothing more and waits for what they
// have begun. What was not delivered by then is handled again.
func (l *leads) leave(s *jobSubscription) {
	l.mu.Lock()
	runs := l.runner == s
	if runs {
		l.runner = nil
	}
	l.mu.Unlock()
	if !runs {
		return
	}
	l.ending.Wait()
	l.mu.Lock()
	defer l.mu.Unlock()
	clear(l.begun)
}
