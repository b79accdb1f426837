package driver

import "context"

// Sharer is an optional interface of a Source of which several tables can be read
// as of one moment, over several connections and by several processes.
type Sharer interface {
	// Share fixes a moment for so many Sources of the same settings that read at
	// once, and returns its name for their Join: text without a secret. It holds the
	// moment until Close. An ErrUnsupported says why there can be none.
	Share(ctx context.Context, readers int) (moment string, err error)
	// Join has what is read from now on be of a moment, where it can. "" ends that.
	Join(moment string)
	// Apart says why what Read, Scan or Place began last is not of the moment that
	// was joined, "" if it is.
	Apart() string
}
