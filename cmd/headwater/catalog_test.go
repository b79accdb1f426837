package main

import (
	"context"
	"testing"

	"github.com/apache/iceberg-go/catalog"
	"github.com/apache/iceberg-go/catalog/catalogtest"

	"headwater/bus"
	"headwater/handlers/landing"
)

// TestCatalogOnTheBroker holds the lake's catalog to iceberg-go's conformance
// suite where it really lives: in the embedded broker's bucket.
func TestCatalogOnTheBroker(t *testing.T) {
	t.Parallel() // it waits more than it computes
	catalogtest.RunCatalogTests(t, catalogtest.Config{
		NewCatalog: func(t *testing.T) catalog.Catalog {
			b, err := bus.Open(t.Context(), bus.Config{Dir: t.TempDir(), Listen: "off"})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() {
				if err := b.Close(context.Background()); err != nil {
					t.Error(err)
				}
			})
			lake, err := landing.Open(t.Context(), t.TempDir(), b.Bucket(bus.BucketCatalog), nil)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() {
				if err := lake.Close(); err != nil {
					t.Error(err)
				}
			})
			return lake.Catalog()
		},
		SupportsNamespaceProperties: true,
	})
}
