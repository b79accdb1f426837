package file

// Dividing returns a driver whose ranges are of about so many bytes.
func Dividing(bytes int64) Driver { return Driver{rangeBytes: bytes} }
