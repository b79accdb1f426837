package binarycopy

import (
	"encoding/binary"
	"errors"
	"math/bits"

	"github.com/apache/arrow-go/v18/arrow/decimal128"
)

var (
	// ErrMalformed says that bytes are not a value of their type.
	ErrMalformed = errors.New("the server sent malformed bytes")
	errNotFinite = errors.New("NaN and infinity have no decimal form")
	errTooLarge  = errors.New("the value has more digits than its column's type")
)

// Signs of the binary form of numeric; what is neither is not finite.
const (
	positive = 0x0000
	negative = 0x4000
)

var powersOf10 = [...]uint64{1, 10, 100, 1000, 10000}

// numeric decodes the binary form: digit groups to the base of 10,000, the
// weight of the first, a sign. The result is the unscaled value.
func numeric(b []byte, precision, scale int32) (decimal128.Num, error) {
	if len(b) < 8 || len(b)%2 != 0 {
		return decimal128.Num{}, ErrMalformed
	}
	groups := int32(binary.BigEndian.Uint16(b))
	weight := int32(int16(binary.BigEndian.Uint16(b[2:])))
	sign := binary.BigEndian.Uint16(b[4:])
	if sign != positive && sign != negative {
		return decimal128.Num{}, errNotFinite
	}
	digits := b[8:]
	if int(groups)*2 != len(digits) {
		return decimal128.Num{}, ErrMalformed
	}
	if weight >= -1 && 4*(weight+1)+scale <= 18 && groups <= weight+2 && scale <= 4 {
		return small(digits, groups, weight, precision, scale, sign)
	}
	// 38 digits take at most 10 groups before the point.
	if groups > 0 && weight > 9 {
		return decimal128.Num{}, errTooLarge
	}
	var u uint128
	ok := true
	group := func(g int32) uint64 { // the group of that weight
		i := weight - g
		if i < 0 || i >= groups {
			return 0
		}
		d := uint64(binary.BigEndian.Uint16(digits[2*i:]))
		ok = ok && d < 10000
		return d
	}
	overflow := false
	for g := weight; g >= 0; g-- {
		overflow = u.mulAdd(10000, group(g)) || overflow
	}
	rest := scale
	g := int32(-1)
	for ; rest >= 4; rest, g = rest-4, g-1 {
		overflow = u.mulAdd(10000, group(g)) || overflow
	}
	if rest > 0 {
		d, cut := group(g), powersOf10[4-rest]
		overflow = u.mulAdd(powersOf10[rest], d/cut) || overflow || d%cut != 0
		g--
	}
	for i := max(weight-g, 0); i < groups; i++ { // digits behind the scale would be lost
		overflow = overflow || group(weight-i) != 0
	}
	if !ok {
		return decimal128.Num{}, ErrMalformed
	}
	n := decimal128.New(int64(u.hi), u.lo)
	if overflow || int64(u.hi) < 0 || !n.FitsInPrecision(precision) {
		return decimal128.Num{}, errTooLarge
	}
	if sign == negative {
		n = n.Negate()
	}
	return n, nil
}

// small decodes what fits 64 bits and has at most one group behind the point:
// amounts of money, mostly.
func small(digits []byte, groups, weight, precision, scale int32, sign uint16) (decimal128.Num, error) {
	var u, fraction uint64
	for i := range weight + 2 {
		d := uint64(0)
		if i < groups {
			if d = uint64(binary.BigEndian.Uint16(digits[2*i:])); d >= 10000 {
				return decimal128.Num{}, ErrMalformed
			}
		}
		if i <= weight {
			u = u*10000 + d
		} else {
			fraction = d
		}
	}
	cut := powersOf10[4-scale]
	u = u*powersOf10[scale] + fraction/cut
	if fraction%cut != 0 || precision < 18 && u >= tenTo[precision] {
		return decimal128.Num{}, errTooLarge
	}
	n := int64(u)
	if sign == negative {
		n = -n
	}
	return decimal128.FromI64(n), nil
}

// tenTo are the powers that precisions below 18 are compared with.
var tenTo = [...]uint64{1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17}

type uint128 struct{ hi, lo uint64 }

// mulAdd sets u to u*m+a and reports overflow.
func (u *uint128) mulAdd(m, a uint64) bool {
	carry, lo := bits.Mul64(u.lo, m)
	over, hi := bits.Mul64(u.hi, m)
	hi, c1 := bits.Add64(hi, carry, 0)
	lo, c2 := bits.Add64(lo, a, 0)
	hi, c3 := bits.Add64(hi, 0, c2)
	u.hi, u.lo = hi, lo
	return over != 0 || c1 != 0 || c3 != 0
}
