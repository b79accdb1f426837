package bus

import (
	"sync/atomic"
	"testing"

	"github.com/ThreeDotsLabs/watermill/message"
)

// Workers do not wait for their acks, however many there are, and when Close
// returns every one has reached the broker: nothing is handed out again.
func TestAcksBesideTheWorkers(t *testing.T) {
	t.Parallel()
	b := openBus(t, Config{})
	const many = 3 * maxAcks
	for n := range many {
		sendOf(t, b, "a", n)
	}
	var handled atomic.Int64
	router := runJobs(t, b, JobsConfig{Command: "SyncSource", Concurrency: 4}, func(*message.Message) error {
		handled.Add(1)
		return nil
	})
	eventually(t, "all to be handled", func() bool { return handled.Load() == many })
	if err := router.Close(); err != nil {
		t.Fatal(err)
	}
	consumer, err := b.jobs.Consumer(t.Context(), StreamCommands, DurableFor("SyncSource"))
	if err != nil {
		t.Fatal(err)
	}
	info := consumer.CachedInfo()
	if info.NumAckPending != 0 || info.NumRedelivered != 0 || info.Delivered.Consumer != many {
		t.Errorf("%d acks are missing and %d commands came again, of %d that were handed out", info.NumAckPending, info.NumRedelivered, info.Delivered.Consumer)
	}
	waitDone(t, b)
}
