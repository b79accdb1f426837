package bus

import (
	"headwater/bus/command"
	"headwater/bus/event"
	"headwater/bus/jobs"
)

// Durable identifiers on the broker. Renaming one abandons what it holds.
const (
	StreamCommands    = command.Stream
	StreamEvents      = event.Stream
	StreamDeadLetters = "HEADWATER_DEADLETTERS"

	// SubjectDeadLetters is the prefix of every dead letter's subject; the rest
	// is the subject of the original message.
	SubjectDeadLetters = "headwater.deadletters"

	BucketSecrets     = "HEADWATER_SECRETS"
	BucketCatalog     = "HEADWATER_CATALOG"
	BucketIdempotency = "HEADWATER_IDEMPOTENCY" // a key expires 24 h after its last write

	BucketWebhooks = "HEADWATER_WEBHOOKS" // definitions and delivery state of webhooks

	// ObjectsPayloads holds bodies larger than MaxInline.
	ObjectsPayloads = "HEADWATER_PAYLOADS"

	// ObjectsSnapshots holds snapshots of the read model. They can be recreated.
	ObjectsSnapshots = "HEADWATER_SNAPSHOTS"

	bucketPostponed = "HEADWATER_POSTPONED" // number of deliveries of a command that do not count as failures
)

// DurableFor returns the name of the durable consumer for a command.
func DurableFor(name string) string { return jobs.DurableFor(name) }
