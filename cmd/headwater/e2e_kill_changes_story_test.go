package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
)

// story is what the history tells of a followed source.
type story struct {
	t      *testing.T
	events []toldEvent
}

type toldEvent struct {
	Type     string
	Sequence uint64
	Time     time.Time
	Data     struct {
		Sync      string `json:"sync_id"`
		Attempt   int
		Version   int
		Status    string
		Reason    string
		Message   string
		Records   int64 `json:"records_processed"`
		Changes   *toldChanges
		Table     *toldTable
		Tables    toldTables
		Operation struct {
			ID    string
			Final bool
		}
	}
}

type toldChanges struct {
	Position string
	Fresh    time.Time `json:"fresh_until"`
}

// toldTables are the results of tables. Some events have names alone there.
type toldTables []toldTable

func (t *toldTables) UnmarshalJSON(text []byte) error {
	var all []toldTable
	if json.Unmarshal(text, &all) == nil {
		*t = all
	}
	return nil
}

type toldTable struct {
	Name     string
	Status   string
	Message  string
	Position string
	Location string
	Records  int64 `json:"records_processed"`
	Inserted int64 `json:"inserted_records"`
	Total    int64 `json:"total_records"`
}

func (e toldEvent) name() string {
	return strings.TrimSuffix(strings.TrimPrefix(e.Type, "headwater."), ".v1")
}

// read takes in what has been told since the last time.
func (s *story) read(c *caller, source string) {
	s.t.Helper()
	for {
		after := uint64(0)
		if n := len(s.events); n > 0 {
			after = s.events[n-1].Sequence
		}
		var page []toldEvent
		a := c.get(fmt.Sprintf("/data/changes/events?limit=1000&source_id=%s&after=%d", source, after))
		if a.into(s.t, &page); a.Code != http.StatusOK {
			s.t.Fatalf("events: %s", a.Body)
		}
		if len(page) == 0 {
			return
		}
		s.events = append(s.events, page...)
	}
}

func (s *story) last(name string) *toldEvent {
	for i := len(s.events) - 1; i >= 0; i-- {
		if s.events[i].name() == name {
			return &s.events[i]
		}
	}
	return nil
}

// position returns how much has landed, 0 before there was anything.
func (s *story) position() uint64 {
	if e := s.last("ChangesLanded"); e != nil {
		return placeOf(e.Data.Changes.Position)
	}
	return 0
}

// total returns how many rows the last sync that ended says that a table has.
func (s *story) total(table string) int64 {
	if e := s.last("SyncCompleted"); e != nil {
		for _, t := range e.Data.Tables {
			if t.Name == table {
				return t.Total
			}
		}
	}
	return -1
}

// running returns the sync that runs.
func (s *story) running() string {
	for i := len(s.events) - 1; i >= 0; i-- {
		switch s.events[i].name() {
		case "SyncStarted":
			return s.events[i].Data.Sync
		case "SyncCompleted", "SyncFailed", "SyncCancelled":
			return ""
		}
	}
	return ""
}

var mariaPlace = regexp.MustCompile(`log\.(\d+):(\d+)`)

// placeOf makes a position of either server comparable.
func placeOf(position string) uint64 {
	if m := mariaPlace.FindStringSubmatch(position); m != nil {
		file, _ := strconv.ParseUint(m[1], 10, 32)
		at, _ := strconv.ParseUint(m[2], 10, 40)
		return file<<40 | at
	}
	var high, low uint64
	if _, err := fmt.Sscanf(position, "%X/%X", &high, &low); err != nil {
		return 0
	}
	return high<<32 | low
}

