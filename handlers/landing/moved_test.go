package landing

import (
	"testing"

	"headwater/bus/kv/kvtest"
	"headwater/handlers/landing/buckettest"
	"headwater/handlers/landing/storage"
)

// A lake in a bucket whose place is said to be another: the start says where the
// tables lie and the way out, which goes without the former place's options.
func TestMovedInABucket(t *testing.T) {
	options := "?region=us-east-1&endpoint=" + buckettest.NewProxy(t, buckettest.Start(t, "lab")).URL
	kv := kvtest.New()
	former := openLakeAt(t, "s3://lab/p1"+options, kv)
	if err := former.Own(t.Context(), "/data"); err != nil {
		t.Fatal(err)
	}
	w := begin(t, former, full(1, "syn_1"))
	write(t, w, 0, 100)
	commit(t, w, nil, true)

	moved := openLakeAt(t, "s3://lab/p2"+options, kv)
	wantForeign(t, moved.Own(t.Context(), "/data"), "s3://lab/p1", "--lake says s3://lab/p2", "headwater relocate")
	if done, err := moved.Relocate(t.Context(), "/data", ""); err != nil || done.Tables != 1 {
		t.Fatalf("%+v, %v", done, err)
	}
	if err := moved.Own(t.Context(), "/data"); err != nil {
		t.Fatal(err)
	}
	wantIDs(t, moved, span(0, 100))
	found, err := storage.List(moved.files, moved.root)
	if err != nil {
		t.Fatal(err)
	}
	if d, err := moved.Drop(t.Context(), home); err != nil || d.Removed != len(found)-1 || d.Remaining != 0 {
		t.Errorf("of %d files and the marker: %+v, %v", len(found)-1, d, err)
	}
}
