// Package sqlite reads SQLite database files below the files root.
//
// The file is hostile until proven otherwise: SQLite sees it through a virtual
// file system that holds this one file and cannot write, opens it immutable,
// defensive and with an untrusted schema, and an authorizer allows nothing but
// reading. What it sees is one moment (dbFile): the file under SQLite's own lock of
// readers, with the transactions of a write-ahead log over it and without those
// that a crash left in the middle. Programs may go on writing.
package sqlite

import (
	"cmp"
	"context"
	"database/sql"
	sqldriver "database/sql/driver"
	"errors"
	"io/fs"
	"log/slog"
	"path"
	"strings"
	"sync"
	"time"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
	"modernc.org/sqlite/vfs"

	"headwater/connectors/driver"
	"headwater/connectors/records"
)

// Settings configure a SQLite file.
type Settings struct {
	Path     string `json:"path,omitempty" public:"true" jsonschema:"title=Path,description=The database file: a relative path below the files root,example=shop.db"`
	Database string `json:"database,omitempty" public:"true" jsonschema:"title=Database,description=The same as path"`
	// SampleRows is how many rows of a table decide its columns' types.
	SampleRows int64 `json:"sample_rows,omitempty" public:"true" jsonschema:"title=Sample rows,description=How many rows of each table decide the types of its columns: 0 chooses by the table's width and -1 reads every row,minimum=-1"`
	// ColumnTypes replaces the types found, by column name.
	ColumnTypes map[string]string `json:"column_types,omitempty" public:"true" jsonschema:"title=Column types,description=Types by column name that replace those found: string int64 float64 decimal(15\\,2) boolean date timestamp timestamptz json bytes"`
	OnBadValue  string            `json:"on_bad_value,omitempty" public:"true" jsonschema:"enum=fail,enum=null,default=fail,title=Values that a type cannot hold,description=Text in a column of numbers and days off the calendar and text that is not UTF-8: fail ends the table; null lands NULL and says how often"`
}

// nulls reports whether a value that its column's type cannot hold lands as NULL.
func (s *Settings) nulls() bool { return s.OnBadValue == "null" }

// Driver is the SQLite driver.
type Driver struct {
	rangeBytes int64         // of a range; 0 is the default
	patience   time.Duration // with a writer; 0 is the default
}

var (
	_ driver.Driver    = Driver{}
	_ driver.Validator = (*Settings)(nil)
)

// Spec describes the driver.
func (Driver) Spec() driver.Spec {
	return driver.Spec{
		Name: "sqlite", Aliases: []string{"sqlite3"}, Class: "database", Title: "SQLite",
		Schemes: []string{"sqlite", "sqlite3"}, Endings: []string{".sqlite", ".sqlite3", ".db", ".db3", ".s3db"},
		Settings: &Settings{},
	}
}

// Open checks that the file is a whole SQLite database.
func (d Driver) Open(ctx context.Context, cfg driver.Config) (driver.Source, error) {
	var settings Settings
	if err := driver.Decode(cfg.Settings, &settings); err != nil {
		return nil, err
	}
	if err := settings.Validate(); err != nil {
		return nil, err
	}
	name, err := settings.name()
	if err != nil {
		return nil, err
	}
	if cfg.Files == nil {
		return nil, driver.E(driver.ErrUnsupported, nil, "this server reads no local files")
	}
	s := &source{settings: settings, files: cfg.Files, name: name, rangeBytes: d.rangeBytes, patience: cmp.Or(d.patience, patience), limits: cfg.Limits.WithDefaults(), maxSize: cfg.Limits.MaxFileSize, log: cfg.Log}
	if s.rangeBytes <= 0 {
		s.rangeBytes = rangeBytes
	}
	end, err := s.begin(ctx)
	if err != nil {
		s.Close()
		return nil, err
	}
	end()
	return s, nil
}

