package api

import "time"

// Options limit what requests may cost. A zero field means its default.
type Options struct {
	Wait            time.Duration // how long a command waits for its outcome, default 60 s
	MaxWait         time.Duration // the most that Prefer: wait may ask for, default 5 min, or Wait if that is longer
	MinSequenceWait time.Duration // how long a request waits for X-Headwater-Min-Sequence, default 10 s
	Send            time.Duration // how long to try to send commands that the bus does not accept, default 15 s
	Deadline        time.Duration // of connects, tests, cleanups and cancels, default 10 min
	SyncDeadline    time.Duration // of syncs, default 24 h
	Lease           time.Duration // how long after its last renewal a request with an Idempotency-Key counts as abandoned, default 15 s
	KeepAnswers     time.Duration // how long answers to requests with an Idempotency-Key are stored, default 24 h
	MaxBody         int64         // bytes of a request, default 1 MiB
	MaxMetadata     int           // bytes of one source's metadata, default 16 KiB
	MaxInFlight     int           // commands that one workspace may have in progress on this node, default 128; its organization 4 times as many
	MaxStreams      int           // event streams one user may have open on this node, default 32; a workspace 4, an organization 16 times as many
	MaxPages        int           // pages of events that one organization may have in progress on this node, default 32
	MaxUnread       int64         // bytes of large answers that clients of one organization have not read, default 128 MiB
	Heartbeat       time.Duration // between two comments that keep an idle event stream open, default 15 s
	StreamWrite     time.Duration // for a client to read one event, longer for a large one, default 10 s
	Origins         []string      // origins of web pages that may call the API, as CheckOrigin accepts them; default none
	PageWait        time.Duration // for the log to return one page of events, default 30 s
}

func (o Options) withDefaults() Options {
	def := func(d *time.Duration, value time.Duration) {
		if *d <= 0 {
			*d = value
		}
	}
	def(&o.Wait, 60*time.Second)
	def(&o.MaxWait, max(5*time.Minute, o.Wait))
	def(&o.MinSequenceWait, 10*time.Second)
	def(&o.Send, 15*time.Second)
	def(&o.Deadline, 10*time.Minute)
	def(&o.SyncDeadline, 24*time.Hour)
	def(&o.Lease, 15*time.Second)
	def(&o.KeepAnswers, 24*time.Hour)
	def(&o.Heartbeat, 15*time.Second)
	def(&o.StreamWrite, 10*time.Second)
	def(&o.PageWait, 30*time.Second)
	if o.MaxBody <= 0 {
		o.MaxBody = 1 << 20
	}
	if o.MaxMetadata <= 0 {
		o.MaxMetadata = 16 << 10
	}
	if o.MaxInFlight <= 0 {
		o.MaxInFlight = 128
	}
	if o.MaxStreams <= 0 {
		o.MaxStreams = 32
	}
	if o.MaxPages <= 0 {
		o.MaxPages = 32
	}
	if o.MaxUnread <= 0 {
		o.MaxUnread = 128 << 20
	}
	return o
}
