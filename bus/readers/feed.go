package readers

import (
	"context"
	"fmt"
	"sort"
	"sync"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/nats-io/nats-server/v2/server/gsl"

	"headwater/bus/event"
	"headwater/bus/wire"
)

const (
	// feedEvents is how many of the newest events the feed keeps. A follower
	// that is further behind reads the log.
	feedEvents = 4096
	feedBytes  = 16 << 20
	// eventCost is the approximate memory of an event besides its body.
	eventCost = 2 << 10
	// memberQueue is how many sequences a follower may have queued and not read.
	memberQueue = 1024
)

// feed passes new events to all followers in this process, from one consumer,
// which exists while there are followers. It keeps each event once.
type feed struct {
	of       *Readers
	starting sync.Mutex // held while the feed starts to read

	mu      sync.Mutex
	members *gsl.GenericSublist[*member] // by their filters
	count   int
	stop    context.CancelFunc // nil while nobody follows
	at      uint64             // members have been told of all events up to this sequence
	kept    []*message.Message // newest events that match a member's filters, in order
	bytes   int
}

// member is one follower. The feed's lock guards it.
type member struct {
	feed    *feed
	filters []string
	wake    chan struct{} // signals that there is more
	queue   []uint64
	lost    bool // its queue was full: newer events have to be read from the log
}

func newFeed(rs *Readers) *feed { return &feed{of: rs, members: gsl.NewSublist[*member]()} }

// join starts queueing new events for a follower. It returns the sequence after
// which the follower is told of every event that matches its filters. The caller
// calls leave.
func (f *feed) join(ctx context.Context, filters []string) (*member, uint64, error) {
	f.starting.Lock()
	defer f.starting.Unlock()
	m := &member{feed: f, filters: filters, wake: make(chan struct{}, 1)}
	at, err, running := f.add(m)
	if running || err != nil {
		return m, at, err
	}
	state, err := f.of.EventsState(ctx)
	if err != nil {
		return nil, 0, err
	}
	life, stop := context.WithCancel(context.WithoutCancel(ctx))
	reader := f.of.Ordered(state.Last).(*ordered)
	reader.inline = true
	messages, err := reader.Subscribe(life, event.SubjectPrefix+".>")
	if err != nil {
		stop()
		return nil, 0, err
	}
	f.mu.Lock()
	f.stop, f.at = stop, state.Last
	f.mu.Unlock()
	go f.read(life, messages)
	at, err, _ = f.add(m)
	return m, at, err
}

// add adds a member if the feed is reading, which running reports.
func (f *feed) add(m *member) (at uint64, err error, running bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.stop == nil {
		return 0, nil, false
	}
	for i, filter := range m.filters {
		if err := f.members.Insert(filter, m); err != nil {
			f.remove(m, i)
			return 0, fmt.Errorf("follow %s: %w", filter, err), true
		}
	}
	f.count++
	return f.at, nil, true
}

// remove removes the first n filters of a member, and stops reading when no
// member is left.
func (f *feed) remove(m *member, n int) {
	for _, filter := range m.filters[:n] {
		_ = f.members.Remove(filter, m) // the member has it
	}
	if f.count == 0 && f.stop != nil {
		f.stop()
		f.stop, f.kept, f.bytes = nil, nil, 0
	}
}

// leave ends what join started.
func (m *member) leave() {
	f := m.feed
	f.mu.Lock()
	defer f.mu.Unlock()
	f.count--
	f.remove(m, len(m.filters))
}

// read tells the members of every event until nobody follows or the bus is
// closed.
func (f *feed) read(life context.Context, messages <-chan *message.Message) {
	for msg := range messages {
		f.mu.Lock()
		if life.Err() == nil {
			f.tell(msg)
		}
		f.mu.Unlock()
	}
}

func (f *feed) tell(msg *message.Message) {
	sequence, meant := wire.Number(msg, wire.MetaSequence), false
	f.members.Match(msg.Metadata.Get(wire.MetaSubject), func(m *member) {
		meant = true
		m.tell(sequence)
	})
	f.at = sequence
	if !meant {
		return
	}
	f.kept = append(f.kept, msg)
	f.bytes += len(msg.Payload) + eventCost
	for len(f.kept) > feedEvents || f.bytes > feedBytes && len(f.kept) > 1 {
		f.bytes -= len(f.kept[0].Payload) + eventCost
		f.kept[0] = nil
		f.kept = f.kept[1:]
	}
}

func (m *member) tell(sequence uint64) {
	switch {
	case m.lost || len(m.queue) > 0 && m.queue[len(m.queue)-1] == sequence: // two of its filters match
	case len(m.queue) == memberQueue:
		m.lost, m.queue = true, nil
	default:
		m.queue = append(m.queue, sequence)
	}
	select {
	case m.wake <- struct{}{}:
	default:
	}
}

// take returns some of the events queued for the member. If the feed no longer
// keeps them, it returns lost, and the sequence up to which the member has to
// read the log.
func (m *member) take() (found []*message.Message, lost bool, at uint64) {
	f := m.feed
	f.mu.Lock()
	defer f.mu.Unlock()
	const most = 64
	for !m.lost && len(m.queue) > 0 && len(found) < most {
		next := m.queue[0]
		i := sort.Search(len(f.kept), func(i int) bool { return wire.Number(f.kept[i], wire.MetaSequence) >= next })
		if i == len(f.kept) || wire.Number(f.kept[i], wire.MetaSequence) != next {
			if len(found) > 0 {
				return found, false, f.at
			}
			m.lost = true
			break
		}
		found = append(found, f.kept[i])
		m.queue = m.queue[1:]
	}
	lost = m.lost
	if lost {
		m.lost, m.queue = false, nil
	}
	return found, lost, f.at
}
