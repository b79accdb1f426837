package servers

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"database/sql"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib" // the "pgx" driver of database/sql

	"headwater/connectors/drivertest/ports"
)

// StartPostgres makes a fresh PostgreSQL in dir, which must not exist or be
// empty, and starts it with further settings, such as "shared_buffers=1GB", that
// override its own. It returns a *MissingError when PostgreSQL is not installed.
// The caller calls Stop.
func StartPostgres(ctx context.Context, dir string, settings ...string) (*Server, error) {
	initdb, err := find("postgresql", "initdb", "/usr/lib/postgresql/*/bin")
	if err != nil {
		return nil, err
	}
	return startPostgres(ctx, initdb, dir, settings)
}

// StartPostgresOf is StartPostgres with the programs in a folder, for another version
// than the one that is installed.
func StartPostgresOf(ctx context.Context, programs, dir string, settings ...string) (*Server, error) {
	return startPostgres(ctx, filepath.Join(programs, "initdb"), dir, settings)
}

func startPostgres(ctx context.Context, initdb, dir string, settings []string) (*Server, error) {
	postgres := filepath.Join(filepath.Dir(initdb), "postgres")
	if err := own(dir); err != nil {
		return nil, err
	}
	s := &Server{Dir: dir, Host: "127.0.0.1", User: "headwater", Password: password(), Database: "headwater", signal: syscall.SIGINT}
	secret, data := filepath.Join(dir, "password"), filepath.Join(dir, "data")
	if err := os.WriteFile(secret, []byte(s.Password+"\n"), 0o644); err != nil {
		return nil, err
	}
	defer os.Remove(secret)
	out, err := command(ctx, dir, initdb, "-D", data, "-U", s.User, "-A", "scram-sha-256", "--pwfile", secret, "-E", "UTF8", "--locale", "C", "--no-sync").CombinedOutput()
	if err != nil {
		return nil, fmt.Errorf("initdb: %w: %s", err, out)
	}
	for range startAttempts {
		if s.Port, err = ports.Take(); err != nil {
			return nil, err
		}
		args := []string{"-D", data, "-h", s.Host, "-p", strconv.Itoa(s.Port)}
		for _, setting := range append([]string{"unix_socket_directories=", "fsync=off", "full_page_writes=off", "synchronous_commit=off", "wal_level=minimal", "max_wal_senders=0", "max_wal_size=4GB", "shared_buffers=64MB", "timezone=UTC"}, settings...) {
			args = append(args, "-c", setting)
		}
		if err = launch(ctx, s, dir, postgres, args, s.readyPostgres); err == nil {
			s.again = func(ctx context.Context) error {
				for { // until the backends of a server that was killed have found out
					err := launch(ctx, s, dir, postgres, args, s.readyPostgres)
					if err == nil || ctx.Err() != nil || !strings.Contains(err.Error(), "in use") && !strings.Contains(err.Error(), "postmaster.pid") {
						return err
					}
					time.Sleep(50 * time.Millisecond)
				}
			}
			return s, nil
		}
	}
	return nil, err
}

// StartStandby makes a standby of a running PostgreSQL of 15 or later in dir, with the
// programs in a folder. It follows the primary as long as both run. The caller calls
// Stop.
func StartStandby(ctx context.Context, programs, dir string, primary *Server) (*Server, error) {
	data := filepath.Join(dir, "data")
	if err := own(dir); err != nil {
		return nil, err
	}
	if err := primary.backup(ctx, data); err != nil {
		return nil, err
	}
	s := &Server{Dir: dir, Host: primary.Host, User: primary.User, Password: primary.Password, Database: primary.Database, signal: syscall.SIGINT}
	var err error
	for range startAttempts {
		if s.Port, err = ports.Take(); err != nil {
			return nil, err
		}
		args := []string{"-D", data, "-h", s.Host, "-p", strconv.Itoa(s.Port), "-c", "unix_socket_directories=", "-c", "fsync=off", "-c", "wal_level=logical", "-c", "max_wal_senders=8", "-c", "max_replication_slots=40",
			"-c", "max_prepared_transactions=4", "-c", "hot_standby_feedback=on", "-c", fmt.Sprintf("primary_conninfo=host=%s port=%d user=%s password=%s", primary.Host, primary.Port, primary.User, primary.Password)}
		if err = launch(ctx, s, dir, filepath.Join(programs, "postgres"), args, s.answers); err == nil {
			return s, nil
		}
	}
	return nil, err
}

