package handlers

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"

	"headwater/bus/event"
	"headwater/connectors"
	"headwater/connectors/driver"
	"headwater/handlers/extract"
	"headwater/handlers/landing"
	"headwater/handlers/landing/digest"
	"headwater/handlers/maintenance"
	"headwater/handlers/removal"
	"headwater/handlers/syncing"
	"headwater/handlers/verification"
)

// Opened returns the registry as the Connectors of Deps: sources are read in
// this process. A service reads them in an extract.Pool.
func Opened(r *connectors.Registry, log *slog.Logger) extract.Opener {
	return extract.LocalOpener{Log: log, OpenSource: func(ctx context.Context, of, connector string, public, secret json.RawMessage, limits driver.Limits) (extract.Source, error) {
		return r.Open(ctx, extract.OrganizationOf(of), connector, public, secret, limits)
	}}
}

// Landing returns the lake as the Lake of Deps.
func Landing(l *landing.Lake) Lake { return landed{l} }

type landed struct{ lake *landing.Lake }

func (l landed) Begin(ctx context.Context, t landing.Target) (syncing.Writer, error) {
	w, err := l.lake.Begin(ctx, t)
	if err != nil {
		return nil, err
	}
	return landedTable{w}, nil
}

// landedTable writes its parts to the lake's files.
type landedTable struct{ *landing.Writer }

func (t landedTable) Create(name string) (io.WriteCloser, error) { return t.Files().Create(name) }

func (l landed) Standing(ctx context.Context, a event.Address, t driver.Table, key []string) (landing.Standing, error) {
	return l.lake.Standing(ctx, a, t, key)
}

func (l landed) Digest(ctx context.Context, st landing.Standing, spec digest.Spec, newer []digest.Hash) (digest.Sums, error) {
	return l.lake.Digest(ctx, st, spec, newer)
}

func (l landed) UpkeepDue(ctx context.Context, a event.Address, namespace, name string) (string, bool, error) {
	return l.lake.UpkeepDue(ctx, a, namespace, name)
}

func (l landed) Maintain(ctx context.Context, a event.Address, namespace, name string, asked bool) (landing.Maintained, error) {
	return l.lake.Maintain(ctx, a, namespace, name, asked)
}

func (l landed) Drop(ctx context.Context, a event.Address) (landing.Dropped, error) {
	return l.lake.Drop(ctx, a)
}

// Lake is where tables land. See Landing for *landing.Lake.
type Lake interface {
	syncing.Lake
	verification.Lake
	maintenance.Lake
	removal.Lake
}
