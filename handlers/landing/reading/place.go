package reading

import (
	"context"
	"errors"
	"fmt"

	"github.com/apache/iceberg-go/catalog"

	"headwater/bus/event"
	"headwater/connectors/driver"
	"headwater/handlers/landing/kvcatalog"
	"headwater/handlers/landing/syncstate"
)

// current returns a table as it is now, or ErrNoTable.
func (l *Reader) current(ctx context.Context, a event.Address, namespace, name string) (kvcatalog.Loaded, error) {
	at, err := l.catalog.Load(ctx, kvcatalog.IdentifierOf(a, namespace, name))
	if errors.Is(err, catalog.ErrNoSuchTable) {
		return kvcatalog.Loaded{}, fmt.Errorf("%w: %s", ErrNoTable, driver.Table{Namespace: namespace, Name: name})
	}
	return at, err
}

// Count returns how many rows readers of the table see now. It returns
// ErrNoTable for a table that was never landed.
func (l *Reader) Count(ctx context.Context, a event.Address, namespace, name string) (int64, error) {
	at, err := l.within(ctx).current(ctx, a, namespace, name)
	if err != nil {
		return 0, err
	}
	s := at.Meta.CurrentSnapshot()
	if s == nil {
		return 0, nil
	}
	return syncstate.TotalRecords(s)
}

// Place is where a table lies at this moment.
type Place struct {
	Location string // its folder, as a URL
	Metadata string // the file of its folder that is the table now, as a URL
}

// Place returns where a table lies, or ErrNoTable for one that was never landed.
// It opens no file.
func (l *Reader) Place(ctx context.Context, a event.Address, namespace, name string) (Place, error) {
	p, _, err := l.catalog.Pointer(ctx, kvcatalog.IdentifierOf(a, namespace, name))
	if errors.Is(err, catalog.ErrNoSuchTable) {
		return Place{}, fmt.Errorf("%w: %s", ErrNoTable, driver.Table{Namespace: namespace, Name: name})
	}
	return Place{p.Folder(), p.Location}, err
}
