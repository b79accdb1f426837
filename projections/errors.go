package projections

import (
	"errors"

	"headwater/projections/layout"
)

var (
	// ErrNotFound says that nothing with that id exists in that organization and
	// workspace. It does not say whether it exists elsewhere.
	ErrNotFound = errors.New("not found")
	// ErrClosed is returned by every method of a Store after Close.
	ErrClosed = errors.New("the projection is closed")
	// ErrDamaged says that stored bytes fail their checksum. None of them are
	// returned to readers; the next Open rebuilds the store from the log.
	ErrDamaged = layout.ErrDamaged
	// ErrInUse is returned by Open if another process holds the directory.
	ErrInUse = errors.New("the projection is in use by another process")
	// ErrBadCursor says that a page cursor belongs to another query.
	ErrBadCursor = errors.New("the cursor does not belong to this query")
	// ErrFuture says that a read as of a sequence names one that is not applied
	// yet.
	ErrFuture = errors.New("the sequence lies in the future")
	// ErrOtherLog is returned by Follow if the log is not the one that the store
	// followed: the stream was deleted and created again, or replaced.
	ErrOtherLog = errors.New("the log is not the one that the projection followed")
	// ErrAhead is returned by Follow if the log ends before the store's
	// position: the log has lost its end.
	ErrAhead = errors.New("the log ends before the projection does")
	// ErrLayout says that a store was written by a build with other keys or values.
	ErrLayout = errors.New("the store is of another version")
	// ErrDrift says that an audit found the store to differ from the log.
	ErrDrift = errors.New("the projection is not what the log says")
	// ErrLost is returned by a Replayer, and thus by Follow and Audit, if the
	// log has lost an event that it should hold.
	ErrLost = errors.New("the log has lost an event")
	// ErrTruncated is returned by Follow if the log no longer holds the event
	// after the store's position.
	ErrTruncated = errors.New("the log no longer holds the events that follow")
)