// name returns the file's path below the root.
func (s *Settings) name() (string, error) {
	name := s.Path
	switch {
	case name == "":
		name = s.Database
	case s.Database != "" && s.Database != s.Path:
		return "", driver.InvalidField("database", "names the same thing as path; give one of them")
	}
	if name == "" {
		return "", driver.InvalidField("path", "is missing: the path of the database file below the files root")
	}
	clean := path.Clean(name)
	if strings.HasPrefix(name, "/") || strings.ContainsAny(name, "\x00\\") || !fs.ValidPath(clean) || clean == "." {
		return "", driver.InvalidField("path", "must be a relative path below the files root, without \"..\"")
	}
	return clean, nil
}

// Validate returns an ErrInvalidConfig that names the wrong field.
func (s *Settings) Validate() error {
	if _, err := s.name(); err != nil {
		return err
	}
	return records.CheckTypes(s.ColumnTypes)
}

// source is one file. Each call opens it as it is then.
type source struct {
	settings Settings
	files    fs.FS
	name     string
	patience time.Duration
	maxSize  int64
	limits   driver.Limits
	log      *slog.Logger

	mu    sync.Mutex
	users int     // of the moment
	file  *dbFile // the moment, also when nobody uses it any more
	vfs   *vfs.FS
	db    *sql.DB
	conn  *sql.Conn
	// engineOnly keeps the source from reading pages itself, for comparison.
	engineOnly bool
	rangeBytes int64
	close      sync.Once
	closeErr   error
}

// options harden the connection before the file's schema is parsed.
const options = "&mode=ro&immutable=1&_defensive=1&_dqs=0&_pragma=trusted_schema(0)&_pragma=cell_size_check(1)&_pragma=mmap_size(0)&_pragma=temp_store(2)&_pragma=cache_size(-8192)&_query_only=1"

// patience is how long to wait for a transaction that keeps readers out.
const patience = 5 * time.Second

// begin opens the database as it is now, or joins those who read it already. It is held
// until end is called. If nothing was written since the last time, the engine keeps what
// it has read.
func (s *source) begin(ctx context.Context) (end func(), err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.users == 0 {
		file, err := openFile(ctx, s.files, s.name, s.maxSize, s.patience)
		if err != nil {
			return nil, err
		}
		before := s.file
		s.file = file
		if before == nil || before.stamp != file.stamp {
			if err := errors.Join(s.disconnect(), s.connect(ctx)); err != nil {
				file.release()
				return nil, err
			}
		}
		if before != nil {
			before.Close()
		}
	}
	s.users++
	return sync.OnceFunc(func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.users--; s.users == 0 {
			s.file.release()
		}
	}), nil
}

// disconnect closes the connection.
func (s *source) disconnect() error {
	var errs []error
	if s.conn != nil {
		errs = append(errs, s.conn.Close())
	}
	if s.db != nil {
		errs = append(errs, s.db.Close())
	}
	if s.vfs != nil {
		errs = append(errs, s.vfs.Close())
	}
	s.conn, s.db, s.vfs = nil, nil, nil
	return errors.Join(errs...)
}

// connect opens the one connection, which is kept as long as the content is the same.
func (s *source) connect(ctx context.Context) error {
	name, files, err := vfs.New(oneFile{s})
	if err != nil {
		return driver.E(driver.ErrUnsupported, err, "SQLite")
	}
	s.vfs = files
	connector, err := sqlite.NewConnector("file:" + oneName + "?vfs=" + name + options)
	if err != nil {
		return driver.E(driver.ErrUnsupported, err, "SQLite")
	}
	s.db = sql.OpenDB(connector)
	s.db.SetMaxOpenConns(1)
	if s.conn, err = s.db.Conn(ctx); err != nil {
		return s.failed(ctx, err, "")
	}
	for _, limit := range [][2]int{
		{sqlite3.SQLITE_LIMIT_LENGTH, int(min(s.limits.MaxRowBytes, 1<<30))},
		{sqlite3.SQLITE_LIMIT_SQL_LENGTH, 4 << 20},
		{sqlite3.SQLITE_LIMIT_COLUMN, min(s.limits.MaxColumns, 32767)},
		{sqlite3.SQLITE_LIMIT_EXPR_DEPTH, 200},
		{sqlite3.SQLITE_LIMIT_COMPOUND_SELECT, 100},
		{sqlite3.SQLITE_LIMIT_VDBE_OP, 1 << 20},
		{sqlite3.SQLITE_LIMIT_FUNCTION_ARG, 100},
		{sqlite3.SQLITE_LIMIT_ATTACHED, 0},
		{sqlite3.SQLITE_LIMIT_LIKE_PATTERN_LENGTH, 1000},
		{sqlite3.SQLITE_LIMIT_TRIGGER_DEPTH, 1},
		{sqlite3.SQLITE_LIMIT_WORKER_THREADS, 0},
	} {
		if _, err := sqlite.Limit(s.conn, limit[0], limit[1]); err != nil {
			return driver.E(driver.ErrUnsupported, err, "SQLite limits")
		}
	}
	err = s.conn.Raw(func(conn any) error {
		return conn.(sqlite.AuthorizerRegisterer).RegisterAuthorizer(authorize)
	})
	if err != nil {
		return driver.E(driver.ErrUnsupported, err, "SQLite authorizer")
	}
	return nil
}

