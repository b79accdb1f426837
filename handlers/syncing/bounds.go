package syncing

import (
	"cmp"
	"runtime"
	"time"
)

// Options bound what syncs do. The zero value of a field means its default.
type Options struct {
	Grace            time.Duration // to tell the outcome after a deadline, and to end what is under way: 30 s
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
	AsideEvery       time.Duration // after which a continuous sync tries a table again that was set aside, and looks for new ones: 10 min
	Lease            time.Duration // how long an overtaken worker delays the command: 2 min
}

// WithDefaults returns the options with defaults in place of zero fields.
func (o Options) WithDefaults() Options {
	o.Grace = cmp.Or(o.Grace, 30*time.Second)
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
	o.AsideEvery = cmp.Or(o.AsideEvery, 10*time.Minute)
	o.Lease = cmp.Or(o.Lease, 2*time.Minute)
	return o
}
