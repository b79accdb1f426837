package main

import (
	"context"
	"fmt"
	"io"
	"strconv"
	"time"

	"headwater/bus"
	"headwater/projections"
)

const (
	// auditFirst leaves a node that just started to its clients.
	auditFirst = time.Minute
	// auditShare is how much of a processor an audit takes.
	auditShare    = 0.1
	snapshotsKept = 2
	snapshotLook  = time.Minute
)

// restore fills an empty projection from a snapshot, where there is a fitting
// one.
func restore(ctx context.Context, view *projections.Store, wire *bus.Bus) error {
	return view.RestoreSnapshot(ctx, eventLog{wire}, snapshots{wire.Snapshots()})
}

// tend audits the projection and makes snapshots of it, as configured, until
// the node is closed.
func (n *node) tend(life context.Context, cfg Config, view *projections.Store, wire *bus.Bus) {
	n.audits = projections.NewAuditor(view, projections.AuditPolicy{
		First: min(auditFirst, cfg.AuditEvery), Every: cfg.AuditEvery, Share: auditShare,
	})
	if cfg.AuditEvery > 0 {
		n.background(life, func(ctx context.Context) { n.audits.Run(ctx, eventLog{wire}) })
	}
	if cfg.SnapshotEvents > 0 {
		policy := projections.SnapshotPolicy{Events: cfg.SnapshotEvents, Age: cfg.SnapshotEvery, Keep: snapshotsKept, Look: min(snapshotLook, cfg.SnapshotEvery)}
		n.background(life, func(ctx context.Context) { view.KeepSnapshots(ctx, snapshots{wire.Snapshots()}, policy) })
	}
}

// background runs f until the node is closed.
func (n *node) background(life context.Context, f func(context.Context)) {
	life, stop := context.WithCancel(life)
	ended := make(chan struct{})
	go func() { defer close(ended); f(life) }()
	n.onClose(func(ctx context.Context) error {
		stop()
		select {
		case <-ended:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	})
}

// snapshots are the bus's snapshots as the projection uses them.
type snapshots struct{ *bus.Snapshots }

// What a snapshot says of itself.
const (
	aboutSequence = "sequence"
	aboutHash     = "hash"
	aboutLayout   = "layout"
	aboutLog      = "log"
)

func (s snapshots) List(ctx context.Context) ([]projections.SnapshotInfo, error) {
	found, err := s.Snapshots.List(ctx)
	var all []projections.SnapshotInfo
	for _, f := range found {
		// What cannot be read makes a snapshot that nobody can use.
		sequence, _ := strconv.ParseUint(f.About[aboutSequence], 10, 64)
		layout, _ := strconv.Atoi(f.About[aboutLayout])
		all = append(all, projections.SnapshotInfo{
			Name: f.Name, Sequence: sequence, Hash: f.About[aboutHash], Layout: layout, Log: f.About[aboutLog], Size: f.Size, Made: f.Made,
		})
	}
	return all, err
}

func (s snapshots) Put(ctx context.Context, info projections.SnapshotInfo, body io.Reader) error {
	return s.Snapshots.Put(ctx, map[string]string{
		aboutSequence: strconv.FormatUint(info.Sequence, 10), aboutHash: info.Hash,
		aboutLayout: strconv.Itoa(info.Layout), aboutLog: info.Log,
	}, body)
}

// audited returns why an audit forbids to serve: nil before the first one.
func (n *node) audited() error {
	if err := n.audits.Err(); err != nil {
		return fmt.Errorf("audit: %w", err)
	}
	return nil
}
