package handlers

import (
	"cmp"
	"maps"
	"time"

	"headwater/handlers/clock"
	"headwater/handlers/syncing"
)

// Options bound what handlers do. The zero value of a field means its default.
type Options struct {
	syncing.Options // of syncs; some bound what other commands do, too

	// Concurrency is how many commands of a name run at once on this node.
	Concurrency map[string]int
	// SyncsPerWorkspace is how many SyncSource commands of one workspace run at once: 2.
	SyncsPerWorkspace int
	// FollowsPerWorkspace is the same for FollowSource, continuous syncs: 16.
	FollowsPerWorkspace int

	InspectLimit time.Duration // to open, check and discover a source: 2 min
	MaxTables    int           // of one source: 50,000
	MaxColumns   int           // of all tables of one source: 1,000,000

	ReleaseLimit time.Duration // for a source's server to release its log; a removal tries again later: 10 s

	// Keep is how long a removed source can be restored: 0, which is not at all.
	Keep time.Duration
	// SweepEvery is how often Sweep looks for sources whose grace period has passed:
	// 1 min, or a tenth of Keep if that is less, but not below 1 s.
	SweepEvery time.Duration

	// UpkeepEvery is how often RunUpkeep looks at some landed tables: 1 min.
	UpkeepEvery time.Duration

	// Clock tells schedules and RunUpkeep the time: the system's.
	Clock clock.Clock

	// Seam is called at each step of the durability order, for tests that stop
	// a worker there: "appended <Event>", "wrote" (some rows), "staged" (a range),
	// "committed" (to a table), "decided" (about a run of a schedule), "checkpointed" (the
	// event of a commit is in the history), "captured" (a log of changes was opened),
	// "anew" (the tables of a log that is taken up anew are set aside), "confirmed" (the source knows what landed), "destroyed" (the keys of a purged
	// source). nil in production. It may be called concurrently.
	Seam func(step string)
}

// WithDefaults returns the options with defaults in place of zero fields.
func (o Options) WithDefaults() Options {
	concurrency := map[string]int{}
	for name, v := range verbs() {
		concurrency[name] = v.concurrency
	}
	maps.Copy(concurrency, o.Concurrency)
	o.Concurrency = concurrency
	o.Options = o.Options.WithDefaults()
	o.SyncsPerWorkspace = cmp.Or(o.SyncsPerWorkspace, 2)
	o.FollowsPerWorkspace = cmp.Or(o.FollowsPerWorkspace, 16)
	o.InspectLimit = cmp.Or(o.InspectLimit, 2*time.Minute)
	o.MaxTables = cmp.Or(o.MaxTables, 50_000)
	o.MaxColumns = cmp.Or(o.MaxColumns, 1_000_000)
	o.UpkeepEvery = cmp.Or(o.UpkeepEvery, time.Minute)
	o.ReleaseLimit = cmp.Or(o.ReleaseLimit, 10*time.Second)
	if o.Clock == nil {
		o.Clock = clock.System()
	}
	if o.SweepEvery == 0 {
		if o.SweepEvery = time.Minute; o.Keep > 0 {
			o.SweepEvery = max(time.Second, min(time.Minute, o.Keep/10))
		}
	}
	return o
}
