package session

import (
	"headwater/connectors/driver"
	"headwater/connectors/sqldb"
)

// Settings is the connection_config of a MySQL or MariaDB source.
type Settings struct {
	sqldb.Settings
	Port           int               `json:"port,omitempty" public:"true" jsonschema:"minimum=1,maximum=65535,default=3306,title=Port"`
	Database       string            `json:"database" public:"true" jsonschema:"required,minLength=1,maxLength=64,title=Database"`
	OnBadValue     string            `json:"on_bad_value,omitempty" public:"true" jsonschema:"enum=fail,enum=null,default=fail,title=Values that a type cannot hold,description=0000-00-00 and other days off the calendar and text that is not valid in its character set: fail ends the table; null lands NULL and says how often"`
	ColumnTypes    map[string]string `json:"column_types,omitempty" public:"true" jsonschema:"title=Column types,description=By column or table.column: string for the server's own text of a date or time or number"`
	MaxConnections int               `json:"max_connections,omitempty" public:"true" jsonschema:"minimum=1,maximum=16,default=2,title=Connections,description=Most connections that the reading of one table takes at once; 1 for an account that may have no second one"`
}

// Validate returns an ErrInvalidConfig that names the setting that cannot be used.
func (s *Settings) Validate() error {
	if err := s.Settings.Validate(); err != nil {
		return err
	}
	for name, text := range s.ColumnTypes {
		if text != driver.Of(driver.String).String() {
			return driver.InvalidField("column_types."+name, "must be string")
		}
	}
	return nil
}

// AsText reports whether column_types asks for the text of a column.
func (s *Settings) AsText(table, column string) bool {
	for _, name := range []string{s.Database + "." + table + "." + column, table + "." + column, column} {
		if _, ok := s.ColumnTypes[name]; ok {
			return true
		}
	}
	return false
}

// Nulls reports whether a value that its column's type cannot hold lands as NULL.
func (s *Settings) Nulls() bool { return s.OnBadValue == "null" }
