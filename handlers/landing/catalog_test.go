package landing

import (
	"testing"

	"github.com/apache/iceberg-go/catalog"
	"github.com/apache/iceberg-go/catalog/catalogtest"

	"headwater/bus/kv/kvtest"
	"headwater/handlers/landing/storage"
)

func TestCatalogConformance(t *testing.T) {
	catalogtest.RunCatalogTests(t, catalogtest.Config{
		NewCatalog: func(t *testing.T) catalog.Catalog {
			return &Catalog{kv: kvtest.New(), files: storage.Disk{Mode: 0o640}, root: storage.FileURL(t.TempDir())}
		},
		SupportsNamespaceProperties: true,
	})
}
