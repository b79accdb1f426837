// Package projectionstest is a log in memory and a history to put into it, for the
// tests of projections and of what proves them.
package projectionstest

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"headwater/bus/event"
)

// Epoch is when a log was made.
var Epoch = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// Log is a projections.Log in memory that can grow while it is followed. What is
// exported is changed while nobody follows.
type Log struct {
	mu      sync.Mutex
	grown   chan struct{} // closed when events are added
	Events  []*event.Event
	First   uint64
	Created time.Time
	Refuse  func(sequence uint64) error // why an event cannot be read; nil for none
}

// NewLog returns a log that holds the events.
func NewLog(events ...*event.Event) *Log {
	return &Log{Events: slices.Clone(events), First: 1, Created: Epoch, grown: make(chan struct{})}
}

// Add appends events.
func (l *Log) Add(events ...*event.Event) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.Events = append(l.Events, events...)
	close(l.grown)
	l.grown = make(chan struct{})
}

// State is projections.Log's.
func (l *Log) State(context.Context) (first, last uint64, created time.Time, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.First, uint64(len(l.Events)), l.Created, nil
}

// Decode is projections.Log's.
func (l *Log) Decode(msg *message.Message) (uint64, *event.Event, error) {
	sequence, err := strconv.ParseUint(msg.Metadata.Get("sequence"), 10, 64)
	if err != nil {
		return 0, nil, err
	}
	if l.Refuse != nil {
		if err := l.Refuse(sequence); err != nil {
			return sequence, nil, err
		}
	}
	e := l.At(sequence)
	return sequence, &e, nil
}

// Set puts an event in the place of the one with its sequence.
func (l *Log) Set(e *event.Event) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.Events[e.Sequence-1] = e
}

// At returns a copy of an event.
func (l *Log) At(sequence uint64) event.Event {
	l.mu.Lock()
	defer l.mu.Unlock()
	return *l.Events[sequence-1]
}

// Ordered is projections.Log's.
func (l *Log) Ordered(after uint64) message.Subscriber {
	return &memorySubscriber{log: l, next: after + 1, done: make(chan struct{})}
}

type memorySubscriber struct {
	log  *Log
	next uint64
	done chan struct{}
	wg   sync.WaitGroup
}

func (m *memorySubscriber) Subscribe(ctx context.Context, _ string) (<-chan *message.Message, error) {
	out := make(chan *message.Message)
	m.wg.Go(func() {
		defer close(out)
		for ; ; m.next++ {
			for {
				m.log.mu.Lock()
				ready, grown := m.next <= uint64(len(m.log.Events)), m.log.grown
				m.log.mu.Unlock()
				if ready {
					break
				}
				select {
				case <-grown:
				case <-m.done:
					return
				case <-ctx.Done():
					return
				}
			}
			msg := message.NewMessage(fmt.Sprint(m.next), nil)
			msg.Metadata.Set("sequence", fmt.Sprint(m.next))
			select {
			case out <- msg:
			case <-m.done:
				return
			case <-ctx.Done():
				return
			}
		}
	})
	return out, nil
}

func (m *memorySubscriber) Close() error {
	close(m.done)
	m.wg.Wait()
	return nil
}
