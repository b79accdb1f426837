package bus

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"headwater/bus/command"
	"headwater/bus/event"
	"headwater/bus/guests"
	"headwater/bus/readers"
	"headwater/bus/wire"
)

// dedupWindow is how long the broker remembers message ids: a repeat within it
// is confirmed but not stored again.
const dedupWindow = 10 * time.Minute

// idempotencyTTL is how long an idempotency key lives after its last write.
const idempotencyTTL = 24 * time.Hour

// secretHistory keeps overwritten revisions of a secret addressable until they
// are erased. With a history of 1 the broker would drop them from its index and
// leave their bytes on disk.
const secretHistory = 64

// stateful reports whether a history with events is damaged without that stream.
// Other streams may be recreated at any time.
func stateful(name string) bool {
	switch name {
	case StreamCommands, kvStream(BucketSecrets), kvStream(BucketCatalog), objStream(ObjectsPayloads):
		return true
	}
	return false
}

func kvStream(bucket string) string { return "KV_" + bucket }
func objStream(store string) string { return "OBJ_" + store }

// streamConfigs returns every stream in the order of creation. The events come
// first: another stream without them shows that they were lost.
func streamConfigs(replicas int, embedded bool) []jetstream.StreamConfig {
	all := []jetstream.StreamConfig{
		{Name: StreamEvents, Description: "what happened", Subjects: []string{event.SubjectPrefix + ".>"},
			Retention: jetstream.LimitsPolicy, DenyDelete: true, AllowDirect: true, AllowAtomicPublish: true,
			RePublish: &jetstream.RePublish{Source: event.SubjectPrefix + ".>", Destination: guests.SubjectLive + ".>"}},
		{Name: StreamCommands, Description: "what is to be done", Subjects: []string{command.SubjectPrefix + ".>"},
			Retention: jetstream.WorkQueuePolicy},
		{Name: StreamDeadLetters, Description: "commands that were given up", Subjects: []string{SubjectDeadLetters + ".>"},
			Retention: jetstream.LimitsPolicy, AllowDirect: true},
		kvConfig(BucketSecrets, secretHistory, 0),
		kvConfig(BucketCatalog, 1, 0),
		kvConfig(BucketIdempotency, 1, idempotencyTTL),
		kvConfig(BucketWebhooks, 1, 0),
		kvConfig(bucketPostponed, 1, 48*time.Hour),
		{Name: objStream(ObjectsPayloads), Description: "bodies too large for a message", AllowRollup: true,
			Subjects: []string{"$O." + ObjectsPayloads + ".C.>", "$O." + ObjectsPayloads + ".M.>"}},
		{Name: objStream(ObjectsSnapshots), Description: "snapshots of projections", AllowRollup: true,
			Subjects: []string{"$O." + ObjectsSnapshots + ".C.>", "$O." + ObjectsSnapshots + ".M.>"}},
	}
	if embedded {
		// With the embedded broker an ack of a work queue would be a synced
		// write of its own; finished commands are removed in bulk instead
		// (jobs.Trimmer).
		all[1].Retention, all[1].AllowAtomicPublish = jetstream.LimitsPolicy, true
	}
	for i := range all {
		c := &all[i]
		c.Storage = jetstream.FileStorage
		c.Discard = jetstream.DiscardNew
		c.Replicas = replicas
		c.MaxMsgs, c.MaxBytes, c.MaxConsumers, c.MaxMsgSize = -1, -1, -1, -1
		c.Duplicates = dedupWindow
	}
	return all
}

// kvConfig returns the stream of a key-value bucket, without direct reads, which
// a lagging replica would answer, and with deletes allowed, which erasing needs.
func kvConfig(name string, history int64, ttl time.Duration) jetstream.StreamConfig {
	return jetstream.StreamConfig{Name: kvStream(name), Subjects: []string{"$KV." + name + ".>"},
		MaxMsgsPerSubject: history, MaxAge: ttl, AllowRollup: true, AllowMsgTTL: true}
}

