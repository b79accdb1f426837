package main

import (
	"context"
	"fmt"
	"io"
	"strconv"
	"time"

	"headwater/bus"
	"headwater/projections"
	"headwater/projections/proof"
)

const (
	// auditFirst is the delay before the first audit, so that clients of a
	// starting node come first.
	auditFirst = time.Minute
	// auditShare is the share of a processor that an audit may use.
	auditShare    = 0.1
	snapshotsKept = 2
	snapshotLook  = time.Minute
)

// restore fills an empty read model from a snapshot, if there is a suitable one.
func restore(ctx context.Context, view *projections.Store, wire *bus.Bus) error {
	return proof.Restore(ctx, view, eventLog{wire}, snapshots{wire.Snapshots()})
}

// maintain audits the read model and makes snapshots of it, as configured, until
// the node is closed.
func (n *node) maintain(life context.Context, cfg Config, view *projections.Store, wire *bus.Bus) {
	n.audits = proof.NewAuditor(view, proof.AuditPolicy{
		First: min(auditFirst, cfg.AuditEvery), Every: cfg.AuditEvery, Share: auditShare,
	})
	if cfg.AuditEvery > 0 {
		n.beside(life, "audit", func(ctx context.Context) { n.audits.Run(ctx, eventLog{wire}) })
	}
	if cfg.SnapshotEvents > 0 {
		policy := proof.SnapshotPolicy{Events: cfg.SnapshotEvents, Age: cfg.SnapshotEvery, Keep: snapshotsKept, Look: min(snapshotLook, cfg.SnapshotEvery)}
		n.beside(life, "snapshots", func(ctx context.Context) { proof.KeepSnapshots(ctx, view, snapshots{wire.Snapshots()}, policy) })
	}
}

// snapshots are the bus's snapshots as the read model uses them. It implements
// proof.Snapshots.
type snapshots struct{ *bus.Snapshots }

// Attributes stored with a snapshot.
const (
	aboutSequence = "sequence"
	aboutHash     = "hash"
	aboutLayout   = "layout"
	aboutLog      = "log"
)

func (s snapshots) List(ctx context.Context) ([]proof.SnapshotInfo, error) {
	found, err := s.Snapshots.List(ctx)
	var all []proof.SnapshotInfo
	for _, f := range found {
		// An unreadable sequence makes the snapshot unusable, which is what it
		// should be.
		sequence, _ := strconv.ParseUint(f.About[aboutSequence], 10, 64)
		layout, _ := strconv.Atoi(f.About[aboutLayout])
		all = append(all, proof.SnapshotInfo{
			Name: f.Name, Sequence: sequence, Hash: f.About[aboutHash], Layout: layout, Log: f.About[aboutLog], Size: f.Size, Made: f.Made,
		})
	}
	return all, err
}

func (s snapshots) Put(ctx context.Context, info proof.SnapshotInfo, body io.Reader) error {
	return s.Snapshots.Put(ctx, map[string]string{
		aboutSequence: strconv.FormatUint(info.Sequence, 10), aboutHash: info.Hash,
		aboutLayout: strconv.Itoa(info.Layout), aboutLog: info.Log,
	}, body)
}

// audited returns the reason from an audit why the node must not serve, or nil;
// nil before the first audit.
func (n *node) audited() error {
	if err := n.audits.Err(); err != nil {
		return fmt.Errorf("audit: %w", err)
	}
	return nil
}
