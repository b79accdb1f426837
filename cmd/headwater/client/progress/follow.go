package progress

import (
	"context"
	"errors"
	"fmt"

	"headwater/cmd/headwater/client/rest"
	"headwater/cmd/headwater/exit"
)

const (
	// maxFailedPolls is the number of consecutive failed polls after which Follow
	// gives up.
	maxFailedPolls = 10
	// quickPolls is the number of frequent polls; afterwards a sync is polled a fifth
	// as often.
	quickPolls = 50
)

// Follow shows a sync operation on p until it has ended. It returns the
// operation and its syncs, in the order of the targets. With an error it returns
// the last state that it saw.
func Follow(ctx context.Context, c *rest.Conn, id string, p *Display) (op rest.OperationDoc, syncs []rest.SyncDoc, err error) {
	over := map[string]rest.SyncDoc{}
	for looks, failed := 1, 0; ; looks++ {
		seen, seenSyncs, err := look(ctx, c, id, over)
		switch {
		case err == nil:
			op, syncs, failed = seen, seenSyncs, 0
			p.show(syncs)
			if op.Status != "running" {
				return op, syncs, nil
			}
		case ctx.Err() != nil:
			return op, syncs, ctx.Err()
		default:
			var refused *rest.APIError
			if failed++; failed >= maxFailedPolls || errors.As(err, &refused) && refused.HTTP < 500 {
				return op, syncs, exit.With(exit.Unknown, fmt.Errorf("%w\n  the sync is %s and may go on", err, id))
			}
		}
		pause := c.Poll
		if looks > quickPolls {
			pause *= 5
		}
		if err := rest.Sleep(ctx, pause); err != nil {
			return op, syncs, err
		}
	}
}

// look reads an operation and its syncs. A sync that no worker has taken yet has
// no document and is omitted. An ended sync is stored in over and not read
// again.
func look(ctx context.Context, c *rest.Conn, id string, over map[string]rest.SyncDoc) (rest.OperationDoc, []rest.SyncDoc, error) {
	// The operation is read first: once it has ended, its syncs do not change.
	op, err := c.Operation(ctx, id)
	if err != nil {
		return op, nil, err
	}
	var syncs []rest.SyncDoc
	for _, target := range op.Targets {
		if target.SyncID == "" {
			continue
		}
		sync, known := over[target.SyncID]
		if !known {
			sync, err = c.Sync(ctx, target.SyncID)
			if rest.NotFound(err) {
				continue
			}
			if err != nil {
				return op, nil, err
			}
			if sync.SourceName == "" {
				sync.SourceName = target.Name
			}
			if sync.Status != "running" {
				over[target.SyncID] = sync
			}
		}
		syncs = append(syncs, sync)
	}
	return op, syncs, nil
}
