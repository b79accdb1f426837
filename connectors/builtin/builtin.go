// Package builtin is the one list of the connectors in the binary.
package builtin

import (
	"headwater/connectors/driver"
	"headwater/connectors/file"
	"headwater/connectors/httpapi"
	"headwater/connectors/mysql"
	"headwater/connectors/postgres"
	"headwater/connectors/sqlite"
)

// Drivers returns every connector that ships with Headwater.
func Drivers() []driver.Driver {
	return []driver.Driver{
		postgres.Driver{},
		mysql.Driver{},
		sqlite.Driver{},
		file.Driver{},
		httpapi.Driver{},
	}
}