// backup copies the server's data while it runs, as the beginning of a standby.
func (s *Server) backup(ctx context.Context, to string) error {
	db, err := s.OpenPostgres()
	if err != nil {
		return err
	}
	defer db.Close()
	conn, err := db.Conn(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	if _, err := conn.ExecContext(ctx, "SELECT pg_backup_start('standby', true)"); err != nil {
		return err
	}
	if err := os.CopyFS(to, os.DirFS(filepath.Join(s.Dir, "data"))); err != nil {
		return err
	}
	var label string
	if err := conn.QueryRowContext(ctx, "SELECT labelfile FROM pg_backup_stop(false)").Scan(&label); err != nil {
		return err
	}
	for _, err := range []error{
		os.Remove(filepath.Join(to, "postmaster.pid")), os.RemoveAll(filepath.Join(to, "pg_replslot")), os.Mkdir(filepath.Join(to, "pg_replslot"), 0o700),
		os.WriteFile(filepath.Join(to, "backup_label"), []byte(label), 0o600), os.WriteFile(filepath.Join(to, "standby.signal"), nil, 0o600),
	} {
		if err != nil {
			return err
		}
	}
	return filepath.WalkDir(to, func(path string, entry os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		mode := os.FileMode(0o600)
		if entry.IsDir() {
			mode = 0o700
		}
		if uid, gid, drop := unprivileged(); drop {
			err = os.Chown(path, int(uid), int(gid))
		}
		return errors.Join(err, os.Chmod(path, mode))
	})
}

// answers reports whether a standby can be read.
func (s *Server) answers(ctx context.Context) error {
	db, err := s.OpenPostgres()
	if err != nil {
		return err
	}
	return errors.Join(db.PingContext(ctx), db.Close())
}

// OpenPostgres returns a handle for filling the server. The caller closes it.
func (s *Server) OpenPostgres() (*sql.DB, error) { return s.openPostgres(s.Database) }

func (s *Server) openPostgres(database string) (*sql.DB, error) {
	return sql.Open("pgx", fmt.Sprintf("postgres://%s:%s@%s/%s?sslmode=disable", s.User, s.Password, s.Address(), database))
}

// readyPostgres connects, and on the first success makes the database and a login that
// costs little: the password is hashed once and not 4096 times, which is most of what a
// test with the race detector does for a connection. Nothing else differs.
func (s *Server) readyPostgres(ctx context.Context) error {
	db, err := s.openPostgres("postgres")
	if err != nil {
		return err
	}
	switch _, err = db.ExecContext(ctx, "CREATE DATABASE "+s.Database); {
	case err == nil:
		_, err = db.ExecContext(ctx, fmt.Sprintf("ALTER ROLE %s PASSWORD '%s'", s.User, hashedOnce(s.Password)))
	case strings.Contains(err.Error(), "already exists"):
		err = nil // it was started anew
	}
	return errors.Join(err, db.Close())
}

// hashedOnce returns what PostgreSQL keeps of a password, with one iteration.
func hashedOnce(password string) string {
	const salt = "headwater's tests"
	hash := func(key []byte, text string) []byte {
		h := hmac.New(sha256.New, key)
		h.Write([]byte(text))
		return h.Sum(nil)
	}
	salted := hash([]byte(password), salt+"\x00\x00\x00\x01") // PBKDF2 of one iteration and block
	stored := sha256.Sum256(hash(salted, "Client Key"))
	text := base64.StdEncoding.EncodeToString
	return fmt.Sprintf("SCRAM-SHA-256$1:%s$%s:%s", text([]byte(salt)), text(stored[:]), text(hash(salted, "Server Key")))
}
