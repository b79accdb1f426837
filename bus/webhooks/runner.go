package webhooks

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"headwater/bus/event"
	"headwater/bus/kv"
	"headwater/bus/seal"
)

// errSuperseded ends a runner whose webhook was deleted, or whose state another
// process has written.
var errSuperseded = errors.New("another process has the webhook, or nobody")

// runner delivers one webhook. It belongs to one goroutine; attempts report to
// it.
type runner struct {
	*Registry
	hook     Webhook
	revision uint64 // of the stored state
	state    State
	share    *share
	window   *window
	lanes    *lanes
	dirty    bool
	unsure   []byte // a state that may or may not have been stored
	results  chan result
}

// result is the outcome of an attempt.
type result struct {
	lane    *lane
	attempt Attempt
	at      time.Time
	err     error // nothing was sent
}

// deliver runs until ctx is done, the webhook is deleted, or another process
// takes over. Running requests then have the grace period, unless hard ends too.
func (g *Registry) deliver(ctx, hard context.Context, a event.Address) error {
	r := &runner{Registry: g, results: make(chan result)}
	var err error
	if r.hook, err = g.Get(ctx, a); err != nil {
		return superseded(err)
	}
	if r.revision, err = g.read(ctx, stateKey(a), &r.state); err != nil {
		return superseded(err)
	}
	if _, last, _, err := g.Events.State(ctx); err != nil {
		return err
	} else if r.state.Floor > last {
		return r.astray(ctx, last)
	}
	r.share = g.shares.of(a.Organization)
	r.window, r.lanes = newWindow(r.state, r.share), newLanes(r.state, g.Options)
	defer func() { r.window.hold(-r.window.bytes) }()
	reading, stop := context.WithCancel(ctx)
	defer stop()
	subscriber := g.Events.Follow(r.window.floor)
	messages, err := subscriber.Subscribe(reading, strings.Join(r.hook.Filters(), ","))
	if err != nil {
		return err
	}
	defer func() {
		// When the channel is closed, the consumer has been removed from the
		// broker.
		stop()
		for range messages {
		}
	}()
	sending, abort := context.WithCancel(hard)
	defer abort()
	return r.run(ctx, sending, abort, messages)
}

// astray logs that the position is beyond the end of the log, which was replaced
// by an older one: from there nothing would ever be read.
func (r *runner) astray(ctx context.Context, last uint64) error {
	why := fmt.Sprintf("the webhook stands at %d and the log ends at %d: was it restored? Create the webhook again", r.state.Floor, last)
	if r.state.LastReason != why {
		r.state.LastReason = why
		r.state.Failures++
		encoded, err := json.Marshal(r.state)
		if err != nil {
			return err
		}
		if _, err := r.Bucket.Update(ctx, stateKey(r.hook.Address()), encoded, r.revision); err != nil {
			return err
		}
	}
	return errors.New(why)
}

func superseded(err error) error {
	if errors.Is(err, ErrNotFound) {
		return errSuperseded
	}
	return err
}

func (r *runner) run(ctx, sending context.Context, abort func(), messages <-chan *message.Message) error {
	save := time.NewTicker(r.Options.Save)
	defer save.Stop()
	wake := time.NewTimer(0)
	defer wake.Stop()
	var ended error
	for ended == nil {
		r.start(ctx, sending, wake)
		in := messages
		if r.window.full() {
			in = nil
		}
		select {
		case msg, open := <-in:
			if !open {
				ended = errors.New("the log cannot be read now")
				break
			}
			r.take(msg)
		case done := <-r.results:
			ended = r.settle(done)
		case <-wake.C:
		case <-save.C:
			ended = r.save(ctx)
		case <-ctx.Done():
			ended = ctx.Err()
		}
	}
	return r.finish(ended, sending, abort)
}

// finish waits for running requests and stores the state.
func (r *runner) finish(ended error, sending context.Context, abort func()) error {
	if errors.Is(ended, errSuperseded) {
		abort()
	}
	grace := time.AfterFunc(r.Options.Grace, abort)
	defer grace.Stop()
	for r.lanes.busy > 0 {
		if err := r.settle(<-r.results); err != nil && !errors.Is(ended, errSuperseded) {
			ended = err
		}
	}
	if !errors.Is(ended, errSuperseded) {
		if err := r.save(sending); err != nil {
			return err
		}
	}
	return ended
}

// start sends the events that are due, and sets when to check again.
func (r *runner) start(ctx, sending context.Context, wake *time.Timer) {
	for ctx.Err() == nil {
		now := time.Now()
		one, at := r.lanes.next(now)
		if one == nil {
			if !at.IsZero() {
				wake.Reset(time.Until(at))
			}
			return
		}
		r.lanes.begin(one, now)
		first := one.queue[0]
		go func() {
			a, err := r.attempt(sending, first)
			r.results <- result{one, a, now, err}
		}()
	}
}

