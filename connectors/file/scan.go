package file

import (
	"context"
	"strings"

	"headwater/connectors/driver"
	"headwater/connectors/formats/ranges"
)

// rangeBytes is about how much of a file one range is.
const rangeBytes = 64 << 20

var _ driver.Scanner = (*source)(nil)

// Scan divides a plain file of several ranges. The snapshot is the open file: what
// is put in its place is another file, and one that is written to fails, because
// its bytes no longer have the sum that Scan found.
func (s *source) Scan(ctx context.Context, t driver.Table, landed []driver.Range) (driver.Scan, error) {
	if strings.HasPrefix(t.Identity, manyFiles) {
		return nil, driver.E(driver.ErrUnsupported, nil, "the files of %s are read one after the other", t)
	}
	in, err := s.openTable(ctx, t)
	if err != nil {
		return nil, err
	}
	scan, err := ranges.Divide(ctx, in.Input, t, s.rangeBytes, in.whole(), landed)
	if err != nil {
		in.Close()
		return nil, err
	}
	return scan, nil
}
