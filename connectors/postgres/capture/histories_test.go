package capture_test

import (
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"

	"headwater/connectors/drivertest/servers"
)

var (
	stepsFlag = flag.Int("steps", 0, "steps of the random histories of each server; 0 for 2000, or a few with -short")
	seedFlag  = flag.Uint64("seed", 0, "the seed of the one history of each server that is made; if it fails, it is made shorter as long as it does")
)

// shortSeeds are the seeds of -short.
var shortSeeds = []uint64{1, 2, 3}

// After every sync of any history of a database, the rows of each table that is followed
// are those of the source, whatever was done to it between two syncs or during one; and a
// table whose rows alone were changed is not refused.
func TestCaptureHistories(t *testing.T) {
	eachVersion(t, func(t *testing.T, server *servers.Server) {
		db := handle(t, server)
		givenTo(t, server, db)
		run(t, db, "ALTER SYSTEM SET lock_timeout = '150ms'", "SELECT pg_reload_conf()")
		wanted, steps, seeds := *stepsFlag, 0, shortSeeds
		if wanted == 0 && !testing.Short() {
			wanted = 2000
		}
		if *seedFlag != 0 {
			seeds, wanted = []uint64{*seedFlag}, 0
		}
		refused := map[string]int{}
		for i := 0; (i < len(seeds) || steps < wanted) && !t.Failed(); i++ {
			seed := rand.Uint64() >> 20
			if wanted == 0 {
				seed = seeds[i]
			}
			t.Run(fmt.Sprintf("seed=%d", seed), func(t *testing.T) {
				p := newPlay(t, server)
				g := newGenerator(p, seed)
				for g.more() && len(p.failed()) == 0 {
					p.do(g.next())
				}
				p.do("sync")
				p.close()
				steps += len(p.steps)
				if *seedFlag != 0 {
					t.Logf("%s", strings.Join(p.log, "\n"))
				}
				for _, why := range p.told {
					refused[why]++
				}
				if all := p.failed(); len(all) > 0 {
					t.Errorf("seed %d:\n%s\nafter\n%s", seed, strings.Join(all, "\n"), strings.Join(p.log, "\n"))
					if *seedFlag != 0 {
						t.Logf("shorter:\n%s", strings.Join(shorter(t, server, p.steps), "\n"))
					}
				}
			})
		}
		for _, why := range slices.Sorted(maps.Keys(refused)) {
			t.Logf("%4d times refused: %s", refused[why], why)
		}
		t.Logf("%d steps", steps)
	}, "max_prepared_transactions=8")
}

// shorter leaves steps out for as long as the history fails without them.
func shorter(t *testing.T, server *servers.Server, steps []string) []string {
	fails := func(steps []string) bool {
		p := newPlay(t, server)
		for _, step := range steps {
			if p.do(step); len(p.failed()) > 0 {
				break
			}
		}
		p.close()
		return len(p.failed()) > 0
	}
	for size := len(steps) / 2; size > 0; size /= 2 {
		for from := len(steps) - size; from >= 0; from -= size {
			if without := slices.Delete(slices.Clone(steps), from, from+size); len(without) > 0 && fails(without) {
				steps = without
			}
			from = min(from, len(steps))
		}
	}
	return steps
}

// recorder gathers what would fail a test.
type recorder struct {
	testing.TB
	mu   sync.Mutex
	all  []string
	ends []func()
}

func (r *recorder) Errorf(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.all = append(r.all, fmt.Sprintf(format, args...))
}

func (r *recorder) Fatalf(format string, args ...any) {
	r.Errorf(format, args...)
	panic(r)
}

func (r *recorder) Fatal(args ...any)  { r.Fatalf("%s", fmt.Sprint(args...)) }
func (r *recorder) Cleanup(end func()) { r.ends = append(r.ends, end) }
func (r *recorder) failed() []string   { r.mu.Lock(); defer r.mu.Unlock(); return slices.Clone(r.all) }
func (r *recorder) recovered(what any) {
	if what != nil && what != any(r) {
		panic(what)
	}
}
