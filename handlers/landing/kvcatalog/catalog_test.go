package kvcatalog

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
			return New(kvtest.New(), storage.Disk{Mode: 0o640}, storage.FileURL(t.TempDir()))
		},
		SupportsNamespaceProperties: true,
	})
}
