package postgres

import (
	"cmp"
	"encoding/json"
	"time"

	"headwater/connectors/dbtls"
	"headwater/connectors/driver"
)

// Settings is the connection_config of a PostgreSQL source.
type Settings struct {
	Host     string `json:"host" public:"true" jsonschema:"required,minLength=1,maxLength=255,pattern=^[^\\s/@]+$,title=Host,description=Host name or address of the server"`
	Port     int    `json:"port,omitempty" public:"true" jsonschema:"minimum=1,maximum=65535,default=5432,title=Port"`
	Database string `json:"database" public:"true" jsonschema:"required,minLength=1,maxLength=255,title=Database"`
	Username string `json:"username,omitempty" public:"true" jsonschema:"maxLength=255,title=User name"`
	User     string `json:"user,omitempty" public:"true" jsonschema:"maxLength=255,title=User name (another spelling of username)"`
	Password string `json:"password,omitempty" jsonschema:"title=Password"`
	// SSLMode prefer encrypts wherever the server can. It falls back only on the
	// server's own word that it has no TLS, and then never sends the password in
	// clear text.
	SSLMode           string   `json:"sslmode,omitempty" public:"true" jsonschema:"enum=disable,enum=prefer,enum=require,enum=verify-ca,enum=verify-full,default=prefer,title=TLS,description=disable: never; prefer: when the server has it; require: always but without checking who the server is; verify-ca: always and check who signed the certificate; verify-full: check the host name as well"`
	CACertificate     string   `json:"ca_certificate,omitempty" public:"true" jsonschema:"title=CA certificate,description=PEM text of the authorities that verify-ca and verify-full trust instead of the system's"`
	ClientCertificate string   `json:"client_certificate,omitempty" public:"true" jsonschema:"title=Client certificate,description=PEM text of the certificate (with its chain) that the account logs in with; needs client_key"`
	ClientKey         string   `json:"client_key,omitempty" jsonschema:"title=Client key,description=PEM text of the private key of client_certificate, not encrypted"`
	Schemas           []string `json:"schemas,omitempty" public:"true" jsonschema:"title=Schemas,description=Only these schemas; all but the system's when absent"`

	RowSecurity    string            `json:"row_security,omitempty" public:"true" jsonschema:"enum=fail,enum=filter,default=fail,title=Row security,description=What to do where policies hide rows from the account: fail says so; filter lands the rows that they let through"`
	Encoding       string            `json:"encoding,omitempty" public:"true" jsonschema:"maxLength=40,title=Encoding,description=Of a database of encoding SQL_ASCII: what its text is in where it is not UTF-8 such as windows-1252 or iso-8859-1"`
	OnBadValue     string            `json:"on_bad_value,omitempty" public:"true" jsonschema:"enum=fail,enum=null,default=fail,title=Values that a type cannot hold,description=infinity and NaN and 24:00: fail ends the table; null lands NULL and says how often"`
	ColumnTypes    map[string]string `json:"column_types,omitempty" public:"true" jsonschema:"title=Column types,description=By column or table.column or schema.table.column: string for the server's own text or decimal(p;s) for a numeric without a scale"`
	MaxConnections int               `json:"max_connections,omitempty" public:"true" jsonschema:"minimum=1,maximum=64,title=Connections,description=Most connections that the reading of one table takes at once"`
	MaxRowMiB      int               `json:"max_row_mib,omitempty" public:"true" jsonschema:"minimum=1,maximum=1024,title=Longest row,description=In MiB; 64 when absent. A row takes several times its length of the connector's memory (--connector-memory)"`
	FirstRowLimit  int               `json:"first_row_seconds,omitempty" public:"true" jsonschema:"minimum=1,maximum=86400,default=3600,title=Wait for rows,description=Seconds that a query may take before its first row comes"`
}

// Validate requires one of the two spellings of the user name, and that what is
// given can be used.
func (s *Settings) Validate() error {
	switch {
	case s.user() == "":
		return driver.InvalidField("username", "is missing")
	case s.User != "" && s.Username != "" && s.User != s.Username:
		return driver.InvalidField("username", "and connection_config.user differ: give one")
	}
	for name, text := range s.ColumnTypes {
		if t, err := driver.ParseType(text); err != nil || t.Kind != driver.String && t.Kind != driver.Decimal {
			return driver.InvalidField("column_types."+name, "must be string or decimal(precision,scale)")
		}
	}
	if _, err := s.charset(); err != nil {
		return err
	}
	return s.tls().Validate()
}

func (s *Settings) user() string {
	if s.Username != "" {
		return s.Username
	}
	return s.User
}

// nulls reports whether a value that its column's type cannot hold lands as
// NULL.
func (s *Settings) nulls() bool { return s.OnBadValue == "null" }

// firstRow returns how long a query may take before its first row comes.
func (s *Settings) firstRow() time.Duration {
	return time.Duration(cmp.Or(s.FirstRowLimit, 3600)) * time.Second
}

// rowSecurity returns the server's setting: off makes an error of a query that a
// policy would filter.
func (s *Settings) rowSecurity() string {
	if s.RowSecurity == "filter" {
		return "on"
	}
	return "off"
}

// override applies column_types to a column.
func (s *Settings) override(t driver.Table, column string, a attribute, m *mapped) error {
	for _, name := range []string{t.Namespace + "." + t.Name + "." + column, t.Name + "." + column, column} {
		text, ok := s.ColumnTypes[name]
		if !ok {
			continue
		}
		wish, err := driver.ParseType(text)
		switch {
		case err != nil:
			return driver.E(driver.ErrInvalidConfig, err, "connection_config.column_types: %q", name)
		case wish.Kind == driver.String && m.typ.Kind != driver.String:
			*m = mapped{typ: wish, cast: castText}
		case wish.Kind == driver.Decimal && (a.oid == oidNumeric || a.oid == oidMoney):
			*m = mapped{typ: wish, how: asNumeric, cast: castNumeric}
		case wish.Kind == driver.Decimal:
			return driver.InvalidField("column_types."+name, "is of type %s, which is no numeric", a.name)
		}
		return nil
	}
	return nil
}

func jsonList(names []string) string {
	text, _ := json.Marshal(names) // strings always marshal
	return string(text)
}

func (s *Settings) tls() dbtls.Settings {
	return dbtls.Settings{Host: s.Host, Mode: s.SSLMode, Authority: s.CACertificate, Certificate: s.ClientCertificate, Key: s.ClientKey}
}
