package landing

import (
	"testing"

	"github.com/apache/iceberg-go/catalog"
	"github.com/apache/iceberg-go/catalog/catalogtest"
)

func TestCatalogConformance(t *testing.T) {
	catalogtest.RunCatalogTests(t, catalogtest.Config{
		NewCatalog: func(t *testing.T) catalog.Catalog {
			return &Catalog{kv: newMemoryKV(), files: disk{mode: 0o640}, root: fileURL(t.TempDir())}
		},
		SupportsNamespaceProperties: true,
	})
}
