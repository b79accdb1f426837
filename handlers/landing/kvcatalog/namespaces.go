package kvcatalog

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/apache/iceberg-go"
	"github.com/apache/iceberg-go/catalog"
	"github.com/apache/iceberg-go/table"

	"headwater/bus/kv"
)

// CreateNamespace stores a namespace with its properties.
func (c *Catalog) CreateNamespace(ctx context.Context, namespace table.Identifier, props iceberg.Properties) error {
	if !legal(namespace) {
		return fmt.Errorf("%w: %v", catalog.ErrInvalidIdentifier, namespace)
	}
	if props == nil {
		props = iceberg.Properties{}
	}
	value, err := json.Marshal(props)
	if err != nil {
		return err
	}
	_, err = c.kv.Create(ctx, namespaceKey(namespace), value, 0)
	if errors.Is(err, kv.ErrKeyExists) {
		return fmt.Errorf("%w: %v", catalog.ErrNamespaceAlreadyExists, namespace)
	}
	if err != nil {
		return fmt.Errorf("the catalog: %w", err)
	}
	return nil
}

// DropNamespace removes an empty namespace.
func (c *Catalog) DropNamespace(ctx context.Context, namespace table.Identifier) error {
	if _, _, err := c.namespace(ctx, namespace); err != nil {
		return err
	}
	for _, kind := range []string{"table.", "namespace."} {
		inside, err := c.Identifiers(ctx, kind, namespace)
		if err != nil {
			return err
		}
		if len(inside) > 0 {
			return fmt.Errorf("%w: %v", catalog.ErrNamespaceNotEmpty, namespace)
		}
	}
	return c.kv.Erase(ctx, namespaceKey(namespace))
}

func (c *Catalog) namespace(ctx context.Context, namespace table.Identifier) (iceberg.Properties, uint64, error) {
	if !legal(namespace) {
		return nil, 0, fmt.Errorf("%w: %v", catalog.ErrNoSuchNamespace, namespace)
	}
	entry, err := c.kv.Get(ctx, namespaceKey(namespace))
	if errors.Is(err, kv.ErrKeyNotFound) {
		return nil, 0, fmt.Errorf("%w: %v", catalog.ErrNoSuchNamespace, namespace)
	}
	if err != nil {
		return nil, 0, fmt.Errorf("the catalog: %w", err)
	}
	props := iceberg.Properties{}
	if err := json.Unmarshal(entry.Value, &props); err != nil {
		return nil, 0, fmt.Errorf("the catalog's entry of %v: %w", namespace, err)
	}
	return props, entry.Revision, nil
}

// CheckNamespaceExists reports whether the namespace was created.
func (c *Catalog) CheckNamespaceExists(ctx context.Context, namespace table.Identifier) (bool, error) {
	_, _, err := c.namespace(ctx, namespace)
	if errors.Is(err, catalog.ErrNoSuchNamespace) {
		return false, nil
	}
	return err == nil, err
}

// ListNamespaces returns the namespaces right below parent, those included that
// exist only because others lie in them, in order.
func (c *Catalog) ListNamespaces(ctx context.Context, parent table.Identifier) ([]table.Identifier, error) {
	inside, err := c.Identifiers(ctx, "namespace.", parent)
	if err != nil {
		return nil, err
	}
	children := map[string]table.Identifier{}
	for _, ident := range inside {
		if len(ident) > len(parent) {
			child := ident[:len(parent)+1]
			children[strings.Join(child, ".")] = child
		}
	}
	found := make([]table.Identifier, 0, len(children))
	for _, key := range slices.Sorted(maps.Keys(children)) {
		found = append(found, children[key])
	}
	return found, nil
}

// LoadNamespaceProperties returns what CreateNamespace and
// UpdateNamespaceProperties stored.
func (c *Catalog) LoadNamespaceProperties(ctx context.Context, namespace table.Identifier) (iceberg.Properties, error) {
	props, _, err := c.namespace(ctx, namespace)
	return props, err
}

// UpdateNamespaceProperties removes and sets properties in one step. A change
// by someone else meanwhile is kv.ErrConflict, a property that is removed and set
// is an error.
func (c *Catalog) UpdateNamespaceProperties(ctx context.Context, namespace table.Identifier, removals []string, updates iceberg.Properties) (catalog.PropertiesUpdateSummary, error) {
	var summary catalog.PropertiesUpdateSummary
	props, revision, err := c.namespace(ctx, namespace)
	if err != nil {
		return summary, err
	}
	for _, key := range removals {
		if _, both := updates[key]; both {
			return summary, fmt.Errorf("property %q of %v is both removed and set", key, namespace)
		}
		if _, ok := props[key]; !ok {
			summary.Missing = append(summary.Missing, key)
			continue
		}
		delete(props, key)
		summary.Removed = append(summary.Removed, key)
	}
	for _, key := range slices.Sorted(maps.Keys(updates)) {
		props[key] = updates[key]
		summary.Updated = append(summary.Updated, key)
	}
	value, err := json.Marshal(props)
	if err != nil {
		return catalog.PropertiesUpdateSummary{}, err
	}
	if _, err := c.kv.Update(ctx, namespaceKey(namespace), value, revision); err != nil {
		return catalog.PropertiesUpdateSummary{}, fmt.Errorf("the catalog: %w", err)
	}
	return summary, nil
}
