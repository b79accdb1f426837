package bus

import (
	"sync/atomic"
	"testing"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/nats-io/nats.go/jetstream"
)

// When Close returns, every ack has reached the broker: nothing is handed out
// again.
func TestAcksReachTheBroker(t *testing.T) {
	t.Parallel()
	b := openBus(t, Config{})
	const many = 200
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
	var info *jetstream.ConsumerInfo
	eventually(t, "every ack to count", func() bool {
		info, err = consumer.Info(t.Context())
		return err == nil && info.NumAckPending == 0
	})
	if info.NumRedelivered != 0 || info.Delivered.Consumer != many {
		t.Errorf("%d commands came again, of %d that were handed out", info.NumRedelivered, info.Delivered.Consumer)
	}
	waitDone(t, b)
}
