package driver

import "time"

// Pace decides when a batch has waited long enough for more rows. A slow source may
// need hours to fill one, and until then nobody would see that the read goes on. The
// zero value is ready. It is not safe for concurrent use.
type Pace struct {
	begun time.Time // when the batch got its first row
}

// paceRows is how many rows come between two looks at the clock, because a look costs
// more than a row of a fast source. The first rows of a batch are all looked at,
// because a slow source may send no more for a long time.
const paceRows = 64

// Due reports whether a batch has waited for age. It is called after each row; rows is
// how many the batch has now.
func (p *Pace) Due(rows int, age time.Duration) bool {
	if rows <= 1 {
		p.begun = time.Now()
	}
	if rows > paceRows && rows%paceRows != 0 {
		return false
	}
	return time.Since(p.begun) >= age
}
