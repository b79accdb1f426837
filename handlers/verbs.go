package handlers

import (
	"context"
	"fmt"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"

	"headwater/bus/command"
	"headwater/bus/event"
	"headwater/handlers/outcome"
)

// verb describes one command: its handler, how many run at once, and the event with which
// it fails for good.
type verb struct {
	handle      func(h *Handlers) message.NoPublishHandlerFunc
	concurrency int // on a node, unless Options say another number
	// share is how many of those may be one organization's, nil for all.
	share func(concurrency int) int
	// failed returns the event that ends the target after a failure, none where
	// nobody asked.
	failed func(j *job, v view, why *outcome.Failure) (move, error)
	// whole says that failed is asked about an ended target, too: it has more to end.
	whole bool
	// settle does what else must not be left behind, nil for nothing.
	settle func(ctx context.Context, j *job) error
}

// verbs returns the table of all commands, one row each. A command without a row fails
// TestEveryCommandHasAVerb, and no router is set up.
func verbs() map[string]verb {
	return map[string]verb{
		"ConnectSource": {
			handle:      func(h *Handlers) message.NoPublishHandlerFunc { return typed(h, h.connect) },
			concurrency: 8, share: half, failed: connectGivenUp,
			settle: func(ctx context.Context, j *job) error {
				return j.settleSecrets(ctx, j.data.(*command.ConnectSource))
			},
		},
		"TestConnection": {
			handle:      func(h *Handlers) message.NoPublishHandlerFunc { return typed(h, h.test) },
			concurrency: 8, share: half, failed: testGivenUp, settle: func(ctx context.Context, j *job) error { return j.destroyTest(ctx) },
		},
		"SyncSource": {
			handle:      func(h *Handlers) message.NoPublishHandlerFunc { return typed(h, h.sync) },
			concurrency: 4, share: allButOne, failed: syncGivenUp,
		},
		"FollowSource": { // each lasts until it is told to end, beside the syncs
			handle:      func(h *Handlers) message.NoPublishHandlerFunc { return typed(h, h.follow) },
			concurrency: 32, share: allButOne, failed: syncGivenUp,
		},
		"ReleaseChanges": { // it waits for a source that may be gone
			handle:      func(h *Handlers) message.NoPublishHandlerFunc { return typed(h, h.releaseChanges) },
			concurrency: 4, share: half, failed: func(*job, view, *outcome.Failure) (move, error) { return move{}, nil },
		},
		"CancelOperation": {
			handle:      func(h *Handlers) message.NoPublishHandlerFunc { return typed(h, h.cancel) },
			concurrency: 4, failed: rejects,
		},
		"RemoveSource": { // one event, nothing outside: as RestoreSource and RenameSource
			handle:      func(h *Handlers) message.NoPublishHandlerFunc { return typed(h, h.remove) },
			concurrency: 64, failed: rejects, settle: func(ctx context.Context, j *job) error { return j.destroyPurged(ctx) },
		},
		"DiscoverSchema": {
			handle:      func(h *Handlers) message.NoPublishHandlerFunc { return typed(h, h.discover) },
			concurrency: 4, share: half, failed: rejects,
		},
		"RestoreSource": {
			handle:      func(h *Handlers) message.NoPublishHandlerFunc { return typed(h, h.restore) },
			concurrency: 64, failed: rejects,
		},
		"PurgeSource": {
			handle:      func(h *Handlers) message.NoPublishHandlerFunc { return typed(h, h.purge) },
			concurrency: 2, failed: func(*job, view, *outcome.Failure) (move, error) { return move{}, nil },
			settle: func(ctx context.Context, j *job) error { return j.destroyPurged(ctx) },
		},
		"VerifySource": { // it reads as much as a sync
			handle:      func(h *Handlers) message.NoPublishHandlerFunc { return typed(h, h.verify) },
			concurrency: 1, share: half, failed: rejects,
		},
		"MaintainSource": { // beside syncs, so few and in turn
			handle:      func(h *Handlers) message.NoPublishHandlerFunc { return typed(h, h.maintain) },
			concurrency: 1, share: half, failed: maintainGivenUp,
		},
		"RenameSource": {
			handle:      func(h *Handlers) message.NoPublishHandlerFunc { return typed(h, h.rename) },
			concurrency: 64, failed: rejects,
		},
		"ChangeSchedule": {
			handle:      func(h *Handlers) message.NoPublishHandlerFunc { return typed(h, h.changeSchedule) },
			concurrency: 64, failed: rejects,
		},
		"FireSchedule": { // one event, one command
			handle:      func(h *Handlers) message.NoPublishHandlerFunc { return typed(h, h.fire) },
			concurrency: 64, failed: runGivenUp, whole: true,
		},
	}
}

// verbOf returns the verb of a command, false for one that could not be read.
func verbOf(data command.Data) (verb, bool) {
	if _, lost := data.(*unreadable); lost {
		return verb{}, false
	}
	v, known := verbs()[data.CommandName()]
	return v, known
}

// half is the share of commands that wait for a source: one whose servers say
// nothing leaves places to others.
func half(concurrency int) int { return max(1, concurrency/2) }

// allButOne is the share of commands that may last for hours: one place is always
// another's.
func allButOne(concurrency int) int { return max(1, concurrency-1) }

// rejects ends a target with CommandRejected.
func rejects(j *job, _ view, why *outcome.Failure) (move, error) {
	return j.rejected(why.Reason, why.Message), nil
}

func connectGivenUp(j *job, _ view, why *outcome.Failure) (move, error) {
	return move{data: connectFailed(j, j.data.(*command.ConnectSource), why)}, nil
}

func testGivenUp(j *job, _ view, why *outcome.Failure) (move, error) {
	return move{data: tested(j, j.data.(*command.TestConnection), nil, why)}, nil
}

// syncOf returns the id of the sync that a command asks for, "" for none.
func syncOf(d command.Data) string {
	switch c := d.(type) {
	case *command.SyncSource:
		return c.SyncID
	case *command.FollowSource:
		return c.SyncID
	}
	return ""
}

// syncGivenUp ends the command's own sync with SyncFailed; where another runs, or
// the source is gone, there is only a command to reject.
func syncGivenUp(j *job, v view, why *outcome.Failure) (move, error) {
	id := syncOf(j.data)
	sync, err := j.h.state.Sync(j.address, id)
	if err != nil {
		return move{}, fmt.Errorf("read the sync's state: %w", err)
	}
	if sync.Ended {
		return move{}, nil
	}
	if v.Running != nil && v.Running.SyncID != id || !v.Connected {
		return j.rejected(why.Reason, why.Message), nil
	}
	failed := &event.SyncFailed{Meta: j.meta(true), SyncID: id, Reason: why.Reason, Message: why.Message, Tables: []event.TableResult{}}
	if !sync.Started.IsZero() {
		failed.DurationMS = time.Since(sync.Started).Milliseconds()
	}
	return move{data: failed}, nil
}
