package jobs

import (
	"context"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/ThreeDotsLabs/watermill/message"
)

// Metadata of a dead letter, in addition to that of the message.
const (
	MetaDeadReason     = "headwater-dead-reason"
	MetaDeadSequence   = "headwater-dead-sequence" // sequence in the stream it came from
	MetaDeadDeliveries = "headwater-dead-deliveries"
)

const maxReason = 1 << 10

// bury stores a dead letter for a message. Its id derives from the message's
// sequence, so that giving up twice leaves one letter.
func (d *delivery) bury(ctx context.Context, cause error) error {
	letter := message.NewMessageWithContext(ctx, "dead-"+d.meta.Stream+"-"+strconv.FormatUint(d.meta.Sequence.Stream, 10), d.in.Data())
	for k, v := range d.msg.Metadata {
		if !strings.HasPrefix(strings.ToLower(k), "nats-") {
			letter.Metadata.Set(k, v)
		}
	}
	letter.Metadata.Set(MetaDeadReason, reasonText(cause))
	letter.Metadata.Set(MetaDeadSequence, strconv.FormatUint(d.meta.Sequence.Stream, 10))
	letter.Metadata.Set(MetaDeadDeliveries, strconv.FormatUint(d.meta.NumDelivered, 10))
	return d.jobs.broker.Bury(ctx, d.in.Subject(), letter)
}

// reasonText returns an error as one header line of limited length.
func reasonText(err error) string {
	text := strings.Join(strings.Fields(err.Error()), " ")
	if len(text) > maxReason {
		text = text[:maxReason]
		for !utf8.ValidString(text) {
			text = text[:len(text)-1]
		}
	}
	return text
}
