package bus

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// TestSnapshots stores one of several pieces, reads it back, and meets what is
// missing, damaged or half stored.
func TestSnapshots(t *testing.T) {
	t.Parallel()
	b := openBus(t, Config{})
	s, ctx := b.Snapshots(), t.Context()
	random := rand.NewChaCha8([32]byte{1})
	body := make([]byte, snapshotPiece+snapshotPiece/2)
	_, _ = random.Read(body)

	if err := s.Put(ctx, map[string]string{"sequence": "7"}, bytes.NewReader(body)); err != nil {
		t.Fatal(err)
	}
	failed := errors.New("the disk broke")
	if err := s.Put(ctx, nil, io.MultiReader(bytes.NewReader(body[:snapshotPiece+1]), failing{failed})); !errors.Is(err, failed) {
		t.Errorf("a body that fails: %v", err)
	}
	all, err := s.List(ctx)
	if err != nil || len(all) != 1 || all[0].About["sequence"] != "7" || all[0].Size != int64(len(body)) || time.Since(all[0].Made) > time.Minute {
		t.Fatalf("%+v, %v", all, err)
	}
	got, err := readSnapshot(ctx, s, all[0].Name)
	if err != nil || !bytes.Equal(got, body) {
		t.Errorf("%d bytes, %v", len(got), err)
	}
	if _, err := readSnapshot(ctx, s, "nothing"); !errors.Is(err, ErrKeyNotFound) {
		t.Errorf("a name of nothing: %v", err)
	}

	// What the failure left is swept once it is old, and nothing else. A process
	// that died within a piece leaves chunks that no object names.
	if _, err := b.publish.Publish(ctx, "$O."+ObjectsSnapshots+".C.orphan", []byte("chunk")); err != nil {
		t.Fatal(err)
	}
	stored := func() uint64 {
		info, err := s.stream.Info(ctx, jetstream.WithSubjectFilter(">"))
		if err != nil {
			t.Fatal(err)
		}
		return uint64(len(info.State.Subjects))
	}
	before := stored()
	if err := s.Sweep(ctx); err != nil || stored() != before {
		t.Errorf("young leftovers: %d subjects of %d, %v", stored(), before, err)
	}
	if err := s.sweep(ctx, time.Now().Add(time.Minute)); err != nil || stored() != 6 { // 2 pieces and the whole, each with its description
		t.Errorf("%d subjects are left, %v", stored(), err)
	}
	if got, err := readSnapshot(ctx, s, all[0].Name); err != nil || !bytes.Equal(got, body) {
		t.Errorf("after the sweep: %d bytes, %v", len(got), err)
	}

	if err := s.remove(ctx, pieceName(all[0].Name, 1)); err != nil {
		t.Fatal(err)
	}
	if got, err := readSnapshot(ctx, s, all[0].Name); !errors.Is(err, ErrPoison) {
		t.Errorf("without its second piece: %d bytes, %v", len(got), err)
	}
	if err := errors.Join(s.Remove(ctx, all[0].Name), s.Remove(ctx, all[0].Name)); err != nil || stored() != 0 {
		t.Errorf("%d subjects are left, %v", stored(), err)
	}
	if all, err := s.List(ctx); err != nil || len(all) != 0 {
		t.Errorf("%v, %v", all, err)
	}
}

func readSnapshot(ctx context.Context, s *Snapshots, name string) ([]byte, error) {
	r, err := s.Get(ctx, name)
	if err != nil {
		return nil, err
	}
	defer func() { _ = r.Close() }()
	return io.ReadAll(r)
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }
