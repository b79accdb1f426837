package landing

import (
	"errors"

	"headwater/handlers/landing/keys"
	"headwater/handlers/landing/kvcatalog"
	"headwater/handlers/landing/ownership"
	"headwater/handlers/landing/parts"
	"headwater/handlers/landing/reading"
	"headwater/handlers/landing/tableschema"
)

var (
	// ErrFenced means that another worker took the table over, or that the
	// table was dropped: this writer can commit nothing any more.
	ErrFenced = errors.New("another worker has taken over this table")
	// ErrSchemaChanged means that rows as the source has them now cannot be appended to
	// the landed table. A full refresh can replace it.
	ErrSchemaChanged = tableschema.ErrChanged
	// ErrBadTable means that a table cannot be landed at all: it has no column, two of
	// the same name, or one whose name is empty or not UTF-8.
	ErrBadTable = tableschema.ErrBadTable
	// ErrNoCursor means that an incremental sync has no cursor column, or that rows came
	// without the cursor from which the next read goes on.
	ErrNoCursor = errors.New("no cursor")
	// ErrBadKey means that a key does not identify rows: it has no columns, one that the
	// table lacks or whose values cannot be compared, or one that holds NULL.
	ErrBadKey = keys.ErrBadKey
	// ErrNoTable means that the table was never landed, or is gone.
	ErrNoTable = reading.ErrNoTable
	// ErrNoSnapshot means that nothing had landed at that moment.
	ErrNoSnapshot = reading.ErrNoSnapshot
	// ErrExpired means that the snapshot of that moment is not kept any longer, or
	// never was one of the table's, or that its files are gone.
	ErrExpired = reading.ErrExpired
	// ErrStorage means that the lake could not be read or written: disk full,
	// permission, bucket unreachable. The cause is wrapped beside it.
	ErrStorage = parts.ErrStorage
	// ErrUnknown means that the catalog did not answer, so that a commit may or may not
	// have happened. The next Begin finds out.
	ErrUnknown = kvcatalog.ErrUnknown
	// ErrClosed means that the Writer was used after Abort or its final commit.
	ErrClosed = errors.New("the table's writer is closed")
)

// ForeignLakeError says that this instance may not write a lake, because the lake or
// the catalog in its data directory belongs elsewhere. Nothing was changed.
type ForeignLakeError = ownership.ForeignLakeError
