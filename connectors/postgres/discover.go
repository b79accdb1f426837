package postgres

import (
	"cmp"
	"context"
	"slices"

	"headwater/connectors/driver"
	"headwater/connectors/postgres/catalog"
)

// Discover returns every relation of the database except the system's, with the columns
// that the account may read. Those that cannot be read have a LeftOut.
func (s *source) Discover(ctx context.Context) ([]driver.Table, error) {
	c, found, err := catalog.Describe(ctx, s.Pool, catalog.Reads{Where: catalog.InSchemas(s.Settings.Schemas)})
	if err != nil {
		return nil, err
	}
	defer s.Keep(ctx, c)
	s.Discovered(found.Relations)
	tables := make([]driver.Table, 0, len(found.Relations))
	for _, r := range found.Relations {
		tables = append(tables, r.Table)
	}
	for _, name := range s.Settings.Schemas {
		if !slices.ContainsFunc(tables, func(t driver.Table) bool { return t.Namespace == name }) {
			tables = append(tables, driver.Table{Namespace: name, Name: "*", Kind: "table", RowEstimate: -1, LeftOut: "there is no table in a schema of this name: check connection_config.schemas"})
		}
	}
	// The server sorts by a collation of its own; the contract is the order of bytes.
	slices.SortFunc(tables, func(a, b driver.Table) int {
		return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
	})
	return tables, nil
}
