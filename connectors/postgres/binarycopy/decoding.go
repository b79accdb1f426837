package binarycopy

// Decoding says how a value's bytes are read.
type Decoding uint8

// How columns are decoded.
const (
	AsText Decoding = iota // as it is; also what was cast to text
	AsBool
	AsInt2
	AsInt4
	AsInt8
	AsFloat4
	AsFloat8
	AsNumeric
	AsBytea
	AsDate
	AsTime
	AsTimestamp
	AsUUID
	AsJSONB // text after a version byte
	AsChar  // a byte
)
