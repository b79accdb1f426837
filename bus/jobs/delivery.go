package jobs

import (
	"context"
	"errors"
	"strconv"
	"sync"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/nats-io/nats.go/jetstream"

	"headwater/bus/kv"
	"headwater/bus/wire"
)

// delivery is one delivery of a message to a worker.
type delivery struct {
	*subscription
	in   jetstream.Msg
	msg  *message.Message
	meta *jetstream.MsgMetadata

	counted   bool
	noted     bool // its postponements have been recorded
	postponed uint64
}

// heartbeat renews the worker's lease until the returned function is called.
func (d *delivery) heartbeat(ctx context.Context) (stop func()) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	var wg sync.WaitGroup
	wg.Go(func() {
		tick := time.NewTicker(d.jobs.cfg.AckWait / 3)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				if err := d.in.InProgress(); err != nil {
					d.jobs.broker.Log.Warn("cannot renew the lease", "message", d.msg.UUID, "error", err)
				}
			case <-ctx.Done():
				return
			}
		}
	})
	return func() { cancel(); wg.Wait() }
}

// failures returns how many earlier deliveries failed: all but those that were
// postponed or given back.
func (d *delivery) failures() int {
	before := d.meta.NumDelivered - 1
	return int(before - min(before, d.timesPostponed()))
}

func (d *delivery) postponedKey() string {
	return d.meta.Stream + "." + strconv.FormatUint(d.meta.Sequence.Stream, 10)
}

func (d *delivery) timesPostponed() uint64 {
	if d.counted || d.meta.NumDelivered == 1 {
		return d.postponed
	}
	entry, err := d.jobs.broker.Postponed.Get(d.working, d.postponedKey())
	if err != nil && !errors.Is(err, kv.ErrKeyNotFound) {
		// Unknown counts as never postponed: at worst the message is given up
		// early rather than retried for ever.
		d.jobs.broker.Log.Warn("cannot read how often a message was put off", "message", d.msg.UUID, "error", err)
	}
	d.counted = true
	d.postponed, _ = strconv.ParseUint(string(entry.Value), 10, 64)
	return d.postponed
}

// done acks the message. An external broker confirms the ack; to a broker in
// this process it cannot be lost.
func (d *delivery) done(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), ackLimit)
	defer cancel()
	var err error
	if d.jobs.broker.Embedded {
		err = d.in.Ack()
	} else {
		_, err = wire.Ask(ctx, func(ctx context.Context) (struct{}, error) { return struct{}{}, d.in.DoubleAck(ctx) })
	}
	if err != nil {
		// The handler's work is done; another worker will find that.
		d.jobs.broker.Log.Warn("an ack was not confirmed, the message may come again", "message", d.msg.UUID, "error", err)
	}
	if d.noted || d.postponed > 0 {
		if err := d.jobs.broker.Postponed.Erase(ctx, d.postponedKey()); err != nil {
			d.jobs.broker.Log.Debug("cannot forget how often a message was put off", "error", err)
		}
	}
}

// failed decides what to do after a handler's error.
func (d *delivery) failed(ctx context.Context, cause error) {
	if delay, ok := Snoozed(cause); ok {
		d.putOff(ctx, delay)
		return
	}
	failures := d.failures() + 1
	if !IsPermanent(cause) && !isPoison(cause) && failures < d.jobs.cfg.MaxDeliver {
		d.retry(d.jobs.cfg.Backoff(failures))
		return
	}
	d.giveUp(ctx, cause, failures)
}

func (d *delivery) retry(delay time.Duration) {
	if err := d.in.NakWithDelay(delay); err != nil {
		d.jobs.broker.Log.Warn("cannot give a message back, its lease will end by itself", "message", d.msg.UUID, "error", err)
	}
}

// putOff gives the message back without counting the delivery as a failure. The
// broker only counts deliveries, so the exceptions are stored separately.
func (d *delivery) putOff(ctx context.Context, delay time.Duration) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), ackLimit)
	defer cancel()
	d.notePostponed(ctx, d.timesPostponed()+1)
	d.retry(delay)
}

// notePostponed stores how many deliveries of the message do not count as
// failures.
func (d *delivery) notePostponed(ctx context.Context, times uint64) {
	count := strconv.FormatUint(times, 10)
	_, err := wire.Ask(ctx, func(ctx context.Context) (uint64, error) {
		return d.jobs.broker.Postponed.Put(ctx, d.postponedKey(), count)
	})
	if err != nil {
		d.jobs.broker.Log.Warn("a message that was put off counts as failed", "message", d.msg.UUID, "error", err)
		return
	}
	d.counted, d.noted, d.postponed = true, true, times
}

// giveBack returns a message that no handler finished, so that another worker
// gets it at once.
func (d *delivery) giveBack(ctx context.Context) { d.putOff(ctx, 0) }

// giveUp calls the hook, stores a dead letter and ends the message. Each step
// may be repeated, so if it is interrupted the next worker continues.
func (d *delivery) giveUp(ctx context.Context, cause error, failures int) {
	ctx = context.WithoutCancel(ctx)
	if hook := d.jobs.cfg.OnExhausted; hook != nil {
		err := d.callHook(ctx, hook, cause)
		if err != nil && failures < 2*d.jobs.cfg.MaxDeliver {
			d.jobs.broker.Log.Warn("cannot tell that a message is given up, will try again", "message", d.msg.UUID, "error", err)
			d.retry(d.jobs.cfg.Backoff(failures))
			return
		}
		cause = errors.Join(cause, err)
	}
	if err := d.bury(ctx, cause); err != nil {
		d.jobs.broker.Log.Error("cannot write a dead letter, will try again", "message", d.msg.UUID, "error", err)
		d.retry(d.jobs.cfg.Backoff(failures))
		return
	}
	d.done(ctx)
}

func (d *delivery) callHook(ctx context.Context, hook func(context.Context, *message.Message, error) error, cause error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = panicError(p)
		}
	}()
	return hook(ctx, d.msg, cause)
}

func isPoison(err error) bool { return errors.Is(err, wire.ErrPoison) }
