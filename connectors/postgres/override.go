package postgres

import (
	"headwater/connectors/driver"
	"headwater/connectors/postgres/binarycopy"
)

// override applies column_types to a column.
func override(s *Settings, t driver.Table, column string, a attribute, m *mapped) error {
	for _, name := range []string{t.Namespace + "." + t.Name + "." + column, t.Name + "." + column, column} {
		text, ok := s.ColumnTypes[name]
		if !ok {
			continue
		}
		wanted, err := driver.ParseType(text)
		switch {
		case err != nil:
			return driver.E(driver.ErrInvalidConfig, err, "connection_config.column_types: %q", name)
		case wanted.Kind == driver.String && m.typ.Kind != driver.String:
			*m = mapped{typ: wanted, cast: castText}
		case wanted.Kind == driver.Decimal && (a.oid == oidNumeric || a.oid == oidMoney):
			*m = mapped{typ: wanted, how: binarycopy.AsNumeric, cast: castNumeric}
		case wanted.Kind == driver.Decimal:
			return driver.InvalidField("column_types."+name, "is of type %s, which is no numeric", a.name)
		}
		return nil
	}
	return nil
}
