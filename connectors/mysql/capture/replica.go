package capture

import (
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"strings"
	"time"

	"github.com/go-sql-driver/mysql"

	"headwater/connectors/driver"
	"headwater/connectors/mysql/binlog"
	"headwater/connectors/mysql/protocol"
	"headwater/connectors/mysql/session"
	"headwater/connectors/sqldb"
)

// replica is a session that reads the binary log. The server takes it for one of its
// replicas.
type replica struct {
	c     *session.Session
	id    uint32 // by which the server knows it
	read  binlog.Reader
	place binlog.Place // of the event that came last
	began bool         // an event of a file came
	ended string       // the file before
	last  binlog.Type  // of the event that came last, of those that are in a file
	torn  []torn       // what came before and is no whole log
}

// torn is the end of a file behind which a log may lack something.
type torn struct {
	file string
	off  bool // the server went on without a log
}

// holdLimit is how many seconds the server waits for us to take what it sends. Nothing
// on the server waits with it.
const holdLimit = 3600

// replicaID is the number of a reader among the server's replicas. The server ends the
// older one of two replicas with the same number: that is meant for two readers of one
// source of one service, so the numbers are far from those that people give to servers.
func replicaID(c driver.Capture, purpose string) uint32 {
	const from = 3 << 30
	return from + crc32.ChecksumIEEE([]byte(c.Reader+" "+purpose+c.Owner))%(1<<32-1-from)
}

// follow asks for the log behind a position. With wait the server waits at the end of
// the log and sends a heartbeat every pause. ErrReplaced says why the log cannot be
// continued there.
func (s *Capturer) follow(ctx context.Context, from binlog.Position, id uint32, wait bool, pause time.Duration) (*replica, error) {
	return s.dump(ctx, id, func(c *session.Session) error {
		if c.MariaDB {
			if err := c.Exec(ctx, "SET @mariadb_slave_capability = 4, @slave_connect_state = "+session.Literal(from.GTIDs())+
				", @slave_gtid_strict_mode = 1, @slave_gtid_ignore_duplicates = 0, @master_heartbeat_period = "+fmt.Sprint(pause.Nanoseconds())); err != nil {
				return err
			}
			return c.Dump(id, "", 4, wait)
		}
		// Both names of the variables: MySQL has the second since 8.0.26.
		if err := c.Exec(ctx, fmt.Sprintf("SET @master_heartbeat_period = %[1]d, @source_heartbeat_period = %[1]d", pause.Nanoseconds())); err != nil {
			return err
		}
		return c.DumpGTID(id, from.Encode(), wait)
	})
}

// dump connects, asks for the log, and reads up to the first event of a file, so that a
// refusal of the server shows here.
func (s *Capturer) dump(ctx context.Context, id uint32, ask func(*session.Session) error) (*replica, error) {
	c, err := s.pool.Await(ctx)
	if err != nil {
		return nil, err
	}
	r := &replica{c: c, id: id}
	// An UPDATE of one row has it twice.
	r.read.Limit = 2*s.pool.Limits.MaxRowBytes + 1<<20
	c.SetLimit(r.read.Limit)
	err = c.Exec(ctx, fmt.Sprintf("SET SESSION net_write_timeout = %d, @master_binlog_checksum = 'CRC32', @source_binlog_checksum = 'CRC32'", holdLimit))
	if err == nil {
		if err = ask(c); err != nil {
			err = c.Explain(ctx, err, "")
		}
	}
	c.SetReadTimeout(s.pool.Settings.FirstRow()) // the server searches its files for the place
	for err == nil && !r.began {
		_, err = r.next(ctx)
	}
	c.SetReadTimeout(0)
	if err != nil {
		c.Close()
		return nil, err
	}
	return r, nil
}

// next returns the next event, valid until the next call. It returns io.EOF at the end
// of a log that is not waited for.
func (r *replica) next(ctx context.Context) (e binlog.Event, err error) {
	p, err := r.c.Event()
	var long *protocol.LongEvent
	switch {
	case err == nil:
		e, err = r.read.Read(p)
	case errors.As(err, &long):
		e, err = r.read.Cut(long.Begin)
	}
	if err != nil {
		return e, r.explain(ctx, err)
	}
	if e.Starts() && r.last == binlog.RotateEvent { // it had no next file to go on in
		r.torn = append(r.torn, torn{r.ended, true})
	}
	if !e.ForReader() {
		r.last = e.Type
	}
	switch e.Type {
	case binlog.RotateEvent:
		file, at, err := e.Rotate()
		if err != nil {
			return e, r.explain(ctx, err)
		}
		if r.began && r.last != binlog.RotateEvent && r.last != binlog.StopEvent && file != r.place.File {
			r.torn = append(r.torn, torn{file: r.place.File})
		}
		if file != r.place.File {
			r.ended = r.place.File
		}
		r.place.File, r.place.At, r.place.Made = file, at, 0
	case binlog.FormatEvent:
		r.began, r.place.Made, r.place.Server = true, e.Time, e.Server
	}
	if e.End > 0 {
		r.place.At = onward(r.place.At, e.End)
	}
	return e, nil
}

