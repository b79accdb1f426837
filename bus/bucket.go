package bus

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"headwater/bus/kv"
	"headwater/bus/wire"
)

// Bucket is a key-value store on the broker, replicated and fsynced like the
// streams. Reads go to the leader, so every node sees a value as soon as its
// writer has the answer. Errors wrap ErrKeyNotFound, ErrKeyExists, ErrConflict
// or ErrUnavailable. It is safe for concurrent use.
type Bucket = kv.Store

// Bucket returns one of the buckets that Open created: BucketSecrets,
// BucketCatalog, BucketIdempotency or BucketWebhooks. For any other name, which
// is a programming error, every call of the returned bucket fails.
func (b *Bus) Bucket(name string) Bucket {
	if found := b.buckets[name]; found != nil {
		return found
	}
	return &bucket{name: name}
}

type bucket struct {
	name   string
	js     jetstream.JetStream // nil if there is no such bucket
	kv     jetstream.KeyValue
	stream jetstream.Stream
	disk   *diskReserve
}

func (b *bucket) Get(ctx context.Context, key string) (kv.Entry, error) {
	if b.js == nil {
		return kv.Entry{}, b.unknown()
	}
	entry, err := wire.Ask(ctx, func(ctx context.Context) (jetstream.KeyValueEntry, error) { return b.kv.Get(ctx, key) })
	if err != nil {
		return kv.Entry{}, b.failed("get", key, err)
	}
	return kv.Entry{Value: entry.Value(), Revision: entry.Revision()}, nil
}

func (b *bucket) Create(ctx context.Context, key string, value []byte, ttl time.Duration) (uint64, error) {
	if b.js == nil {
		return 0, b.unknown()
	}
	var opts []jetstream.PublishOpt
	if ttl > 0 {
		opts = append(opts, jetstream.WithMsgTTL(max(time.Second, ttl)))
	}
	revision, err := b.write(ctx, key, value, 0, opts...)
	if wire.WrongSequence(err) {
		err = ErrKeyExists
	}
	if err != nil {
		return 0, b.failed("create", key, err)
	}
	return revision, nil
}

func (b *bucket) Update(ctx context.Context, key string, value []byte, revision uint64) (uint64, error) {
	if b.js == nil {
		return 0, b.unknown()
	}
	next, err := b.write(ctx, key, value, revision)
	if wire.WrongSequence(err) {
		err = ErrConflict
	}
	if err != nil {
		return 0, b.failed("update", key, err)
	}
	return next, nil
}

// write stores the next revision of a key. It gives the message an id, which
// nats.go's own bucket does not: if the confirmation of a write is lost, a
// repeat would otherwise conflict with the first attempt.
func (b *bucket) write(ctx context.Context, key string, value []byte, after uint64, opts ...jetstream.PublishOpt) (uint64, error) {
	if !validKey(key) {
		return 0, jetstream.ErrInvalidKey
	}
	if err := b.disk.check(len(value)); err != nil {
		return 0, err
	}
	opts = append(opts, jetstream.WithMsgID(wire.SecretName()), jetstream.WithExpectLastSequencePerSubject(after))
	ack, err := wire.Retry(ctx, wire.PublishTry, func(ctx context.Context) (*jetstream.PubAck, error) {
		return b.js.Publish(ctx, b.subject(key), value, opts...)
	})
	if err != nil {
		return 0, err
	}
	return ack.Sequence, nil
}

// Put stores a value and replaces any other. It is for counters with a single
// writer.
func (b *bucket) Put(ctx context.Context, key, value string) (uint64, error) {
	if b.js == nil {
		return 0, b.unknown()
	}
	revision, err := b.kv.PutString(ctx, key, value)
	if err != nil {
		return 0, b.failed("put", key, err)
	}
	return revision, nil
}

// Erase removes revisions from the oldest on, so that no older value reappears
// if it is interrupted. SecureDelete overwrites the message in its file with
// random bytes.
func (b *bucket) Erase(ctx context.Context, key string) error {
	return b.EraseUpTo(ctx, key, math.MaxUint64)
}

// EraseUpTo erases the revisions up to a given one.
func (b *bucket) EraseUpTo(ctx context.Context, key string, revision uint64) error {
	if b.js == nil {
		return b.unknown()
	}
	for from := uint64(1); ; {
		msg, err := wire.Ask(ctx, func(ctx context.Context) (*jetstream.RawStreamMsg, error) {
			return b.stream.GetMsg(ctx, from, jetstream.WithGetMsgSubject(b.subject(key)))
		})
		if errors.Is(err, jetstream.ErrMsgNotFound) {
			return nil
		}
		if err != nil {
			return b.failed("erase", key, err)
		}
		if msg.Sequence > revision {
			return nil
		}
		_, err = wire.Ask(ctx, func(ctx context.Context) (struct{}, error) {
			return struct{}{}, b.stream.SecureDeleteMsg(ctx, msg.Sequence)
		})
		if err != nil && !gone(err) && !b.erased(ctx, msg.Sequence) {
			return b.failed("erase", key, err)
		}
		from = msg.Sequence + 1
	}
}

// erased reports whether a message no longer exists. A newer revision or another
// erasure may have removed it between look-up and deletion, and nats.go's error
// for that has no code.
func (b *bucket) erased(ctx context.Context, sequence uint64) bool {
	_, err := wire.Ask(ctx, func(ctx context.Context) (*jetstream.RawStreamMsg, error) { return b.stream.GetMsg(ctx, sequence) })
	return errors.Is(err, jetstream.ErrMsgNotFound)
}

func (b *bucket) Keys(ctx context.Context, prefix string) ([]string, error) {
	if b.js == nil {
		return nil, b.unknown()
	}
	// Each subject is an existing key: erasing leaves no delete markers.
	subjects := []string{b.subject(">")}
	if prefix != "" {
		subjects = []string{b.subject(prefix), b.subject(prefix + ".>")}
	}
	var keys []string
	for _, subject := range subjects {
		info, err := wire.Ask(ctx, func(ctx context.Context) (*jetstream.StreamInfo, error) {
			return b.stream.Info(ctx, jetstream.WithSubjectFilter(subject))
		})
		if err != nil {
			return nil, b.failed("list", prefix, err)
		}
		for subject := range info.State.Subjects {
			keys = append(keys, strings.TrimPrefix(subject, b.subject("")))
		}
	}
	slices.Sort(keys)
	return keys, nil
}

func (b *bucket) subject(key string) string { return "$KV." + b.name + "." + key }

// validKey reports whether a key forms a valid subject in the bucket.
func validKey(key string) bool {
	return key != "" && !strings.ContainsAny(key, " \t\r\n*>") && !strings.HasPrefix(key, ".") && !strings.HasSuffix(key, ".") && !strings.Contains(key, "..")
}

func (b *bucket) unknown() error { return fmt.Errorf("there is no bucket %q", b.name) }

func (b *bucket) failed(doing, key string, err error) error {
	switch {
	case errors.Is(err, ErrConflict):
	case errors.Is(err, jetstream.ErrKeyNotFound), errors.Is(err, jetstream.ErrKeyDeleted):
		err = ErrKeyNotFound
	case errors.Is(err, jetstream.ErrKeyExists):
		err = ErrKeyExists
	default:
		err = wire.Unavailable(err)
	}
	return fmt.Errorf("bucket %s: %s %s: %w", b.name, doing, key, err)
}

// gone reports whether the error says that the message to delete does not exist.
func gone(err error) bool {
	code := wire.Code(err)
	return errors.Is(err, jetstream.ErrMsgNotFound) || code == 10043 || code == jetstream.JSErrCodeMessageNotFound
}
