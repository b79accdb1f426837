package drivertest

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"

	"headwater/connectors/driver"
)

func (h Harness) testSpec(t *testing.T) {
	spec := h.Driver.Spec()
	if spec.Name == "" || spec.Title == "" || !slices.Contains([]string{"database", "file", "api"}, spec.Class) {
		t.Errorf("spec %+v needs a name, a title and a class (database, file, api)", spec)
	}
	for _, name := range append([]string{spec.Name}, spec.Aliases...) {
		if name != strings.ToLower(strings.TrimSpace(name)) {
			t.Errorf("name %q is not plain lower case", name)
		}
	}
	for _, ending := range spec.Endings {
		if !strings.HasPrefix(ending, ".") {
			t.Errorf("ending %q lacks its dot", ending)
		}
	}
	if v := reflect.ValueOf(spec.Settings); v.Kind() != reflect.Pointer || v.Elem().Kind() != reflect.Struct || !v.Elem().IsZero() {
		t.Errorf("Settings is %T, want a pointer to a zero struct", spec.Settings)
	}
}

func (h Harness) testCheck(t *testing.T) {
	src := h.open(t, driver.Limits{})
	for range 2 { // a check leaves the source as usable as it was
		if err := src.Check(t.Context()); err != nil {
			t.Fatalf("Check: %v", err)
		}
	}
	stepper, ok := src.(driver.Stepper)
	if !ok {
		return
	}
	steps, err := stepper.CheckSteps(t.Context())
	if err != nil || len(steps) == 0 {
		t.Fatalf("CheckSteps = %v, %v", steps, err)
	}
	order := []string{"resolve", "connect", "authenticate", "permissions", "read", "changes"}
	last := -1
	for _, step := range steps {
		at := slices.Index(order, step.Name)
		if at <= last || step.Err != nil {
			t.Errorf("step %+v is unknown, out of order or failed", step)
		}
		last = at
	}
}

func (h Harness) testBad(t *testing.T) {
	for _, bad := range h.Bad {
		t.Run(bad.Name, func(t *testing.T) {
			err := h.failure(t, bad)
			if err == nil {
				t.Fatal("it was accepted")
			}
			h.checkError(t, err, bad.Kind)
		})
	}
}

// failure opens and checks a bad configuration.
func (h Harness) failure(t *testing.T, bad Bad) error {
	t.Helper()
	src, err := h.Driver.Open(t.Context(), h.config(t, bad.Settings, driver.Limits{}))
	if err != nil {
		return err
	}
	defer src.Close()
	err = src.Check(t.Context())
	if stepper, ok := src.(driver.Stepper); ok && err != nil {
		steps, stepErr := stepper.CheckSteps(t.Context())
		if stepErr == nil || len(steps) == 0 || steps[len(steps)-1].Err == nil {
			t.Errorf("Check failed (%v), but CheckSteps = %v, %v", err, steps, stepErr)
		}
	}
	return err
}

// checkError requires an *Error of the kind that shows no secret.
func (h Harness) checkError(t *testing.T, err error, kind error) {
	t.Helper()
	var typed *driver.Error
	if !errors.As(err, &typed) {
		t.Errorf("error %v is a %T, want a *driver.Error", err, err)
	}
	if !errors.Is(err, kind) {
		t.Errorf("error %q has not the kind %q", err, kind)
	}
	for _, secret := range h.Secrets {
		if secret != "" && strings.Contains(err.Error(), secret) {
			t.Errorf("an error shows a secret: %v", err)
		}
	}
}

func (h Harness) testClose(t *testing.T) {
	leaks(t)
	src, err := h.Driver.Open(t.Context(), h.config(t, h.Settings, driver.Limits{}))
	if err != nil {
		t.Fatal(err)
	}
	if err := src.Check(t.Context()); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := src.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	}
}

func (h Harness) testDiscover(t *testing.T) {
	leaks(t)
	src := h.open(t, driver.Limits{})
	tables, err := src.Discover(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if !slices.IsSortedFunc(tables, func(a, b driver.Table) int {
		return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
	}) {
		t.Error("tables are not sorted by namespace and name")
	}
	found := map[string]driver.Table{}
	for _, table := range tables {
		if table.LeftOut != "" {
			continue
		}
		found[table.String()] = table
		checkTable(t, table)
	}
	for _, e := range h.Tables {
		got, ok := found[e.Table.String()]
		if !ok {
			t.Errorf("table %s was not discovered", e.Table)
			continue
		}
		if diff := gocmp.Diff(e.Table, loosen(got, e.Table)); diff != "" {
			t.Errorf("table %s (-want +got):\n%s", e.Table, diff)
		}
	}
	for _, e := range h.Tables {
		delete(found, e.Table.String())
	}
	delete(found, h.Large)
	if h.Divided != nil {
		delete(found, h.Divided.Table)
	}
	if h.Exact && len(found) > 0 {
		t.Errorf("more tables were discovered: %v", slices.Sorted(maps.Keys(found)))
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := src.Discover(ctx); err == nil {
		t.Error("Discover with a cancelled context succeeded")
	}
}

// checkTable requires what every discovered table must hold.
func checkTable(t *testing.T, table driver.Table) {
	t.Helper()
	if !slices.Contains([]string{"table", "view", "file", "endpoint"}, table.Kind) || table.RowEstimate < -1 {
		t.Errorf("table %s has kind %q and row estimate %d", table, table.Kind, table.RowEstimate)
	}
	names := map[string]bool{}
	for _, column := range table.Columns {
		if names[column.Name] {
			t.Errorf("table %s has column %q twice", table, column.Name)
		}
		names[column.Name] = true
		if parsed, err := driver.ParseType(column.Type.String()); err != nil || parsed != column.Type {
			t.Errorf("table %s, column %s: type %+v is not valid", table, column.Name, column.Type)
		}
	}
	for _, key := range table.PrimaryKey {
		if !names[key] {
			t.Errorf("table %s: key column %q is not a column", table, key)
		}
	}
	if table.Cursor != "" {
		if column, ok := table.Column(table.Cursor); !ok || !column.Ordered() {
			t.Errorf("table %s: cursor %q is no ordered column", table, table.Cursor)
		}
	}
}

// loosen clears what want leaves open.
func loosen(got, want driver.Table) driver.Table {
	if want.RowEstimate == 0 {
		got.RowEstimate = 0
	}
	if want.CursorNotes == nil { // TestDefaultCursor has them
		got.CursorNotes = nil
	}
	if want.Identity == "" {
		got.Identity = ""
	}
	if want.Notes == nil {
		got.Notes = nil
	}
	got.Columns = slices.Clone(got.Columns)
	for i := range got.Columns {
		column, ok := want.Column(got.Columns[i].Name)
		if ok && column.SourceType == "" {
			got.Columns[i].SourceType = ""
		}
		if ok && column.Comment == "" {
			got.Columns[i].Comment = ""
		}
		if ok && !column.Sampled {
			got.Columns[i].Sampled = false
		}
		if ok && column.Identity == "" {
			got.Columns[i].Identity = ""
		}
		if ok && !column.Unordered {
			got.Columns[i].Unordered = false
		}
		if ok && !column.Unique {
			got.Columns[i].Unique = false
		}
		if ok && !column.Filled {
			got.Columns[i].Filled = false
		}
		if ok && column.Grain == 0 {
			got.Columns[i].Grain = 0
		}
		if ok && column.Equality == "" {
			got.Columns[i].Equality = ""
		}
	}
	if len(got.PrimaryKey) == 0 && len(want.PrimaryKey) == 0 {
		got.PrimaryKey = want.PrimaryKey
	}
	return got
}
