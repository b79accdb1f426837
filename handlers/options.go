package handlers

import (
	"cmp"
	"maps"
	"runtime"
	"time"

	"headwater/handlers/clock"
)

// Options bound what handlers do. The zero value of a field means its default.
type Options struct {
	// Concurrency is how many commands of a name run at once on this node.
	Concurrency map[string]int
	// SyncsPerWorkspace is how many SyncSource commands of one workspace run at once: 2.
	SyncsPerWorkspace int
	// FollowsPerWorkspace is the same for FollowSource, continuous syncs: 16.
	FollowsPerWorkspace int

	InspectLimit time.Duration // to open, check and discover a source: 2 min
	Grace        time.Duration // to tell the outcome after a deadline: 30 s
	MaxTables    int           // of one source: 50,000
	MaxColumns   int           // of all tables of one source: 1,000,000

	TableParallelism int           // tables of one sync that are read at once: 2
	RangeParallelism int           // ranges of one table that are read at once: 2
	RangesAtOnce     int           // ranges of all tables of one sync, while several are read: the processors, at least 2
	TableRetries     int           // of a table after a transient failure: 3; negative for none
	RetryDelay       time.Duration // before the first, four times as long before each next (twice for a log of changes, at most 5 min): 1 s
	IdleLimit        time.Duration // without a batch from the source: 10 min
	ProgressEvery    time.Duration // between progress events while rows flow: 2 s
	TellEvery        time.Duration // between two looks at what was read: 100 ms
	HeartbeatEvery   time.Duration // between progress events while none do: 30 s
	StaleAfter       time.Duration // without any event, after which a sync is considered lost: 15 min
	CommitBytes      int64         // read since the last commit of an incremental sync: 64 MiB
	CommitEvery      time.Duration // since the last commit of an incremental sync: 30 s
	PositionEvery    time.Duration // between checkpoints of a log of changes while changes come: 10 s
	AsideEvery       time.Duration // after which a continuous sync tries a table again that was set aside: 10 min
	ReleaseLimit     time.Duration // for a source's server to release its log; a removal tries again later: 10 s
	Lease            time.Duration // how long an overtaken worker delays the command: 2 min

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
	o.SyncsPerWorkspace = cmp.Or(o.SyncsPerWorkspace, 2)
	o.FollowsPerWorkspace = cmp.Or(o.FollowsPerWorkspace, 16)
	o.InspectLimit = cmp.Or(o.InspectLimit, 2*time.Minute)
	o.Grace = cmp.Or(o.Grace, 30*time.Second)
	o.MaxTables = cmp.Or(o.MaxTables, 50_000)
	o.MaxColumns = cmp.Or(o.MaxColumns, 1_000_000)
	o.TableParallelism = cmp.Or(o.TableParallelism, 2)
	o.RangeParallelism = cmp.Or(o.RangeParallelism, 2)
	o.RangesAtOnce = cmp.Or(o.RangesAtOnce, max(2, runtime.NumCPU()))
	o.TableRetries = cmp.Or(o.TableRetries, 3)
	o.RetryDelay = cmp.Or(o.RetryDelay, time.Second)
	o.IdleLimit = cmp.Or(o.IdleLimit, 10*time.Minute)
	o.ProgressEvery = cmp.Or(o.ProgressEvery, 2*time.Second)
	o.HeartbeatEvery = cmp.Or(o.HeartbeatEvery, 30*time.Second)
	o.StaleAfter = cmp.Or(o.StaleAfter, 15*time.Minute)
	o.CommitBytes = cmp.Or(o.CommitBytes, 64<<20)
	o.CommitEvery = cmp.Or(o.CommitEvery, 30*time.Second)
	o.PositionEvery = cmp.Or(o.PositionEvery, 10*time.Second)
	o.UpkeepEvery = cmp.Or(o.UpkeepEvery, time.Minute)
	o.AsideEvery = cmp.Or(o.AsideEvery, 10*time.Minute)
	o.ReleaseLimit = cmp.Or(o.ReleaseLimit, 10*time.Second)
	o.Lease = cmp.Or(o.Lease, 2*time.Minute)
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
