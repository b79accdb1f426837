package bus

import (
	"headwater/bus/command"
	"headwater/bus/event"
	"headwater/bus/jobs"
)

// Durable identifiers on the broker. Renaming one strands what it holds.
const (
	StreamCommands    = command.Stream
	StreamEvents      = event.Stream
	StreamDeadLetters = "HEADWATER_DEADLETTERS"

	// SubjectDeadLetters begins the subject of every dead letter; the rest is
	// the subject it came from.
	SubjectDeadLetters = "headwater.deadletters"

	BucketSecrets     = "HEADWATER_SECRETS"
	BucketCatalog     = "HEADWATER_CATALOG"
	BucketIdempotency = "HEADWATER_IDEMPOTENCY" // a key lives 24 h from its last write

	BucketWebhooks = "HEADWATER_WEBHOOKS" // what is delivered where, and how far

	// ObjectsPayloads holds bodies larger than MaxInline.
	ObjectsPayloads = "HEADWATER_PAYLOADS"

	// ObjectsSnapshots holds snapshots of projections. They can be made again.
	ObjectsSnapshots = "HEADWATER_SNAPSHOTS"

	bucketPostponed = "HEADWATER_POSTPONED" // how often a command was put off, which is no failure
)

// DurableFor returns the name of the durable consumer that hands out the named
// command.
func DurableFor(name string) string { return jobs.DurableFor(name) }