// authorize allows reading and the few pragmas that describe the schema.
func authorize(action sqlite.AuthorizerActionCode, arg1, arg2, _, _ string) sqlite.AuthorizerReturnCode {
	switch action {
	case sqlite.AuthSelect, sqlite.AuthRead, sqlite.AuthRecursive:
		return sqlite.AuthorizerOK
	case sqlite.AuthFunction:
		switch strings.ToLower(arg2) {
		case "load_extension", "fts3_tokenizer", "writefile", "readfile", "edit":
			return sqlite.AuthorizerDeny
		}
		return sqlite.AuthorizerOK
	case sqlite.AuthPragma:
		switch strings.ToLower(arg1) {
		case "table_list", "table_xinfo", "index_list", "index_xinfo":
			return sqlite.AuthorizerOK
		}
	}
	return sqlite.AuthorizerDeny
}

// Check reads the schema.
func (s *source) Check(ctx context.Context) error {
	end, err := s.begin(ctx)
	if err != nil {
		return err
	}
	defer end()
	_, err = s.tables(ctx)
	return err
}

// Close closes the connection and the file.
func (s *source) Close() error {
	s.close.Do(func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.closeErr = s.disconnect()
		if s.file != nil {
			s.closeErr = errors.Join(s.closeErr, s.file.Close())
		}
	})
	return s.closeErr
}

// rows runs one statement and gives each row to f, until f returns an error. The values
// are valid until f returns.
func (s *source) rows(ctx context.Context, query string, args []sqldriver.NamedValue, f func(row []sqldriver.Value) error) error {
	return s.conn.Raw(func(conn any) error {
		rows, err := conn.(sqldriver.QueryerContext).QueryContext(ctx, query, args)
		if err != nil {
			return err
		}
		defer rows.Close()
		row := make([]sqldriver.Value, len(rows.Columns()))
		for {
			if err := rows.Next(row); err != nil {
				return err
			}
			if err := f(row); err != nil {
				return err
			}
		}
	})
}

// failed turns an error of SQLite into a *driver.Error.
func (s *source) failed(ctx context.Context, err error, doing string) error {
	var typed *driver.Error
	if errors.As(err, &typed) {
		return err
	}
	if doing != "" {
		doing = ", " + doing
	}
	if ctx.Err() != nil {
		return driver.E(driver.ErrTimeout, context.Cause(ctx), "%s%s: stopped", s.name, doing)
	}
	var code *sqlite.Error
	if errors.As(err, &code) {
		switch code.Code() & 0xff {
		case sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_FORMAT, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN:
			return driver.E(driver.ErrBadData, err, "%s%s: the file is damaged or encrypted, not a readable SQLite database", s.name, doing)
		case sqlite3.SQLITE_TOOBIG:
			return driver.E(driver.ErrLimit, err, "%s%s: a value is larger than %d bytes", s.name, doing, s.limits.MaxRowBytes)
		case sqlite3.SQLITE_AUTH:
			return driver.E(driver.ErrPermission, err, "%s%s: the statement does more than read", s.name, doing)
		case sqlite3.SQLITE_INTERRUPT:
			return driver.E(driver.ErrTimeout, err, "%s%s: stopped", s.name, doing)
		}
	}
	return driver.E(driver.ErrBadData, err, "%s%s", s.name, doing)
}
