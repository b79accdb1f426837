package driver

import "context"

// Sharer is an optional interface of a Source of which several tables can be read at
// one moment, over several connections and by several processes.
type Sharer interface {
	// Share fixes a moment for that many Sources with the same settings that read at
	// the same time. It returns the moment's name for Join, text without a secret, and
	// holds the moment until Close. ErrUnsupported says why there is none.
	Share(ctx context.Context, readers int) (moment string, err error)
	// Join makes later reads be of a moment, if that is possible. "" ends that.
	Join(moment string)
	// Apart says why the last Read, Scan or Place is not of the moment that was
	// joined, "" if it is.
	Apart() string
}
