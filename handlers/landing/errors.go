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
	// table was dropped: nothing of this writer may land any more.
	ErrFenced = errors.New("another worker has taken over this table")
	// ErrSchemaChanged means that the landed table cannot hold what the source
	// has become by appending to it. A full refresh can.
	ErrSchemaChanged = tableschema.ErrChanged
	// ErrBadTable means that a table's columns cannot be landed at all: none,
	// two of the same name, or a name that is empty or not text.
	ErrBadTable = tableschema.ErrBadTable
	// ErrNoCursor means that an incremental sync has no column to go by, or
	// that rows came without the cursor that resumes after them.
	ErrNoCursor = errors.New("no cursor")
	// ErrBadKey means that rows cannot be told apart by their key: there is none,
	// or one of its columns holds NULL.
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
	// ErrUnknown means that it is not known whether a commit happened, because
	// the catalog did not answer. The next Begin finds out.
	ErrUnknown = kvcatalog.ErrUnknown
	// ErrClosed means that the Writer was used after Abort or its final commit.
	ErrClosed = errors.New("the table's writer is closed")
)

// ForeignLakeError says that this instance may not write a lake, because the lake or
// the catalog in its data directory belongs elsewhere. Nothing was changed.
type ForeignLakeError = ownership.ForeignLakeError
