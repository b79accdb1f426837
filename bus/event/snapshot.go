package event

import (
	"encoding/json"
	"fmt"
	"strconv"
)

// SnapshotID is the id of a snapshot of an Iceberg table, a number of up to 19
// digits. Payloads contain it as a number, as they always did, and also as text,
// because JavaScript rounds it. Either form can be decoded.
type SnapshotID int64

// Text returns the id as decimal text, or "" for 0.
func (id SnapshotID) Text() string {
	if id == 0 {
		return ""
	}
	return strconv.FormatInt(int64(id), 10)
}

// UnmarshalJSON decodes a number or its text. It ignores null and fails for
// anything else.
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
