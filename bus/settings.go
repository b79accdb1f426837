package bus

import (
	"errors"
	"fmt"
	"slices"

	"github.com/nats-io/nats.go/jetstream"
)

// checkSettings checks the settings on which the promises depend. Settings that only
// tune (description, compression, placement, metadata) are left to the operator.
func checkSettings(got, want jetstream.StreamConfig) error {
	var wrong []error
	check := func(setting string, same bool, is, wanted any) {
		if !same {
			wrong = append(wrong, fmt.Errorf("%s is %v, wanted %v", setting, is, wanted))
		}
	}
	check("storage", got.Storage == want.Storage, got.Storage, want.Storage)
	check("persist_mode", got.PersistMode == jetstream.DefaultPersistMode, got.PersistMode, jetstream.DefaultPersistMode)
	check("no_ack", !got.NoAck, got.NoAck, false)
	// Older builds had commands in a work queue everywhere, which loses nothing
	// either.
	queued := want.Name == StreamCommands && got.Retention == jetstream.WorkQueuePolicy
	check("retention", got.Retention == want.Retention || queued, got.Retention, want.Retention)
	check("subjects", slices.Equal(got.Subjects, want.Subjects), got.Subjects, want.Subjects)
	check("num_replicas", got.Replicas == want.Replicas, got.Replicas, want.Replicas)
	check("max_age", got.MaxAge == want.MaxAge, got.MaxAge, want.MaxAge)
	check("max_msgs", got.MaxMsgs == want.MaxMsgs, got.MaxMsgs, want.MaxMsgs)
	check("max_msgs_per_subject", max(0, got.MaxMsgsPerSubject) == want.MaxMsgsPerSubject, got.MaxMsgsPerSubject, want.MaxMsgsPerSubject)
	// A limit in bytes is safe if it refuses new messages instead of dropping
	// old ones.
	check("discard", got.Discard == want.Discard, got.Discard, want.Discard)
	check("max_msg_size", got.MaxMsgSize < 0 || got.MaxMsgSize >= maxPayload, got.MaxMsgSize, want.MaxMsgSize)
	check("duplicate_window", got.Duplicates >= want.Duplicates, got.Duplicates, want.Duplicates)
	check("deny_delete", got.DenyDelete == want.DenyDelete, got.DenyDelete, want.DenyDelete)
	check("allow_direct", got.AllowDirect || !want.AllowDirect, got.AllowDirect, want.AllowDirect)
	check("allow_msg_ttl", got.AllowMsgTTL == want.AllowMsgTTL, got.AllowMsgTTL, want.AllowMsgTTL)
	check("sealed", !got.Sealed, got.Sealed, false)
	check("mirror", got.Mirror == nil, got.Mirror, nil)
	check("sources", len(got.Sources) == 0, got.Sources, nil)
	check("subject_transform", got.SubjectTransform == nil, got.SubjectTransform, nil)
	check("first_seq", got.FirstSeq <= 1, got.FirstSeq, 1)
	if len(wrong) > 0 {
		return fmt.Errorf("%w: stream %s: %w", ErrUnsafe, got.Name, errors.Join(wrong...))
	}
	return nil
}

// whole returns ErrHistoryMissing if the embedded broker's log has lost events,
// as far as the broker knows without reading them. Sequences count up from the
// first event without a gap: nothing deletes an event, and a refused one takes
// no sequence. A cluster repairs what one of its servers lost.
func whole(state jetstream.StreamState) error {
	switch {
	case state.LastSeq == 0 || state.Msgs == state.LastSeq-state.FirstSeq+1 && state.Msgs > 0:
		return nil
	case state.Msgs == 0:
		return fmt.Errorf("%w: %s is empty and was at %d; restore the broker's data", ErrHistoryMissing, StreamEvents, state.LastSeq)
	}
	return fmt.Errorf("%w: %s holds %d events from %d to %d, which is %d too few; restore the broker's data",
		ErrHistoryMissing, StreamEvents, state.Msgs, state.FirstSeq, state.LastSeq, state.LastSeq-state.FirstSeq+1-state.Msgs)
}
