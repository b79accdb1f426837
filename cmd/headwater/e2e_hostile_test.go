package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"headwater/connectors/drivertest/servers"
)

// attack is one service with a source that behaves and many that do not.
type attack struct {
	*killRun
	files   string
	good    string
	pid     int
	rest    int // children while nothing runs
	opened  int // files, the same
	highest int64
}

// mostMemory is what the service itself may have, whatever a source does. The
// race detector takes several times as much.
const mostMemory = 700 << 20

func newAttack(t *testing.T) *attack {
	t.Helper()
	if _, err := os.Stat("/proc/self/status"); err != nil {
		t.Skip("needs /proc")
	}
	memory := "160"
	if racing { // whose shadow of the same work is another such amount and more
		memory = "640"
	}
	a := &attack{killRun: newKillRunOf(t, nil, "--connector-memory", memory, "--connector-keep", "0")}
	a.files = filepath.Join(a.dir, "files")
	a.write("good.csv", "id,name\n1,Ada\n2,Grace\n")
	a.good, _ = a.connectTo("good", "file", object{"path": "good.csv"})
	a.pid = a.process.cmd.Process.Pid
	t.Cleanup(func() { a.process.end(t) }) // in order: what was done to it must not keep it
	a.serves()
	a.await("rest", func() bool { return len(children(a.pid)) == 1 })
	a.rest, a.opened = len(children(a.pid)), openFiles(a.pid)
	return a
}

func (a *attack) write(name, text string) {
	a.t.Helper()
	if err := os.WriteFile(filepath.Join(a.files, name), []byte(text), 0o600); err != nil {
		a.t.Fatal(err)
	}
}

func (a *attack) await(what string, ok func() bool) {
	a.t.Helper()
	for deadline := time.Now().Add(testLimit); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			a.t.Errorf("waited in vain for %s", what)
			return
		}
	}
}

// connectTo returns the id of the source, or why it could not be connected.
func (a *attack) connectTo(name, kind string, config object) (id, why string) {
	a.t.Helper()
	answer := a.caller.call("POST", "/data/w/connect", object{"sources": []object{{"type": kind, "name": name, "connection_config": config}}}, "Prefer", "wait=150")
	var connected struct {
		Sources []struct{ ID string } `json:"connected_sources"`
	}
	if answer.Code != 200 {
		return "", answer.Message + string(answer.Body)
	}
	answer.into(a.t, &connected)
	return connected.Sources[0].ID, ""
}

// serves syncs the source that behaves.
func (a *attack) serves() {
	a.t.Helper()
	answer := a.caller.post("/data/w/sync", object{"source_ids": []string{a.good}})
	if answer.Code != 200 || !bytes.Contains(answer.Body, []byte(`"records_processed":2`)) {
		a.t.Errorf("the source that behaves: %d %s", answer.Code, answer.Body)
	}
}

// ended is how a sync ended.
type ended struct {
	Status string
	Error  *struct{ Reason, Message string }
	Tables []struct{ Status, Reason, Message string }
	took   time.Duration
}

func (e ended) says() string {
	text := e.Status
	if e.Error != nil {
		text += " " + e.Error.Reason + ": " + e.Error.Message
	}
	for _, t := range e.Tables {
		text += fmt.Sprintf(" [%s %s: %s]", t.Status, t.Reason, t.Message)
	}
	return text
}

// sync starts a sync and returns its operation.
func (a *attack) begin(source string, options object) (operation string) {
	a.t.Helper()
	answer := a.caller.call("POST", "/data/w/sync", object{"source_ids": []string{source}, "sync_options": options}, "Prefer", "respond-async")
	var accepted struct {
		ID string `json:"operation_id"`
	}
	if answer.into(a.t, &accepted); answer.Code != 202 {
		a.t.Fatalf("sync: %d %s", answer.Code, answer.Body)
	}
	return accepted.ID
}

// beginAsked starts a sync and waits until it has asked the hostile source, for
// which a busy machine gets twice the limit again and again. It returns what the
// limit is then.
func (a *attack) beginAsked(source string, h *hostile, limit time.Duration) (id string, most time.Duration) {
	a.t.Helper()
	for before := h.turned.Load(); ; limit *= 2 {
		id = a.begin(source, within(limit))
		asked := false
		a.await("the source to be asked", func() bool {
			asked = h.turned.Load() > before
			return asked || a.operation(id).Status != "running"
		})
		if asked || limit > longLimit {
			return id, limit
		}
	}
}

// operation is what there is to say of one.
type operation struct {
	Status  string
	Targets []struct {
		Sync string `json:"sync_id"`
	}
}

func (a *attack) operation(id string) (o operation) {
	a.t.Helper()
	a.caller.get("/data/w/operations/"+id).into(a.t, &o)
	return o
}