// check holds that the history is one of syncs after one another, each of which ends
// once, and of a log that is followed forwards.
func (s *story) check() {
	s.t.Helper()
	running, ended, attempts := "", map[string]string{}, map[string]int{}
	finals := map[string]int{}
	var landed uint64
	var fresh time.Time
	tables := map[string]uint64{}
	wrong := func(e toldEvent, format string, args ...any) {
		s.t.Helper()
		s.t.Errorf("event %d, %s of %s: %s", e.Sequence, e.name(), e.Data.Sync, fmt.Sprintf(format, args...))
	}
	for _, e := range s.events {
		d := e.Data
		if d.Operation.Final {
			if finals[d.Operation.ID]++; finals[d.Operation.ID] > 1 {
				wrong(e, "operation %s ends again", d.Operation.ID)
			}
		}
		ofSync := d.Sync != ""
		switch e.name() {
		case "SyncStarted":
			if running != "" && running != d.Sync {
				wrong(e, "it begins beside %s", running)
			}
			if attempts[d.Sync]++; d.Attempt != attempts[d.Sync] {
				wrong(e, "it is attempt %d, and tells %d", attempts[d.Sync], d.Attempt)
			}
			if ended[d.Sync] != "" {
				wrong(e, "it had ended as %s", ended[d.Sync])
			}
			running = d.Sync
		case "SyncCompleted", "SyncFailed", "SyncCancelled":
			if running != d.Sync {
				wrong(e, "it ends, and %q is running", running)
			}
			if ended[d.Sync] != "" {
				wrong(e, "it had ended as %s", ended[d.Sync])
			}
			running, ended[d.Sync] = "", e.name()
			s.checkEnd(e, wrong)
		case "SyncProgressed", "ChangesLanded", "SchemaDiscovered":
			if ofSync && running != d.Sync {
				wrong(e, "it is told of, and %q is running", running)
			}
		case "TableMaintained", "SourceConnected", "ScheduleChanged", "ScheduleFired", "TableVerified", "SourceVerified", "CommandRejected", "SourceRemoved", "ChangesGivenUp", "SourcePurged", "SourceDestroyed":
			ofSync = false
		default:
			s.t.Logf("event %d is a %s: %+v", e.Sequence, e.name(), d)
		}
		if e.name() == "ChangesLanded" {
			at := placeOf(d.Changes.Position)
			if at == 0 || at < landed {
				wrong(e, "the position goes from %x to %s", landed, d.Changes.Position)
			}
			if d.Changes.Fresh.Before(fresh) {
				wrong(e, "fresh_until goes from %v to %v", fresh, d.Changes.Fresh)
			}
			landed, fresh = at, d.Changes.Fresh
		}
		if t := d.Table; t != nil && t.Position != "" {
			if at := placeOf(t.Position); at < tables[t.Name] {
				wrong(e, "the position of table %s goes from %x to %s", t.Name, tables[t.Name], t.Position)
			} else {
				tables[t.Name] = at
			}
		}
	}
	if running != "" {
		s.t.Errorf("%s is still running", running)
	}
}

// tell logs the history but for its progress.
func (s *story) tell() {
	for _, e := range s.events {
		if d := e.Data; e.name() != "SyncProgressed" {
			position := ""
			if d.Changes != nil {
				position = d.Changes.Position
			}
			s.t.Logf("%d %s %s %s attempt %d version %d %s %s %s", e.Sequence, e.Time.Format("15:04:05.000"), e.name(), d.Sync, d.Attempt, d.Version, position, d.Reason, d.Message)
		}
	}
}

// checkEnd holds that what a sync says at its end adds up, and that nothing ends it but
// the killing.
func (s *story) checkEnd(e toldEvent, wrong func(toldEvent, string, ...any)) {
	s.t.Helper()
	d := e.Data
	if e.name() != "SyncCompleted" {
		switch d.Reason {
		case "limit", "unreachable", "timeout", "internal":
			s.t.Logf("%s ended as %s: %s: %s", d.Sync, e.name(), d.Reason, d.Message)
		default:
			wrong(e, "it ended for %s: %s", d.Reason, d.Message)
		}
		return
	}
	sum := int64(0)
	for _, t := range d.Tables {
		sum += t.Records
		if t.Status != "completed" {
			wrong(e, "table %s is %s: %s", t.Name, t.Status, t.Message)
		}
	}
	if sum != d.Records {
		wrong(e, "it tells %d records, and its tables have %d", d.Records, sum)
	}
}
