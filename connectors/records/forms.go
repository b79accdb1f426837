package records

import (
	"bytes"

	"headwater/connectors/values"
)

// forms is how the numbers of a column of text are written. Two texts of one
// value, such as 1.1 and 1.10, or 1200000 and 12E5, may be read as that value
// only where the column as a whole says which of the two it was.
type forms struct {
	seen  form
	plain places // of the numbers without an exponent
	power places // of those with one
}

// places are the fewest and the most digits after the point.
type places struct{ fewest, most uint8 } // each one more than it is; 0 is none seen

func (d *places) take(other places) {
	if d.fewest == 0 || other.fewest != 0 && other.fewest < d.fewest {
		d.fewest = other.fewest
	}
	d.most = max(d.most, other.most)
}

// form is a set of ways to write a number.
type form uint16

const (
	whole     form = 1 << iota // 12
	pointZero                  // 12.0, as some programs write a float that is whole
	padded                     // 1.10, 1.00
	bare                       // .5
	led                        // 0.5
	padded10                   // 1.50e-07
	odd                        // 12E5, 1., as no program writes a number
)

// take takes a text of the given shape into account.
func (f *forms) take(v []byte, n values.Shape) {
	scale := uint8(min(n.Scale, 254)) + 1
	if n.Exponent {
		f.seen |= powerForm(v, n)
		f.power.take(places{scale, scale})
		return
	}
	f.plain.take(places{scale, scale})
	switch {
	case n.Scale == 0 && n.Point:
		f.seen |= odd
	case n.Scale == 0:
		f.seen |= whole
	case n.Padded && n.Scale == 1:
		f.seen |= pointZero
	case n.Padded:
		f.seen |= padded
	}
	switch {
	case n.Integer == 0:
		f.seen |= bare
	case n.Scale > 0 && n.Integer == 1 && bytes.TrimPrefix(v, []byte{'-'})[0] == '0':
		f.seen |= led
	}
}

// powerForm returns the form of a number with an exponent: one digit before the
// point, and a sign or a point, without which programs write none and many an
// identifier looks like one.
func powerForm(v []byte, n values.Shape) form {
	at := bytes.IndexAny(v, "eE") + 1
	power := v[at:]
	signed := power[0] == '-' || power[0] == '+'
	if signed {
		power = power[1:]
	}
	switch {
	case n.Integer != 1, n.Scale == 0 && n.Point, len(power) > 3:
		return odd
	case !signed && (n.Scale == 0 || power[0] == '0' && len(power) > 1):
		return odd
	case n.Padded && n.Scale > 1:
		return padded10
	}
	return 0
}

func (f *forms) merge(other forms) {
	f.seen |= other.seen
	f.plain.take(other.plain)
	f.power.take(other.power)
}

// float reports whether some program that writes floats wrote every text so.
func (f *forms) float() bool {
	const both, either = whole | pointZero, bare | led
	switch {
	case f.seen&(padded|odd) != 0, f.seen&both == both, f.seen&either == either:
		return false
	case f.seen&padded10 != 0:
		return f.plain.fewest == 0 && f.power.fewest == f.power.most
	}
	return true
}

// decimal reports whether every text is a decimal number in full, by the digits
// that all have after the point, or by having none that could be left out.
func (f *forms) decimal() bool {
	const either = bare | led
	if f.seen&odd != 0 || f.seen&either == either {
		return false
	}
	return f.plain.fewest == f.plain.most || f.seen&(padded|pointZero) == 0
}

// written reports whether one number is in a form that float takes.
func written(v []byte) bool {
	last := v[len(v)-1]
	if last != '0' && last != '.' && !bytes.ContainsAny(v, "eE") {
		return true
	}
	n, ok := values.ShapeOf(v)
	var f forms
	f.take(v, n)
	return ok && f.float()
}
