package clustertest

import "time"

// Evidence is the state after every fault has healed and the cluster has become
// idle.
type Evidence struct {
	Events      []Event
	Left        map[string]uint64            // waiting commands and dead letters: messages by stream
	Copies      map[string]map[string]string // by stream and server: a hash of what that server's copy holds
	Projections map[string]Projection        // by node
	Rebuilt     Projection                   // from the stream alone
	Tables      map[string]Table             // landed tables, by name of their source
	Listed      map[string]map[string]bool   // by API node: names of the sources that it lists
}

// Event is the part of a message of the event stream that the rules need.
type Event struct {
	Sequence  uint64
	ID        string
	Name      string
	Time      time.Time
	Actor     string
	Operation string
	Target    int
	Targets   int
	Final     bool
	SyncID    string
	// Attached are the syncs that an OperationAccepted waits for without a
	// command of its own, by target.
	Attached map[int]string
}

// Projection is the state of one node's read model.
type Projection struct {
	Position uint64
	Hash     string
}

// Table compares landed data with its source.
type Table struct{ Source, Landed Contents }

// Contents summarizes a table; Sum is over all its values.
type Contents struct{ Rows, Distinct, Sum int64 }
