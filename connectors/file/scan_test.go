package file_test

import (
	"encoding/json"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"headwater/connectors/driver"
	"headwater/connectors/file"
	"headwater/connectors/formats/formatstest"
)

// A file whose bytes are others than were found when it was divided fails in the
// ranges where they are.
func TestRangeThatIsWrittenToFails(t *testing.T) {
	files, dir := folder(t, map[string]string{"a.csv": "n,t\n" + strings.Repeat("1,abc\n", 1000)})
	src, err := file.Dividing(1000).Open(t.Context(), driver.Config{Settings: json.RawMessage(`{"path":"a.csv"}`), Files: files, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	tables, err := src.Discover(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	scan, err := src.(driver.Scanner).Scan(t.Context(), tables[0], nil)
	if err != nil {
		t.Fatal(err)
	}
	defer scan.Close()
	path := filepath.Join(dir, "a.csv")
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	f.WriteAt([]byte("2"), 4)
	f.Close()
	os.Chtimes(path, info.ModTime(), info.ModTime()) // as if nothing had been
	read := func(r driver.Range) (rows int, err error) {
		for batch, err := range scan.Read(t.Context(), r) {
			if err != nil {
				return rows, err
			}
			rows += len(formatstest.Rows(batch))
			batch.Record.Release()
		}
		return rows, nil
	}
	unread := scan.Unread()
	if _, err := read(unread[0]); !errors.Is(err, driver.ErrBadData) || !strings.Contains(err.Error(), "changed while it was read") {
		t.Errorf("the changed range: %v", err)
	}
	if rows, err := read(unread[1]); err != nil || rows == 0 {
		t.Errorf("another range: %d rows, %v", rows, err)
	}
}
