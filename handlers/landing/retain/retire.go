package retain

import (
	"strconv"
	"time"

	"github.com/apache/iceberg-go"
	"github.com/apache/iceberg-go/table"
	"github.com/google/uuid"

	"headwater/handlers/landing/storage"
)

// Retire returns the updates by which a commit at now keeps the metadata small: they
// take snapshots from the list. A Record of those whose files are still needed is
// written to files first; Retire returns parts.ErrStorage if that fails.
func Retire(meta table.Metadata, files storage.Store, now time.Time) ([]table.Update, error) {
	var updates []table.Update
	if logged := strconv.Itoa(Logged); meta.Properties()[table.MetadataPreviousVersionsMaxKey] != logged {
		updates = append(updates, table.NewSetPropertiesUpdate(iceberg.Properties{table.MetadataPreviousVersionsMaxKey: logged}))
	}
	expired := Expired(meta, now)
	if len(expired) == 0 {
		return updates, nil
	}
	record, err := RecordOf(expired, now)
	if err == nil && record != nil {
		err = files.WriteFile(meta.Location()+"/metadata/"+uuid.NewString()+RecordSuffix, record)
	}
	if err != nil {
		return nil, storage.Wrap("note what a commit replaces", err)
	}
	gone := make([]int64, len(expired))
	for i, s := range expired {
		gone[i] = s.SnapshotID
	}
	return append(updates, table.NewRemoveSnapshotsUpdate(gone, false)), nil
}
