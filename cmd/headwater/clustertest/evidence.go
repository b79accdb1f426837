package clustertest

import "time"

// Evidence is what is there when every fault has healed and the cluster had its
// time to become quiet.
type Evidence struct {
	Events      []Event
	Left        map[string]uint64            // commands that wait, dead letters: messages by stream
	Copies      map[string]map[string]string // of each stream, by server, what that server's copy holds
	Projections map[string]Projection        // by node
	Rebuilt     Projection                   // from the stream alone
	Tables      map[string]Table             // landed tables, by the name of their source
	Listed      map[string]map[string]bool   // by API node, the names of the sources that it lists
}

// Event is one message of the events' stream, as far as the rules need it.
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

// Table compares what landed with its source.
type Table struct{ Source, Landed Contents }

// Contents is what a table holds: Sum is one of all its values.
type Contents struct{ Rows, Distinct, Sum int64 }
