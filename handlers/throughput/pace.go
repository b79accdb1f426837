package throughput

import "time"

// Pace measures how fast rows come of late: over the last measurements, the
// newest counting most, so that a number which people watch neither jumps nor
// lags. The zero pace must begin first.
type Pace struct {
	rows  int64 // at the moment at
	at    time.Time
	rate  float64
	known bool
}

// leastSpan is what a measurement takes at least: batches come in bursts.
const leastSpan = 200 * time.Millisecond

// Begin starts the measurement anew at that moment.
func (p *Pace) Begin(now time.Time) { *p = Pace{at: now} }

// From sets how many rows there are that did not come now.
func (p *Pace) From(rows int64) { p.rows = rows }

// Measure returns rows per second, when there are rows in all.
func (p *Pace) Measure(now time.Time, rows int64) int64 {
	if rows < p.rows { // some are to come again
		p.rows, p.at = rows, now
	}
	span := now.Sub(p.at)
	if span < leastSpan {
		return int64(p.rate)
	}
	newest := float64(rows-p.rows) / span.Seconds()
	if p.rate = (p.rate + newest) / 2; !p.known {
		p.rate, p.known = newest, true
	}
	p.rows, p.at = rows, now
	return int64(p.rate)
}

// PerSecond returns so many rows in that time as rows a second, 0 for no time.
func PerSecond(rows int64, took time.Duration) int64 {
	if took <= 0 {
		return 0
	}
	return int64(float64(rows) / took.Seconds())
}
