package wire

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/nats-io/nats.go/jetstream"

	"headwater/bus/event"
)

// MaxInline is the largest body inside a message, in bytes. A larger one is put
// into the object store and the message refers to it.
const MaxInline = 256 << 10

// MaxBody is the largest body of a command or event, in bytes.
const MaxBody = 64 << 20

// TransferLimit limits the transfer of one body, which would wait for ever for a
// server that dies during it.
const TransferLimit = time.Minute

const payloadScheme = "sha256:"

// Bodies stores large bodies under the hex SHA-256 of their content, so that
// equal bodies are stored once and a reader can check what it got. It is safe
// for concurrent use.
type Bodies struct{ store jetstream.ObjectStore }

// BodiesIn returns the bodies in an object store.
func BodiesIn(store jetstream.ObjectStore) *Bodies { return &Bodies{store} }

// Put stores a body, fsynced, and returns the reference for ce-dataref. It
// returns ErrTooLarge or ErrUnavailable.
func (p *Bodies) Put(ctx context.Context, body []byte) (string, error) {
	if len(body) > MaxBody {
		return "", fmt.Errorf("%w: a body of %d bytes, at most %d", ErrTooLarge, len(body), MaxBody)
	}
	sum := sha256.Sum256(body)
	name := hex.EncodeToString(sum[:])
	info, err := Ask(ctx, func(ctx context.Context) (*jetstream.ObjectInfo, error) { return p.store.GetInfo(ctx, name) })
	if err == nil && info.Size == uint64(len(body)) {
		return payloadScheme + name, nil
	}
	if err != nil && !errors.Is(err, jetstream.ErrObjectNotFound) {
		return "", fmt.Errorf("look for payload %s: %w", name, Unavailable(err))
	}
	if _, err := p.store.PutBytes(ctx, name, body); err != nil {
		return "", fmt.Errorf("store payload %s: %w", name, Unavailable(err))
	}
	return payloadScheme + name, nil
}

// Get returns the body for a reference. It returns ErrPoison for a reference
// that Put did not return, and for a body that is missing or has changed. Any
// other error is transient.
func (p *Bodies) Get(ctx context.Context, ref string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, TransferLimit)
	defer cancel()
	name, ok := strings.CutPrefix(ref, payloadScheme)
	if !ok || len(name) != 2*sha256.Size {
		return nil, fmt.Errorf("%w: payload reference %q", ErrPoison, ref)
	}
	info, err := Ask(ctx, func(ctx context.Context) (*jetstream.ObjectInfo, error) { return p.store.GetInfo(ctx, name) })
	if errors.Is(err, jetstream.ErrObjectNotFound) {
		return nil, fmt.Errorf("%w: payload %s is missing", ErrPoison, name)
	}
	if err != nil {
		return nil, fmt.Errorf("look for payload %s: %w", name, err)
	}
	if info.Size > MaxBody {
		return nil, fmt.Errorf("%w: payload %s has %d bytes", ErrPoison, name, info.Size)
	}
	body, err := p.store.GetBytes(ctx, name)
	if err != nil {
		return nil, fmt.Errorf("read payload %s: %w", name, err)
	}
	if sum := sha256.Sum256(body); hex.EncodeToString(sum[:]) != name {
		return nil, fmt.Errorf("%w: payload %s is damaged", ErrPoison, name)
	}
	return body, nil
}

// Resolve replaces a reference in a message by the body. It fails as Get does.
// The metadata keeps the reference.
func (p *Bodies) Resolve(ctx context.Context, msg *message.Message) error {
	ref := msg.Metadata.Get(event.HeaderDataRef)
	if ref == "" || len(msg.Payload) > 0 {
		return nil
	}
	body, err := p.Get(ctx, ref)
	if err != nil {
		return err
	}
	msg.Payload = body
	return nil
}
