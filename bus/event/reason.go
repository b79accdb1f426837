package event

// Reason is why something failed, from a closed set. A message for people goes
// with it; programs look at the reason.
type Reason string

// The reasons. New ones may be added; none changes its meaning.
const (
	ReasonInvalidConfig   Reason = "invalid_config"   // the configuration cannot be right
	ReasonUnreachable     Reason = "unreachable"      // no connection, or refused by egress rules: the two look alike on purpose
	ReasonAuthentication  Reason = "authentication"   // user, password or key refused
	ReasonPermission      Reason = "permission"       // connected, but not allowed to read
	ReasonNotFound        Reason = "not_found"        // database, file, table or endpoint is not there
	ReasonBadData         Reason = "bad_data"         // the source sent what cannot be read
	ReasonUnsupported     Reason = "unsupported"      // a type or feature we do not read
	ReasonLimit           Reason = "limit"            // a bound of size, pages, columns or rows was passed
	ReasonTimeout         Reason = "timeout"          // a time limit was passed
	ReasonConflict        Reason = "conflict"         // the name is taken by another type, or the state moved on
	ReasonAlreadySyncing  Reason = "already_syncing"  // another sync of the source runs: follow that one
	ReasonSourceRemoved   Reason = "source_removed"   // the source was removed meanwhile
	ReasonPurged          Reason = "purged"           // the removed source is destroyed, or is to be: its grace period has passed
	ReasonCancelled       Reason = "cancelled"        // somebody asked for it
	ReasonSchemaChanged   Reason = "schema_changed"   // the table no longer fits what was landed
	ReasonStorage         Reason = "storage"          // the lake or disk refused
	ReasonSecretDestroyed Reason = "secret_destroyed" // the keys of the source are gone
	ReasonInternal        Reason = "internal"         // our fault; the log has the rest
)
