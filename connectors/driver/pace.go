package driver

import "time"

// Pace tells when the rows of a batch have waited long enough for more. A slow
// source may need hours to fill a batch: without it nobody would see that the
// read goes on. The zero value is ready. It is not safe for concurrent use.
type Pace struct {
	begun time.Time // when the batch got its first row
}

// paceRows is how many rows come between two looks at the clock, which costs
// more than a row of a fast source; the first rows of a batch are all looked
// at, because those of a slow source may be the only ones for long.
const paceRows = 64

// Due reports, after a row was added to a batch that now has so many rows,
// whether the batch has waited for age.
func (p *Pace) Due(rows int, age time.Duration) bool {
	if rows <= 1 {
		p.begun = time.Now()
	}
	if rows > paceRows && rows%paceRows != 0 {
		return false
	}
	return time.Since(p.begun) >= age
}
