package driver_test

import (
	"encoding/json"
	"errors"
	"fmt"

	"headwater/connectors/driver"
)

// Settings of a connector are a typed struct. What is wrong with one is an error
// whose field callers find without reading its text.
func ExampleDecode() {
	var settings struct {
		Host string `json:"host" public:"true"`
		Port int    `json:"port,omitempty" public:"true"`
	}
	fmt.Println(driver.Decode(json.RawMessage(`{"host":"db.example.com","port":5432}`), &settings), settings.Host)

	err := driver.Decode(json.RawMessage(`{"port":"5432"}`), &settings)
	var wrong driver.FieldError
	fmt.Println(errors.As(err, &wrong), wrong.Field)
	fmt.Println(err)
	// Output:
	// <nil> db.example.com
	// true port
	// connection_config.port must be int, not string
}

// Every error of a driver has a kind, by which callers decide, and a message for
// people, which names the place and never a value.
func ExampleE() {
	err := error(driver.E(driver.ErrBadData, nil, "table %s, row %d: column %q holds a value that is not %s", "orders", 12, "amount", driver.DecimalOf(9, 2)))
	fmt.Println(errors.Is(err, driver.ErrBadData), errors.Is(err, driver.ErrTimeout))
	fmt.Println(err)
	// Output:
	// true false
	// table orders, row 12: column "amount" holds a value that is not decimal(9,2)
}

// The default cursor is found by names and types: the time of a last change, else
// a key that is one integer.
func ExampleDefaultCursor() {
	orders := driver.Table{Name: "orders", PrimaryKey: []string{"id"}, Columns: []driver.Column{
		{Name: "id", Type: driver.Of(driver.Int64)},
		{Name: "updated_at", Type: driver.Of(driver.TimestampTZ)},
	}}
	column, _ := driver.DefaultCursor(orders)
	fmt.Println(column)

	orders.Columns = orders.Columns[:1]
	column, notes := driver.DefaultCursor(orders)
	fmt.Println(column, len(notes) > 0)
	// Output:
	// updated_at
	// id true
}

// Cursors are compared by their values, which their text does not do by itself.
func ExampleCompareCursors() {
	order, err := driver.CompareCursors(driver.Of(driver.Int64), "9", "10")
	fmt.Println(order, err)
	// Output: -1 <nil>
}

// A type has a name that reads back.
func ExampleParseType() {
	typ, err := driver.ParseType("decimal(15,2)")
	fmt.Println(typ, typ.Precision, typ.Scale, err)
	// Output: decimal(15,2) 15 2 <nil>
}
