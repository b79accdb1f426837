package catalog

import (
	"headwater/connectors/driver"
	"headwater/connectors/postgres/binarycopy"
	"headwater/connectors/postgres/session"
)

// override applies column_types to a column. A type that the column cannot be read as is
// an ErrInvalidConfig.
func override(s *session.Settings, t driver.Table, column string, a attribute, m *Mapped) error {
	for _, name := range []string{t.Namespace + "." + t.Name + "." + column, t.Name + "." + column, column} {
		text, ok := s.ColumnTypes[name]
		if !ok {
			continue
		}
		wanted, err := driver.ParseType(text)
		switch {
		case err != nil:
			return driver.E(driver.ErrInvalidConfig, err, "connection_config.column_types: %q", name)
		case wanted.Kind == driver.String && m.Type.Kind != driver.String:
			*m = Mapped{Type: wanted, Cast: CastText}
		case wanted.Kind == driver.Decimal && (a.oid == OIDNumeric || a.oid == OIDMoney):
			*m = Mapped{Type: wanted, How: binarycopy.AsNumeric, Cast: CastNumeric}
		case wanted.Kind == driver.Decimal:
			return driver.InvalidField("column_types."+name, "is of type %s, which is no numeric", a.name)
		}
		return nil
	}
	return nil
}
