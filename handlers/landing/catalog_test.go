package landing

import (
	"testing"

	"github.com/apache/iceberg-go/catalog"
	"github.com/apache/iceberg-go/catalog/catalogtest"

	"headwater/bus/kv/kvtest"
)

func TestCatalogConformance(t *testing.T) {
	catalogtest.RunCatalogTests(t, catalogtest.Config{
		NewCatalog: func(t *testing.T) catalog.Catalog {
			return &Catalog{kv: kvtest.New(), files: disk{mode: 0o640}, root: fileURL(t.TempDir())}
		},
		SupportsNamespaceProperties: true,
	})
}
