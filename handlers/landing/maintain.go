package landing

import (
	"context"
	"errors"
	"fmt"
	"path"

	"github.com/apache/iceberg-go/catalog"

	"headwater/bus/event"
	"headwater/connectors/driver"
	"headwater/handlers/landing/kvcatalog"
	"headwater/handlers/landing/sweep"
	"headwater/handlers/landing/upkeep"
)

// Maintained is upkeep.Maintained, for callers that import only landing.
type Maintained = upkeep.Maintained

// sweeper removes files of the lake's tables.
func (l *Lake) sweeper() *sweep.Sweeper { return sweep.New(l.catalog, l.Owner, l.log, l.now) }

// maintainer maintains the lake's tables.
func (l *Lake) maintainer() *upkeep.Maintainer {
	return upkeep.New(l.catalog, l.sweeper(), l.idle, l.log, l.now, l.patience)
}

// Maintain is upkeep.Maintainer.Maintain of a table of the lake. It returns ErrNoTable
// if the table was never landed or is gone, and the *ForeignLakeError of Claimed.
func (l *Lake) Maintain(ctx context.Context, a event.Address, namespace, name string, asked bool) (Maintained, error) {
	if err := l.Claimed(ctx); err != nil {
		return Maintained{}, err
	}
	t := driver.Table{Namespace: namespace, Name: name}
	done, err := l.within(ctx).maintainer().Maintain(ctx, kvcatalog.IdentifierOf(a, namespace, name), asked)
	if errors.Is(err, catalog.ErrNoSuchTable) {
		return done, fmt.Errorf("%w: %s", ErrNoTable, t)
	}
	if err != nil {
		return done, fmt.Errorf("maintain %s: %w", t, err)
	}
	return done, nil
}

// UpkeepDue is upkeep.Maintainer.Due of a table of the lake.
func (l *Lake) UpkeepDue(ctx context.Context, a event.Address, namespace, name string) (occasion string, due bool, err error) {
	return l.within(ctx).maintainer().Due(ctx, kvcatalog.IdentifierOf(a, namespace, name))
}

// beside returns what a sweep beside the writer leaves alone.
func (w *Writer) beside() *sweep.Beside {
	b := &sweep.Beside{Fence: w.target.Fence, Names: map[string]bool{}}
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, name := range w.names {
		b.Names[path.Base(name)] = true
	}
	return b
}
