package capture

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"headwater/connectors/driver"
	"headwater/connectors/mysql/binlog"
	"headwater/connectors/mysql/session"
)

// logSettings is what a server says about its binary log.
type logSettings struct {
	on                               bool
	format, image, values, gtids, id string
	relayed                          bool          // the log has what the server gets as a replica
	slave                            string        // MariaDB: its position as a replica, "" if it never was one
	fold                             bool          // the server ignores case in names of tables
	kept                             time.Duration // how long it keeps files of the log, 0 for ever
	loose                            []string      // settings by which a crash may part the log from the tables
}

// askLogSettings asks the server for its settings.
func askLogSettings(ctx context.Context, c *session.Session) (l logSettings, err error) {
	var days float64
	err = c.Query(ctx, "SHOW GLOBAL VARIABLES WHERE Variable_name IN ('log_bin', 'binlog_format', 'binlog_row_image', 'binlog_row_value_options', 'gtid_mode', 'server_id', 'expire_logs_days', 'binlog_expire_logs_seconds', 'lower_case_table_names', 'log_slave_updates', 'log_replica_updates', 'gtid_slave_pos', 'sync_binlog', 'innodb_flush_log_at_trx_commit')", func(row []*string) error {
		value := session.Text(row[1])
		switch session.Text(row[0]) {
		case "log_bin":
			l.on = value == "ON"
		case "binlog_format":
			l.format = value
		case "binlog_row_image":
			l.image = value
		case "binlog_row_value_options":
			l.values = value
		case "gtid_mode":
			l.gtids = value
		case "server_id":
			l.id = value
		case "log_slave_updates", "log_replica_updates":
			l.relayed = value == "ON"
		case "gtid_slave_pos":
			l.slave = value
		case "lower_case_table_names":
			l.fold = value != "0"
		case "sync_binlog":
			if value != "1" && c.MariaDB { // MySQL's tables know the GTIDs that the log lost
				l.loose = append(l.loose, "sync_binlog is "+value)
			}
		case "innodb_flush_log_at_trx_commit":
			if value != "1" && value != "3" { // MariaDB: 3 writes more often yet
				l.loose = append(l.loose, "innodb_flush_log_at_trx_commit is "+value)
			}
		case "expire_logs_days":
			_, _ = fmt.Sscan(value, &days)
		case "binlog_expire_logs_seconds":
			l.kept = time.Duration(session.Integer(&value)) * time.Second
		}
		return nil
	})
	if l.kept == 0 {
		l.kept = time.Duration(days * float64(24*time.Hour))
	}
	return l, err
}

// missing says which settings have to change before rows can be read from the log.
func (l logSettings) missing(mariadb bool) (all []string) {
	if !l.on {
		return []string{"log_bin is off: start the server with log_bin and server_id"}
	}
	if l.format != "ROW" {
		all = append(all, "binlog_format is "+l.format+": set it to ROW")
	}
	if l.image != "FULL" && l.image != "FULL_NODUP" {
		all = append(all, "binlog_row_image is "+l.image+": set it to FULL")
	}
	if l.values != "" {
		all = append(all, "binlog_row_value_options is "+l.values+": set it to ''")
	}
	if !mariadb && l.gtids != "ON" {
		all = append(all, "gtid_mode is "+l.gtids+": set it to ON")
	}
	if !l.relayed && (l.slave != "" || !mariadb) {
		all = append(all, "log_slave_updates is OFF, so that changes which the server gets as a replica are not in its log: turn it on")
	}
	if l.id == "0" {
		all = append(all, "server_id is 0: give the server one")
	}
	return all
}

// monitor names the right to see where the log ends and which files it has.
func monitor(c *session.Session) string {
	if c.MariaDB && c.Version >= 100502 {
		return "BINLOG MONITOR"
	}
	return "REPLICATION CLIENT"
}

// Ready says what keeps the log from being read: settings, with the kind ErrUnsupported,
// or rights, with ErrPermission. It tries the rights out, so that those of a role count.
func (s *Capturer) Ready(ctx context.Context, c *session.Session) (missing []string, kind error, err error) {
	settings, err := askLogSettings(ctx, c)
	if err != nil {
		return nil, nil, err
	}
	if missing = settings.missing(c.MariaDB); len(missing) > 0 {
		return missing, driver.ErrUnsupported, nil
	}
	if c.MariaDB && c.Version < 100200 || !c.MariaDB && c.Version < 80000 {
		return []string{"the server is older than MariaDB 10.2 or MySQL 8.0"}, driver.ErrUnsupported, nil
	}
	filter, err := filtered(ctx, c, s.pool.Settings.Database)
	if filter != "" {
		return []string{filter}, driver.ErrUnsupported, nil
	}
	if errors.Is(err, driver.ErrPermission) {
		missing = append(missing, "GRANT "+monitor(c)+" ON *.* TO this account")
	} else if err != nil {
		return nil, nil, err
	}
	id := replicaID(driver.Capture{Reader: s.pool.Settings.Database, Owner: fmt.Sprint(time.Now().UnixNano())}, "check")
	r, err := s.dump(ctx, id, func(c *session.Session) error {
		if c.MariaDB {
			return c.Dump(id, "", 4, false)
		}
		return c.DumpGTID(id, binlog.Position{}.Encode(), false)
	})
	switch {
	case err == nil:
		r.close()
	case errors.Is(err, driver.ErrPermission):
		missing = append(missing, "GRANT REPLICATION SLAVE ON *.* TO this account")
	case !errors.Is(err, driver.ErrReplaced): // the beginning of the log may be deleted
		return nil, nil, err
	}
	return missing, driver.ErrPermission, nil
}

// statusStatement is the statement that says where the log ends and which databases it
// contains.
func statusStatement(c *session.Session) string {
	if !c.MariaDB && c.Version >= 80400 {
		return "SHOW BINARY LOG STATUS"
	}
	return "SHOW MASTER STATUS"
}

// filtered says why the server leaves a database out of its log, "" if it does not.
func filtered(ctx context.Context, c *session.Session, database string) (why string, err error) {
	err = c.Query(ctx, statusStatement(c), func(row []*string) error {
		if len(row) < 4 {
			return nil
		}
		has := func(list *string) bool {
			return slices.ContainsFunc(strings.Split(session.Text(list), ","), func(name string) bool { return strings.EqualFold(name, database) })
		}
		switch {
		case session.Text(row[2]) != "" && !has(row[2]):
			why = "binlog_do_db does not name the database " + database + ": add it"
		case session.Text(row[2]) == "" && has(row[3]):
			why = "binlog_ignore_db names the database " + database + ": remove it"
		}
		return nil
	})
	return why, err
}
