package client

import (
	"context"
	"errors"
	"fmt"

	"headwater/cmd/headwater/exit"
)

const (
	// maxFailedPolls is the number of consecutive failed polls after which FollowSync
	// gives up.
	maxFailedPolls = 10
	// quickPolls is the number of frequent polls; afterwards a sync is polled a fifth
	// as often.
	quickPolls = 50
)

// FollowSync shows a sync operation on p until it has ended. It returns the
// operation and its syncs, in the order of the targets. With an error it returns
// the last state that it saw.
func (c *Client) FollowSync(ctx context.Context, id string, p *Progress) (op OperationDoc, syncs []SyncDoc, err error) {
	over := map[string]SyncDoc{}
	for looks, failed := 1, 0; ; looks++ {
		seen, seenSyncs, err := c.look(ctx, id, over)
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
			var refused *APIError
			if failed++; failed >= maxFailedPolls || errors.As(err, &refused) && refused.HTTP < 500 {
				return op, syncs, exit.With(exit.Unknown, fmt.Errorf("%w\n  the sync is %s and may go on", err, id))
			}
		}
		pause := c.poll
		if looks > quickPolls {
			pause *= 5
		}
		if err := sleep(ctx, pause); err != nil {
			return op, syncs, err
		}
	}
}

// look reads an operation and its syncs. A sync that no worker has taken yet has
// no document and is omitted. An ended sync is stored in over and not read
// again.
func (c *Client) look(ctx context.Context, id string, over map[string]SyncDoc) (OperationDoc, []SyncDoc, error) {
	// The operation is read first: once it has ended, its syncs do not change.
	op, err := c.operation(ctx, id)
	if err != nil {
		return op, nil, err
	}
	var syncs []SyncDoc
	for _, target := range op.Targets {
		if target.SyncID == "" {
			continue
		}
		sync, known := over[target.SyncID]
		if !known {
			sync, err = c.syncOf(ctx, target.SyncID)
			if notFound(err) {
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
