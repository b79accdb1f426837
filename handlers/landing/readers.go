package landing

import (
	"context"
	"time"

	"headwater/bus/event"
	"headwater/connectors/driver"
	"headwater/handlers/landing/digest"
	"headwater/handlers/landing/reading"
	"headwater/handlers/landing/views"
)

// Types of reading, for callers that import only landing.
type (
	Standing = reading.Standing
	Moment   = reading.Moment
)

// reader reads the lake's tables as they are.
func (l *Lake) reader() *reading.Reader { return reading.New(l.catalog, l.files, l.root, l.now) }

// Metadata is reading.Reader.Metadata of the lake.
func (l *Lake) Metadata(ctx context.Context, a event.Address, namespace, name string, at time.Time) (reading.Described, error) {
	return l.reader().Metadata(ctx, a, namespace, name, at)
}

// Views is reading.Reader.Views of the lake.
func (l *Lake) Views(as string) *views.Views { return l.reader().Views(as) }

// Count is reading.Reader.Count of the lake.
func (l *Lake) Count(ctx context.Context, a event.Address, namespace, name string) (int64, error) {
	return l.reader().Count(ctx, a, namespace, name)
}

// Place is reading.Reader.Place of the lake.
func (l *Lake) Place(ctx context.Context, a event.Address, namespace, name string) (reading.Place, error) {
	return l.reader().Place(ctx, a, namespace, name)
}

// Preview is reading.Reader.Preview of the lake.
func (l *Lake) Preview(ctx context.Context, a event.Address, namespace, name string, limit int) ([]reading.Column, [][]any, error) {
	return l.reader().Preview(ctx, a, namespace, name, limit)
}

// Show is reading.Reader.Show of the lake.
func (l *Lake) Show(ctx context.Context, a event.Address, namespace, name string, limit int, moment Moment) (reading.Shown, error) {
	return l.reader().Show(ctx, a, namespace, name, limit, moment)
}

// Standing is reading.Reader.Standing of the lake.
func (l *Lake) Standing(ctx context.Context, a event.Address, t driver.Table, key []string) (Standing, error) {
	return l.reader().Standing(ctx, a, t, key)
}

// Digest is reading.Reader.Digest of the lake.
func (l *Lake) Digest(ctx context.Context, st Standing, spec digest.Spec, newer []digest.Hash) (digest.Sums, error) {
	return l.reader().Digest(ctx, st, spec, newer)
}

// Checkpoints is reading.Reader.Checkpoints of the lake.
func (l *Lake) Checkpoints(ctx context.Context, a event.Address) (map[string][]reading.Checkpoint, error) {
	return l.reader().Checkpoints(ctx, a)
}
