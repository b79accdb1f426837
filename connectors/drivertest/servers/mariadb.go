package servers

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/go-sql-driver/mysql"

	"headwater/connectors/drivertest/ports"
)

const mariadbPackage = "mariadb-server-core"

// StartMariaDB makes a fresh MariaDB in dir, which must not exist or be empty,
// and starts it, with further options of mariadbd if need be. It returns a
// *MissingError when MariaDB is not installed. The caller calls Stop.
func StartMariaDB(ctx context.Context, dir string, options ...string) (*Server, error) {
	mariadbd, err := find(mariadbPackage, "mariadbd", "/usr/sbin")
	if err != nil {
		return nil, err
	}
	if err := own(dir); err != nil {
		return nil, err
	}
	data := filepath.Join(dir, "data")
	if err := bootstrap(ctx, dir, data, mariadbd); err != nil {
		return nil, err
	}
	return serve(ctx, dir, mariadbd, append([]string{"--no-defaults", "--datadir=" + data, "--skip-log-bin", "--innodb-flush-method=nosync"}, options...))
}

// serve starts a server of MariaDB or MySQL on data that has no account but root's.
func serve(ctx context.Context, dir, program string, options []string) (*Server, error) {
	s := &Server{Dir: dir, Host: "127.0.0.1", User: "headwater", Password: password(), Database: "headwater", signal: syscall.SIGTERM}
	setup := filepath.Join(dir, "setup.sql")
	statements := fmt.Sprintf("CREATE DATABASE %[1]s CHARACTER SET utf8mb4;\nCREATE USER '%[2]s'@'%%' IDENTIFIED BY '%[3]s';\nGRANT ALL ON *.* TO '%[2]s'@'%%' WITH GRANT OPTION;\nDROP USER IF EXISTS root@localhost;\n", s.Database, s.User, s.Password)
	if err := os.WriteFile(setup, []byte(statements), 0o644); err != nil {
		return nil, err
	}
	defer os.Remove(setup)
	var err error
	for range startAttempts {
		if s.Port, err = ports.Take(); err != nil {
			return nil, err
		}
		first := append(options[:1:1], "--init-file="+setup, "--bind-address="+s.Host, "--port="+strconv.Itoa(s.Port), // --no-defaults has to be the first
			"--socket="+filepath.Join(dir, "s"), "--pid-file="+filepath.Join(dir, "pid"), "--skip-name-resolve",
			"--innodb-flush-log-at-trx-commit=0", "--innodb-buffer-pool-size=64M", "--default-time-zone=+00:00", "--local-infile=0")
		args := append(first, options[1:]...)
		if err = launch(ctx, s, dir, program, args, s.readyMariaDB); err == nil {
			args := slices.DeleteFunc(slices.Clone(args), func(arg string) bool { return strings.HasPrefix(arg, "--init-file=") })
			s.again = func(ctx context.Context) error { return launch(ctx, s, dir, program, args, s.readyMariaDB) }
			return s, nil
		}
	}
	return nil, err
}

// OpenMariaDB returns a handle for filling the server, of MariaDB or MySQL; it allows several
// statements in one Exec. The caller closes it.
func (s *Server) OpenMariaDB() (*sql.DB, error) {
	cfg := mysql.NewConfig()
	cfg.Net, cfg.Addr, cfg.User, cfg.Passwd, cfg.DBName = "tcp", s.Address(), s.User, s.Password, s.Database
	cfg.MultiStatements = true
	cfg.Logger = &mysql.NopLogger{}
	connector, err := mysql.NewConnector(cfg)
	if err != nil {
		return nil, err
	}
	return sql.OpenDB(connector), nil
}

func (s *Server) readyMariaDB(ctx context.Context) error {
	db, err := s.OpenMariaDB()
	if err != nil {
		return err
	}
	return errors.Join(db.PingContext(ctx), db.Close())
}

// bootstrap makes the system tables as mariadb-install-db does, which the
// package of the server alone cannot run: it needs the client's package.
func bootstrap(ctx context.Context, dir, data, mariadbd string) error {
	if err := own(data); err != nil {
		return err
	}
	var script bytes.Buffer
	script.WriteString("CREATE DATABASE mysql;\nUSE mysql;\nSET @auth_root_socket=NULL;\nSET @skip_auth_anonymous=1;\n")
	for _, name := range []string{"system_tables", "performance_tables", "system_tables_data"} {
		text, err := readShared("mysql_"+name+".sql", "mariadb_"+name+".sql")
		if err != nil {
			return err
		}
		for line := range bytes.Lines(text) {
			if !bytes.Contains(line, []byte("@current_hostname")) {
				script.Write(line)
			}
		}
	}
	cmd := command(ctx, dir, mariadbd, "--no-defaults", "--bootstrap", "--datadir="+data, "--innodb-flush-method=nosync", "--max-allowed-packet=8M", "--net-buffer-length=16K", "--log-warnings=0")
	cmd.Stdin = &script
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("mariadbd --bootstrap: %w: %s", err, out)
	}
	return nil
}

// readShared reads the first of the names that the server's package holds.
func readShared(names ...string) ([]byte, error) {
	for _, folder := range []string{"/usr/share/mysql", "/usr/share/mariadb", "/usr/local/share/mysql", "/usr/local/share/mariadb"} {
		for _, name := range names {
			if text, err := os.ReadFile(filepath.Join(folder, name)); err == nil {
				return text, nil
			}
		}
	}
	return nil, &MissingError{Program: names[0], Package: mariadbPackage}
}