// onward returns the place in a file whose lower four bytes are given: files may be
// longer than four bytes can say. A place before at is an event that comes again, and
// leaves at as it is.
func onward(at uint64, lower uint32) uint64 {
	next := at&^(1<<32-1) | uint64(lower)
	if next+1<<31 < at {
		next += 1 << 32
	}
	return max(next, at)
}

// logError is the server's error for every reason not to send its log. takenLog is
// MariaDB's error for one reason: another replica with the same number has come.
const (
	logError = 1236
	takenLog = 4052
)

// taken is the error of a reader that the server ended for another one of its number.
func (r *replica) taken() error {
	return driver.E(driver.ErrUnreachable, nil, "another reader took the binary log over under the same number (%d): it is an earlier one of this source, a second service with a copy of this one's data, or a replica whose server_id that is. Stop the other, or give the replica another server_id", r.id)
}

// explain returns the *driver.Error for an error of reading the log.
func (r *replica) explain(ctx context.Context, err error) error {
	var server *mysql.MySQLError
	switch {
	case err == io.EOF:
		return err
	case errors.Is(err, binlog.ErrLimit), errors.Is(err, protocol.ErrTooLong):
		return r.tooLong("an event")
	case errors.Is(err, binlog.ErrEvent), errors.Is(err, binlog.ErrChecksum):
		return driver.E(driver.ErrBadData, nil, "%v (%s, before %d)", err, r.place.File, r.place.At)
	case errors.Is(err, os.ErrDeadlineExceeded) && ctx.Err() == nil && !r.began:
		return driver.E(driver.ErrTimeout, nil, "the server did not find the place in its binary log in time: raise connection_config.first_row_seconds")
	case errors.As(err, &server) && server.Number == logError:
		if strings.Contains(strings.ToLower(server.Message), "same server_uuid/server_id") {
			return r.taken()
		}
		return refusedLog(server.Message)
	case errors.As(err, &server) && server.Number == takenLog:
		return r.taken()
	case errors.As(err, &server) && (server.Number == 1227 || server.Number == 1045):
		return driver.E(driver.ErrPermission, nil, "this account may not read the binary log: GRANT REPLICATION SLAVE ON *.* TO it")
	}
	return r.c.Explain(ctx, err, "the binary log")
}

// tooLong says that an event is longer than may be read.
func (r *replica) tooLong(what string) *driver.Error {
	return driver.E(driver.ErrLimit, nil, "%s in the binary log is longer than connection_config.max_row_mib (%d) allows: raise it, or sync_options.reset [\"*\"] reads the tables whole again and takes the log up behind it", what, (r.read.Limit-1<<20)/2>>20)
}

// wayAnew ends the message about a log that cannot be continued.
const wayAnew = ": " + sqldb.ReadAnew

// refusedLog explains error 1236 by the words of its message, which contains only
// numbers and names of files.
func refusedLog(message string) error {
	lower := strings.ToLower(message)
	switch {
	case strings.Contains(lower, "purged"), strings.Contains(lower, "could not find first log file"):
		return driver.E(driver.ErrReplaced, nil, "the server has deleted the binary logs that were still to be read (it keeps them for binlog_expire_logs_seconds, or until PURGE BINARY LOGS): let it keep them longer%s", wayAnew)
	case strings.Contains(lower, "not in the master's binlog"), strings.Contains(lower, "missing the gtid"), strings.Contains(lower, "more gtids than"):
		return driver.E(driver.ErrReplaced, nil, "the server's binary log does not have the transaction that was read last: it is another server, one that lost transactions in a failover, or its log was begun anew (RESET MASTER)%s", wayAnew)
	case strings.Contains(lower, "max_allowed_packet"):
		return driver.E(driver.ErrLimit, nil, "the binary log has an event that is longer than the server may send: raise max_allowed_packet on the server")
	case strings.Contains(lower, "not open"), strings.Contains(lower, "not enabled"):
		return driver.E(driver.ErrUnsupported, nil, "the server keeps no binary log: set log_bin")
	}
	return driver.E(driver.ErrReplaced, nil, "the server does not send its binary log: %s%s", message, wayAnew)
}

// close ends the reading.
func (r *replica) close() { r.c.Close() }
