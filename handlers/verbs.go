package handlers

import (
	"context"

	"github.com/ThreeDotsLabs/watermill/message"

	"headwater/bus/command"
	"headwater/handlers/history"
	"headwater/handlers/maintenance"
	"headwater/handlers/outcome"
	"headwater/handlers/sources"
	"headwater/handlers/syncing"
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
	failed func(h *Handlers, j *history.Job, v history.View, why *outcome.Failure) (history.Move, error)
	// whole says that failed is asked about an ended target, too: it has more to end.
	whole bool
	// settle does what else must not be left behind, nil for nothing.
	settle func(ctx context.Context, h *Handlers, j *history.Job) error
}

// verbs returns the table of all commands, one row each. A command without a row fails
// TestEveryCommandHasAVerb, and no router is set up.
func verbs() map[string]verb {
	return map[string]verb{
		"ConnectSource": {
			handle:      func(h *Handlers) message.NoPublishHandlerFunc { return typed(h, h.sources.Connect) },
			concurrency: 8, share: half, failed: connectGivenUp,
			settle: func(ctx context.Context, h *Handlers, j *history.Job) error {
				return h.sources.Settle(ctx, j, j.Data.(*command.ConnectSource))
			},
		},
		"TestConnection": {
			handle:      func(h *Handlers) message.NoPublishHandlerFunc { return typed(h, h.sources.Test) },
			concurrency: 8, share: half, failed: testGivenUp, settle: func(ctx context.Context, h *Handlers, j *history.Job) error { return h.sources.DestroyTest(ctx, j) },
		},
		"SyncSource": {
			handle:      func(h *Handlers) message.NoPublishHandlerFunc { return typed(h, h.syncs.Sync) },
			concurrency: 4, share: allButOne, failed: func(_ *Handlers, j *history.Job, v history.View, why *outcome.Failure) (history.Move, error) {
				return syncing.GivenUp(j, v, why)
			},
			settle: func(ctx context.Context, h *Handlers, j *history.Job) error { return h.syncs.Settle(ctx, j) },
		},
		"FollowSource": { // each lasts until it is told to end, beside the syncs
			handle:      func(h *Handlers) message.NoPublishHandlerFunc { return typed(h, h.syncs.Follow) },
			concurrency: 32, share: allButOne, failed: func(_ *Handlers, j *history.Job, v history.View, why *outcome.Failure) (history.Move, error) {
				return syncing.GivenUp(j, v, why)
			},
			settle: func(ctx context.Context, h *Handlers, j *history.Job) error { return h.syncs.Settle(ctx, j) },
		},
		"ReleaseChanges": { // it waits for a source that may be gone
			handle:      func(h *Handlers) message.NoPublishHandlerFunc { return typed(h, h.logs.ReleaseChanges) },
			concurrency: 4, share: half, failed: nobody,
		},
		"CancelOperation": {
			handle:      func(h *Handlers) message.NoPublishHandlerFunc { return typed(h, h.cancel) },
			concurrency: 4, failed: rejects,
		},
		"RemoveSource": { // one event, nothing outside: as RestoreSource and RenameSource
			handle:      func(h *Handlers) message.NoPublishHandlerFunc { return typed(h, h.removals.Remove) },
			concurrency: 64, failed: rejects, settle: func(ctx context.Context, h *Handlers, j *history.Job) error { return h.removals.DestroyPurged(ctx, j) },
		},
		"DiscoverSchema": {
			handle:      func(h *Handlers) message.NoPublishHandlerFunc { return typed(h, h.sources.Discover) },
			concurrency: 4, share: half, failed: rejects,
		},
		"RestoreSource": {
			handle:      func(h *Handlers) message.NoPublishHandlerFunc { return typed(h, h.removals.Restore) },
			concurrency: 64, failed: rejects,
		},
		"PurgeSource": {
			handle:      func(h *Handlers) message.NoPublishHandlerFunc { return typed(h, h.removals.Purge) },
			concurrency: 2, failed: nobody,
			settle: func(ctx context.Context, h *Handlers, j *history.Job) error { return h.removals.DestroyPurged(ctx, j) },
		},
		"VerifySource": { // it reads as much as a sync
			handle:      func(h *Handlers) message.NoPublishHandlerFunc { return typed(h, h.verifier.Verify) },
			concurrency: 1, share: half, failed: rejects,
		},
		"MaintainSource": { // beside syncs, so few and in turn
			handle:      func(h *Handlers) message.NoPublishHandlerFunc { return typed(h, h.maintenance.Maintain) },
			concurrency: 1, share: half, failed: func(_ *Handlers, j *history.Job, _ history.View, why *outcome.Failure) (history.Move, error) {
				return maintenance.GivenUp(j, why)
			},
		},
		"RenameSource": {
			handle:      func(h *Handlers) message.NoPublishHandlerFunc { return typed(h, h.sources.Rename) },
			concurrency: 64, failed: rejects,
		},
		"ChangeSchedule": {
			handle:      func(h *Handlers) message.NoPublishHandlerFunc { return typed(h, h.schedules.Change) },
			concurrency: 64, failed: rejects,
		},
		"FireSchedule": { // one event, one command
			handle:      func(h *Handlers) message.NoPublishHandlerFunc { return typed(h, h.schedules.Fire) },
			concurrency: 64, failed: func(h *Handlers, j *history.Job, v history.View, why *outcome.Failure) (history.Move, error) {
				return h.schedules.GivenUp(j, v, why)
			}, whole: true,
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

// nobody ends nothing: no request led to the command.
func nobody(*Handlers, *history.Job, history.View, *outcome.Failure) (history.Move, error) {
	return history.Move{}, nil
}

// rejects ends a target with CommandRejected.
func rejects(_ *Handlers, j *history.Job, _ history.View, why *outcome.Failure) (history.Move, error) {
	return j.Rejected(why.Reason, why.Message), nil
}

func connectGivenUp(_ *Handlers, j *history.Job, _ history.View, why *outcome.Failure) (history.Move, error) {
	return history.Move{Data: sources.ConnectFailed(j, j.Data.(*command.ConnectSource), why)}, nil
}

func testGivenUp(_ *Handlers, j *history.Job, _ history.View, why *outcome.Failure) (history.Move, error) {
	return history.Move{Data: sources.Tested(j, j.Data.(*command.TestConnection), nil, why)}, nil
}
