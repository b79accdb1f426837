package bus

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"headwater/bus/bustest"
	"headwater/bus/event"
)

func TestHeard(t *testing.T) {
	t.Parallel()
	info := func(copies int, leader string, active ...time.Duration) *jetstream.StreamInfo {
		i := &jetstream.StreamInfo{Config: jetstream.StreamConfig{Replicas: copies}, Cluster: &jetstream.ClusterInfo{Leader: leader}}
		for _, a := range active {
			i.Cluster.Replicas = append(i.Cluster.Replicas, &jetstream.PeerInfo{Active: a, Current: true})
		}
		return i
	}
	for name, c := range map[string]struct {
		info  *jetstream.StreamInfo
		heard bool
	}{
		"both copies answer":              {info(3, "n1", time.Second, time.Millisecond), true},
		"one of two answers":              {info(3, "n1", time.Second, time.Hour), true},
		"both are silent":                 {info(3, "n1", 6*time.Second, 7*time.Second), false},
		"one was never heard, one silent": {info(3, "n1", 0, 7*time.Second), false},
		"two of four answer":              {info(5, "n1", time.Second, time.Second, time.Hour, 0), true},
		"one of four answers":             {info(5, "n1", time.Second, time.Hour, time.Hour, 0), false},
		"nobody leads":                    {info(3, "", time.Second, time.Second), false},
		"a server alone tells no cluster": {&jetstream.StreamInfo{Config: jetstream.StreamConfig{Replicas: 3}}, false},
	} {
		if err := heard(c.info); (err == nil) != c.heard {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A leader that is cut off from the others goes on answering its clients. Nodes
// that ask it must not take its word; those that ask the others go on.
func TestCutOffLeaderIsNotBelieved(t *testing.T) {
	t.Parallel()
	c := bustest.StartParted(t, 3)
	openBus(t, Config{URL: c.URL, Replicas: 3})
	c.WaitCurrent(t)
	leader := c.Leader(t, StreamEvents)
	urls := strings.Split(c.URL, ",")
	alone, others := openBus(t, Config{URL: urls[leader], Replicas: 3}), openBus(t, Config{URL: urls[(leader+1)%3], Replicas: 3})
	agrees := func(b *Bus) error {
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		return b.Quorum(ctx)
	}
	within := func(limit time.Duration, what string, ok func() bool) {
		t.Helper()
		began := time.Now()
		for !ok() {
			if time.Since(began) > limit {
				t.Fatalf("%s: not within %s", what, limit)
			}
			time.Sleep(50 * time.Millisecond)
		}
		t.Logf("%s: %s", what, time.Since(began).Round(100*time.Millisecond))
	}
	within(testLimit, "all agree", func() bool { return agrees(alone) == nil && agrees(others) == nil })

	c.CutPeers(leader)
	within(quorumSilence+7*time.Second, "the cut-off leader is not believed", func() bool {
		err := agrees(alone) // which also names streams that the others lead
		return errors.Is(err, ErrUnavailable) && strings.Contains(err.Error(), StreamEvents+": ")
	})
	within(testLimit, "the others go on", func() bool { return agrees(others) == nil })
	if _, err := others.Append(t.Context(), 0, testEvent(testAddress, &event.SyncStarted{})); err != nil {
		t.Errorf("append without the one that is cut off: %v", err)
	}
	if err := agrees(alone); !errors.Is(err, ErrUnavailable) {
		t.Errorf("the cut-off leader is believed again: %v", err)
	}
	c.Heal()
	within(testLimit, "it is one of them again", func() bool { return agrees(alone) == nil })
	if last, err := alone.LastSequence(t.Context(), testAddress); err != nil || last != 1 {
		t.Errorf("it reads %d, %v", last, err)
	}
}
