package event

import (
	"encoding/json"
	"fmt"
	"strconv"
)

// SnapshotID is the id of a snapshot of an Iceberg table, a number of up to 19
// digits. Payloads have it as the number it always was in them, and beside it as
// text: JavaScript rounds it. It is read from both.
type SnapshotID int64

// Text returns the id in digits, "" for none.
func (id SnapshotID) Text() string {
	if id == 0 {
		return ""
	}
	return strconv.FormatInt(int64(id), 10)
}

// UnmarshalJSON reads a number, or the text of one. It fails for anything else
// but null, which it passes over.
func (id *SnapshotID) UnmarshalJSON(b []byte) error {
	if string(b) == "null" {
		return nil
	}
	text := string(b)
	if b[0] == '"' {
		if err := json.Unmarshal(b, &text); err != nil {
			return err
		}
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return fmt.Errorf("id of a snapshot: %w", err)
	}
	*id = SnapshotID(n)
	return nil
}