// attempt reads the current webhook, signs and sends an event. It uses nothing
// of the runner that changes.
func (r *runner) attempt(ctx context.Context, i *item) (Attempt, error) {
	if !r.share.enter(ctx) {
		return Attempt{}, ctx.Err()
	}
	defer r.share.leave()
	hook, err := r.Get(ctx, r.hook.Address())
	if err != nil {
		return Attempt{}, superseded(err)
	}
	keys, err := r.keys(ctx, hook)
	if errors.Is(err, seal.ErrDestroyed) || errors.Is(err, seal.ErrRefused) {
		return Attempt{Reason: "the webhook's secret cannot be opened any more: rotate it"}, nil
	}
	if err != nil {
		return Attempt{}, err
	}
	a := r.sender.send(ctx, hook.URL, i.id, i.body, keys...)
	if !a.Taken() && ctx.Err() != nil {
		return Attempt{}, ctx.Err() // interrupted by this process
	}
	return a, nil
}

// take adds an event to the window.
func (r *runner) take(msg *message.Message) {
	sequence, e, err := r.Events.Decode(msg)
	i := &item{sequence: sequence, id: msg.Metadata.Get(event.HeaderID)}
	var body bytes.Buffer
	readable := err == nil || errors.Is(err, event.ErrUnknown) || errors.Is(err, event.ErrReferenced)
	if readable {
		readable = event.WriteStructured(&body, sequence, msg.Metadata, msg.Payload) == nil
	}
	if !readable {
		r.Log.Warn("an event cannot be read and is not delivered", "webhook", r.hook.ID, "sequence", sequence)
		i.done = true
	}
	if e != nil && len(r.hook.Types) == 0 && !event.OfSource(e.Name()) {
		i.done, body = true, bytes.Buffer{} // for receivers that subscribe to it by name
	}
	i.body = body.Bytes()
	if r.window.add(i) {
		r.lanes.add(sourceOf(msg, e), i, time.Now())
		return
	}
	r.dirty = true
}

// sourceOf returns the id of the history that an event belongs to.
func sourceOf(msg *message.Message, e *event.Event) string {
	if e != nil {
		return e.Address().Source
	}
	return msg.Metadata.Get(event.HeaderSubject)
}

// settle records the outcome of an attempt.
func (r *runner) settle(done result) error {
	now := time.Now()
	if done.err != nil {
		r.lanes.again(done.lane, now.Add(r.Options.Backoff))
		if errors.Is(done.err, errSuperseded) {
			return errSuperseded
		}
		if !errors.Is(done.err, context.Canceled) {
			r.Log.Warn("an event could not be sent to a webhook", "webhook", r.hook.ID, "error", done.err)
		}
		return nil
	}
	r.dirty = true
	at := done.at.UTC()
	r.state.LastAttemptAt, r.state.LastStatus, r.state.LastReason = &at, done.attempt.Status, done.attempt.Reason
	if !done.attempt.Taken() {
		r.state.Failures++
		r.told(done.lane.queue[0], done.attempt)
		r.lanes.refused(done.lane, done.attempt, now)
		return nil
	}
	i := r.lanes.taken(done.lane)
	r.state.Failures = 0
	r.told(i, done.attempt)
	delivered := now.UTC()
	r.state.LastDelivered, r.state.LastDeliveredAt = max(r.state.LastDelivered, i.sequence), &delivered
	r.window.done(i)
	return nil
}

func (r *runner) told(i *item, a Attempt) {
	if r.Told != nil {
		r.Told(r.hook, i.sequence, a, r.state.Failures)
	}
}

// save stores the state if it has changed. It returns errSuperseded if another
// process has written it, or it was erased. ctx does not interrupt it, since
// then it would be unknown whether the state was stored.
func (r *runner) save(ctx context.Context) error {
	if !r.dirty {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), r.Options.Grace)
	defer cancel()
	r.state.Floor, r.state.Ahead, r.state.Waiting = r.window.floor, r.window.taken(), r.lanes.waiting()
	r.state.NextAttemptAt = nil
	for _, w := range r.state.Waiting {
		if next := r.state.NextAttemptAt; next == nil || w.NextAttemptAt != nil && w.NextAttemptAt.Before(*next) {
			r.state.NextAttemptAt = w.NextAttemptAt
		}
	}
	encoded, err := json.Marshal(r.state)
	if err != nil {
		return err
	}
	revision, err := r.Bucket.Update(ctx, stateKey(r.hook.Address()), encoded, r.revision)
	switch {
	case errors.Is(err, kv.ErrConflict):
		entry, err := r.Bucket.Get(ctx, stateKey(r.hook.Address()))
		if err != nil || r.unsure == nil || !bytes.Equal(entry.Value, r.unsure) {
			return errSuperseded
		}
		r.revision, r.unsure = entry.Revision, nil
		return nil
	case err != nil:
		r.unsure = encoded
		r.Log.Warn("a webhook's position could not be written, will try again", "webhook", r.hook.ID, "error", err)
		return nil
	}
	r.revision, r.dirty, r.unsure = revision, false, nil
	return nil
}