// end waits for the end of a sync.
func (a *attack) end(operation string, since time.Time) (e ended) {
	a.t.Helper()
	for deadline := time.Now().Add(longLimit + 2*busy); ; time.Sleep(10 * time.Millisecond) {
		a.highest = max(a.highest, processStatus(a.pid, "VmRSS"))
		o := a.operation(operation)
		if o.Status != "running" {
			a.caller.get("/data/w/syncs/"+o.Targets[0].Sync).into(a.t, &e)
			e.took = time.Since(since)
			return e
		}
		if time.Now().After(deadline) {
			a.t.Errorf("the sync has not ended")
			return e
		}
	}
}

// sync runs a sync to its end, while another source is served.
func (a *attack) sync(source string, options object) ended {
	a.t.Helper()
	began := time.Now()
	operation := a.begin(source, options)
	a.serves()
	return a.end(operation, began)
}

// calm checks that nothing is left behind.
func (a *attack) calm() {
	a.t.Helper()
	a.await("the children to end", func() bool { return len(children(a.pid)) == a.rest })
	a.await("the files to be closed", func() bool { return openFiles(a.pid) <= a.opened+10 })
	if a.highest > mostMemory {
		a.t.Errorf("the service had %d MiB", a.highest>>20)
	}
	a.serves()
}

// within limits a sync.
func within(limit time.Duration) object { return object{"timeout": limit.String()} }

// A sync of a hostile source has the short limit where its time is to run out,
// unless the machine is so busy that it did before the source was asked; and the
// long one where it is to end before.
const shortLimit, longLimit = 2 * time.Second, time.Minute

type attempt struct {
	turn    turn
	reasons []string
	says    string
	long    bool // left to the long suite
}

func (c attempt) limit() time.Duration {
	if slices.Contains(c.reasons, "timeout") {
		return shortLimit
	}
	return longLimit
}

func (a *attack) try(name, source string, h *hostile, c attempt) {
	a.t.Helper()
	if testing.Short() && c.long {
		return
	}
	before, limit := h.turned.Load(), c.limit()
	h.misbehave(c.turn)
	e := a.sync(source, within(limit))
	for h.turned.Load() == before && limit < longLimit {
		limit *= 2
		e = a.sync(source, within(limit))
	}
	h.behave()
	a.t.Logf("%s: %.1f s, %d MiB: %s", name, e.took.Seconds(), a.highest>>20, e.says())
	if h.turned.Load() == before {
		a.t.Errorf("%s: the server had no chance to misbehave", name)
	}
	if !one(e, c.reasons) || !strings.Contains(e.Error.Message, c.says) {
		a.t.Errorf("%s: want %v %q", name, c.reasons, c.says)
	}
	if e.took > limit+busy {
		a.t.Errorf("%s: it took %v", name, e.took)
	}
	a.calm()
}

