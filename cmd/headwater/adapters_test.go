package main

import (
	"errors"
	"testing"

	"github.com/apache/iceberg-go/catalog"
	"github.com/apache/iceberg-go/table"

	"headwater/bus"
	"headwater/handlers/landing"
)

// The lake's catalog keeps Iceberg's rules over the real bucket too.
func TestCatalogOverTheBus(t *testing.T) {
	wire, err := bus.Open(t.Context(), bus.Config{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	defer wire.Close(t.Context())
	lake, err := landing.Open(t.Context(), t.TempDir(), wire.Bucket(bus.BucketCatalog), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer lake.Close()
	c := lake.Catalog()
	outer, inner := table.Identifier{"acme"}, table.Identifier{"acme", "w1"}
	for _, namespace := range []table.Identifier{outer, inner} {
		if err := c.CreateNamespace(t.Context(), namespace, nil); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.DropNamespace(t.Context(), outer); !errors.Is(err, catalog.ErrNamespaceNotEmpty) {
		t.Errorf("dropped a namespace that holds another: %v", err)
	}
	for _, namespace := range []table.Identifier{inner, outer} {
		if err := c.DropNamespace(t.Context(), namespace); err != nil {
			t.Errorf("an empty namespace: %v", err)
		}
	}
}
