package event

// Reason is why something failed, from a closed set. Programs should use the
// reason; the message with it is for people.
type Reason string

// Reasons. New ones may be added; none changes its meaning.
const (
	ReasonInvalidConfig   Reason = "invalid_config"   // the configuration is invalid
	ReasonUnreachable     Reason = "unreachable"      // no connection, or refused by egress rules, deliberately indistinguishable
	ReasonAuthentication  Reason = "authentication"   // user, password or key refused
	ReasonPermission      Reason = "permission"       // connected, but not permitted to read
	ReasonNotFound        Reason = "not_found"        // database, file, table or endpoint does not exist
	ReasonBadData         Reason = "bad_data"         // the source sent something unreadable
	ReasonUnsupported     Reason = "unsupported"      // a type or feature that cannot be read
	ReasonLimit           Reason = "limit"            // a limit of size, pages, columns or rows was exceeded
	ReasonTimeout         Reason = "timeout"          // a time limit was exceeded
	ReasonConflict        Reason = "conflict"         // the name is taken by another type, or the state has changed
	ReasonAlreadySyncing  Reason = "already_syncing"  // another sync of the source is running
	ReasonSourceRemoved   Reason = "source_removed"   // the source was removed meanwhile
	ReasonPurged          Reason = "purged"           // the removed source is or will be destroyed: its grace period has ended
	ReasonCancelled       Reason = "cancelled"        // somebody cancelled it
	ReasonSchemaChanged   Reason = "schema_changed"   // the table no longer fits what has landed
	ReasonStorage         Reason = "storage"          // the lake or disk refused
	ReasonSecretDestroyed Reason = "secret_destroyed" // the keys of the source are destroyed
	ReasonInternal        Reason = "internal"         // an error of the service; its log has details
)