// A PostgreSQL server that answers a sync with whatever it likes ends its sync
// with a reason, and nothing else.
func TestHostilePostgres(t *testing.T) {
	t.Parallel() // it waits more than it computes
	server := servers.Postgres(t)
	db, err := server.OpenPostgres()
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.Exec("CREATE TABLE thing (id int PRIMARY KEY, note text); INSERT INTO thing SELECT i, 'n' FROM generate_series(1, 1000) i"); err != nil {
		t.Fatal(err)
	}
	a := newAttack(t)
	rows := startHostile(t, server.Address(), "COPY (")
	catalog := startHostile(t, server.Address(), "pg_attribute a ON")
	connect := func(name string, h *hostile) string {
		id, why := a.connectTo(name, "postgresql", object{"host": "127.0.0.1", "port": h.port, "database": server.Database,
			"username": server.User, "password": server.Password, "sslmode": "disable"})
		if id == "" {
			t.Fatal(why)
		}
		return id
	}
	id := connect("rows", rows)
	if e := a.sync(id, object{}); e.Status != "completed" {
		t.Fatal(e.says())
	}
	begins := copyBegins()
	long := strings.Repeat("x", 100_000)
	for name, c := range map[string]attempt{
		"silent":             {silent, []string{"timeout"}, "sync_options.timeout", true},
		"garbage":            {garbage, []string{"bad_data", "unreachable", "limit"}, "", true},
		"slow rows for ever": {sends(begins, copyRow("x"), 50*time.Millisecond), []string{"timeout"}, "sync_options.timeout", true},
		"rows for ever":      {sends(begins, bytes.Repeat(copyRow(long), 10), 0), []string{"timeout"}, "sync_options.timeout", false},
		"a row of 1 GiB":     {sends(append(bytes.Clone(begins), 'd', 0x40, 0, 0, 0), []byte(long), 0), []string{"limit"}, "row", true},
		"a row without end":  {sends(append(bytes.Clone(begins), 'd', 0x01, 0, 0, 0), []byte("x"), time.Millisecond), []string{"timeout"}, "sync_options.timeout", true},
		"a notice of 1 GiB":  {sends([]byte{'N', 0x40, 0, 0, 0}, []byte(long), 0), []string{"bad_data", "limit"}, "", true},
		"notices for ever":   {sends(nil, pgMessage('N', []byte("SNOTICE\x00Mhello\x00\x00")), 0), []string{"timeout"}, "sync_options.timeout", true},
		"many fields":        {sends(append(bytes.Clone(begins), pgMessage('d', bytes.Repeat([]byte{0x7f}, 50_000))...), nil, time.Millisecond), []string{"bad_data"}, "", true},
	} {
		a.try(name, id, rows, c)
	}
	id = connect("catalog", catalog)
	for name, c := range map[string]attempt{
		"columns for ever": {turn: repeatCatalog(19, 2), reasons: []string{"limit"}, says: "columns"},
		"tables for ever":  {turn: repeatCatalog(14, 2), reasons: []string{"limit"}, long: true},
		"silent":           {turn: silent, reasons: []string{"timeout"}, says: "sync_options.timeout", long: true},
	} {
		a.try("catalog: "+name, id, catalog, c)
	}
	// A child that is killed, stopped, or stopped and cancelled.
	for name, c := range map[string]struct {
		signal      syscall.Signal
		limit, most time.Duration // of the sync, and until it has ended
		want        string
	}{
		// Another one reads the table, and the server has come to its senses.
		"killed": {syscall.SIGKILL, longLimit, busy, "completed"}, "cancelled": {syscall.SIGSTOP, longLimit, busy, "cancelled"},
		"stopped": {syscall.SIGSTOP, shortLimit, busy, "failed"},
	} {
		rows.misbehave(sends(begins, copyRow("x"), 5*time.Millisecond))
		operation, limit := a.beginAsked(connect("rows", rows), rows, c.limit)
		began := time.Now()
		own := children(a.pid)
		slices.Sort(own)
		for _, child := range own[:len(own)-1] { // the newest one waits for the next source
			for _, of := range []string{"cmdline", "environ"} {
				text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/%s", child, of))
				for form, needle := range forms(server.Password) {
					if bytes.Contains(text, needle) {
						t.Errorf("%s of a child holds the password (%s)", of, form)
					}
				}
			}
			_ = syscall.Kill(child, c.signal)
		}
		switch name {
		case "stopped":
			c.most += limit
		case "killed":
			rows.behave()
		case "cancelled":
			a.caller.post("/data/w/operations/"+operation+"/cancel", object{})
		}
		e := a.end(operation, began)
		rows.behave()
		t.Logf("%s: %.1f s: %s", name, e.took.Seconds(), e.says())
		if e.Status != c.want || e.took > c.most {
			t.Errorf("%s: it took %v: %s", name, e.took, e.says())
		}
		// A sync is cancelled at once; what works on it ends soon, and not with the sync's own limit.
		a.await("the children to end", func() bool { return len(children(a.pid)) == a.rest })
		if took := time.Since(began); name == "cancelled" && took > busy {
			t.Errorf("its child ended after %v", took)
		}
		a.calm()
	}
	if text := a.process.log.Bytes(); bytes.Contains(text, []byte(server.Password)) {
		t.Error("the log holds the password")
	}
	t.Logf("the service had at most %d MiB", a.highest>>20)
}

// The same of a MySQL server.
func TestHostileMySQL(t *testing.T) {
	t.Parallel() // it waits more than it computes
	if testing.Short() {
		t.Skip("PostgreSQL stands for both")
	}
	server := servers.MariaDB(t)
	db, err := server.OpenMariaDB()
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.Exec("CREATE TABLE thing (id int, note text); INSERT INTO thing SELECT seq, 'n' FROM seq_1_to_1000"); err != nil {
		t.Fatal(err)
	}
	a := newAttack(t)
	rows := startHostile(t, server.Address(), "FROM `headwater`.`thing`")
	id, why := a.connectTo("rows", "mysql", object{"host": "127.0.0.1", "port": rows.port, "database": server.Database,
		"username": server.User, "password": server.Password, "sslmode": "disable"})
	if id == "" {
		t.Fatal(why)
	}
	if e := a.sync(id, object{}); e.Status != "completed" {
		t.Fatal(e.says())
	}
	full := bytes.Repeat([]byte{'x'}, 0xffffff)
	for name, c := range map[string]attempt{
		"silent":             {silent, []string{"timeout"}, "sync_options.timeout", true},
		"garbage":            {garbage, []string{"bad_data", "unreachable", "limit"}, "", true},
		"slow rows for ever": {repeatRow(50 * time.Millisecond), []string{"timeout"}, "sync_options.timeout", true},
		"rows for ever":      {repeatRow(0), []string{"timeout"}, "sync_options.timeout", false},
		"many columns":       {sends(mysqlPacket(1, []byte{0xfe, 0, 0, 0, 0, 0, 1, 0, 0}), nil, time.Millisecond), []string{"bad_data", "limit"}, "", false},
		"a packet for ever":  {sends(nil, append([]byte{0xff, 0xff, 0xff, 1}, full...), 0), []string{"bad_data", "limit"}, "", false},
		"columns for ever":   {sends(mysqlPacket(1, []byte{0xfd, 0xff, 0xff, 0xff}), mysqlPacket(2, []byte("\x03def\x00\x00\x00\x01x\x00\x0c\x3f\x00\x0b\x00\x00\x00\x03\x00\x00\x00\x00\x00")), 0), []string{"bad_data", "limit"}, "", false},
	} {
		a.try(name, id, rows, c)
	}
}
