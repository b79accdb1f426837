package session

import (
	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/htmlindex"

	"headwater/connectors/driver"
	"headwater/connectors/sqldb"
)

// Settings is the connection_config of a PostgreSQL source.
type Settings struct {
	sqldb.Settings
	Port     int      `json:"port,omitempty" public:"true" jsonschema:"minimum=1,maximum=65535,default=5432,title=Port"`
	Database string   `json:"database" public:"true" jsonschema:"required,minLength=1,maxLength=255,title=Database"`
	Schemas  []string `json:"schemas,omitempty" public:"true" jsonschema:"title=Schemas,description=Only these schemas; all but the system's when absent"`

	RowSecurity    string            `json:"row_security,omitempty" public:"true" jsonschema:"enum=fail,enum=filter,default=fail,title=Row security,description=What to do where policies hide rows from the account: fail says so; filter lands the rows that they let through"`
	Encoding       string            `json:"encoding,omitempty" public:"true" jsonschema:"maxLength=40,title=Encoding,description=Of a database of encoding SQL_ASCII: what its text is in where it is not UTF-8 such as windows-1252 or iso-8859-1"`
	OnBadValue     string            `json:"on_bad_value,omitempty" public:"true" jsonschema:"enum=fail,enum=null,default=fail,title=Values that a type cannot hold,description=infinity and NaN and 24:00: fail ends the table; null lands NULL and says how often"`
	ColumnTypes    map[string]string `json:"column_types,omitempty" public:"true" jsonschema:"title=Column types,description=By column or table.column or schema.table.column: string for the server's own text or decimal(p;s) for a numeric without a scale"`
	Publication    string            `json:"publication,omitempty" public:"true" jsonschema:"maxLength=63,title=Publication,description=For mode cdc: a publication that people keep instead of one that Headwater makes; it must publish the tables whole"`
	MaxConnections int               `json:"max_connections,omitempty" public:"true" jsonschema:"minimum=1,maximum=64,title=Connections,description=Most connections that the reading of one table takes at once"`
}

// Validate returns an ErrInvalidConfig that names the setting that cannot be used.
func (s *Settings) Validate() error {
	if err := s.Settings.Validate(); err != nil {
		return err
	}
	for name, text := range s.ColumnTypes {
		if t, err := driver.ParseType(text); err != nil || t.Kind != driver.String && t.Kind != driver.Decimal {
			return driver.InvalidField("column_types."+name, "must be string or decimal(precision,scale)")
		}
	}
	_, err := s.Charset()
	return err
}

// Nulls reports whether a value that its column's type cannot hold lands as NULL.
func (s *Settings) Nulls() bool { return s.OnBadValue == "null" }

// RowSecuritySetting returns the value of the server's row_security: with off, a query
// that a policy would filter is an error.
func (s *Settings) RowSecuritySetting() string {
	if s.RowSecurity == "filter" {
		return "on"
	}
	return "off"
}

// Charset returns the encoding of text that is not UTF-8, nil if the settings name none.
func (s *Settings) Charset() (encoding.Encoding, error) {
	if s.Encoding == "" {
		return nil, nil
	}
	e, err := htmlindex.Get(s.Encoding)
	if err != nil {
		return nil, driver.InvalidField("encoding", "%q is no known encoding; windows-1252, iso-8859-2 or shift_jis are", s.Encoding)
	}
	return e, nil
}