// prepareStreams creates missing streams and checks existing ones.
func (b *Bus) prepareStreams(ctx context.Context) error {
	configs := streamConfigs(b.replicas, b.broker != nil)
	found, err := b.findStreams(ctx, configs)
	if err != nil {
		return err
	}
	events := found[StreamEvents]
	if events == nil && len(found) > 0 {
		// Another node may be creating them now, events first.
		if found, err = b.findStreams(ctx, configs); err != nil {
			return err
		}
		if events = found[StreamEvents]; events == nil {
			return fmt.Errorf("%w: there is no stream %s, but there is %s", ErrHistoryMissing, StreamEvents, strings.Join(names(configs, found), ", "))
		}
	}
	for _, want := range configs {
		stream := found[want.Name]
		if stream == nil {
			if events != nil && stateful(want.Name) && events.CachedInfo().State.LastSeq > 0 {
				return fmt.Errorf("%w: %s is gone while %s holds events", ErrHistoryMissing, want.Name, StreamEvents)
			}
			if stream, err = b.publish.CreateStream(ctx, want); err != nil {
				return fmt.Errorf("create stream %s: %w", want.Name, err)
			}
		}
		if stream, err = b.renew(ctx, stream, want); err != nil {
			return err
		}
		if err := checkSettings(stream.CachedInfo().Config, want); err != nil {
			return err
		}
		if want.Name == StreamEvents && b.broker != nil {
			if err := whole(stream.CachedInfo().State); err != nil {
				return err
			}
		}
		if err := b.hold(ctx, want.Name, stream); err != nil {
			return err
		}
	}
	b.Readers = readers.New(readers.Broker{
		JS: b.reads, Conn: b.conns[len(b.conns)-1], Events: b.events, Embedded: b.broker != nil, Reconnected: &b.back, Bodies: b.bodies,
		Synced: b.synced, Track: b.track, Untrack: b.untrack, Log: b.log,
	})
	return nil
}

// renew makes a stream of an older build republish what it stores on live
// subjects.
func (b *Bus) renew(ctx context.Context, stream jetstream.Stream, want jetstream.StreamConfig) (jetstream.Stream, error) {
	config := stream.CachedInfo().Config
	if want.RePublish == nil || config.RePublish != nil {
		return stream, nil
	}
	config.RePublish = want.RePublish
	renewed, err := b.publish.UpdateStream(ctx, config)
	if err != nil {
		return nil, fmt.Errorf("update stream %s: %w", want.Name, err)
	}
	return renewed, nil
}

func (b *Bus) findStreams(ctx context.Context, configs []jetstream.StreamConfig) (map[string]jetstream.Stream, error) {
	found := map[string]jetstream.Stream{}
	for _, want := range configs {
		try, cancel := context.WithTimeout(ctx, wire.AskTry)
		stream, err := b.publish.Stream(try, want.Name)
		cancel()
		switch {
		case err == nil:
			found[want.Name] = stream
		case !errors.Is(err, jetstream.ErrStreamNotFound):
			return nil, fmt.Errorf("look for stream %s: %w", want.Name, err)
		}
	}
	return found, nil
}

// hold stores the handles that the methods of Bus use.
func (b *Bus) hold(ctx context.Context, name string, stream jetstream.Stream) error {
	if b.buckets == nil {
		b.buckets = map[string]*bucket{}
	}
	if name == StreamEvents {
		b.events = stream
	}
	if kv, ok := strings.CutPrefix(name, "KV_"); ok {
		store, err := b.publish.KeyValue(ctx, kv)
		if err != nil {
			return fmt.Errorf("open bucket %s: %w", kv, err)
		}
		b.buckets[kv] = &bucket{name: kv, js: b.publish, kv: store, stream: stream, disk: &b.disk}
	}
	if name == objStream(ObjectsPayloads) {
		store, err := b.publish.ObjectStore(ctx, ObjectsPayloads)
		if err != nil {
			return fmt.Errorf("open object store %s: %w", ObjectsPayloads, err)
		}
		b.bodies = wire.BodiesIn(store)
	}
	if name == objStream(ObjectsSnapshots) {
		// Apart from the others, so that its volume does not delay an ack.
		store, err := b.reads.ObjectStore(ctx, ObjectsSnapshots)
		if err != nil {
			return fmt.Errorf("open object store %s: %w", ObjectsSnapshots, err)
		}
		b.snapshots = &Snapshots{disk: &b.disk, store: store, stream: stream}
	}
	return nil
}

func names(configs []jetstream.StreamConfig, found map[string]jetstream.Stream) []string {
	var list []string
	for _, c := range configs {
		if found[c.Name] != nil {
			list = append(list, c.Name)
		}
	}
	return list
}
