package tpch

import "math/rand/v2"

// What a row's dice are rolled for: rows of one table and the same number are the
// same whatever was made before, and orders know their items.
const (
	dicePool = iota
	diceRegion
	diceNation
	diceSupplier
	dicePart
	dicePartSupplier
	diceCustomer
	diceOrder
)

// dice are random numbers that follow from what they are rolled for.
type dice struct{ pcg rand.PCG }

// roll begins the numbers of a row.
func (d *dice) roll(what uint64, row int64) {
	// Neighbouring seeds would begin alike.
	z := (uint64(row) + 1) * 0x9e3779b97f4a7c15
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	d.pcg.Seed(what*0x2545f4914f6cdd1d, z^z>>31)
}

// up returns a number from 0 and below n.
func (d *dice) up(n int64) int64 { return int64(d.pcg.Uint64() >> 1 % uint64(n)) }

// between returns a number from low to high.
func (d *dice) between(low, high int64) int64 { return low + d.up(high-low+1) }

// pick returns one of a list.
func (d *dice) pick(of []string) string { return of[d.up(int64(len(of)))] }
