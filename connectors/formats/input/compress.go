package input

import (
	"bufio"
	"bytes"
	"compress/bzip2"
	"io"

	"github.com/klauspost/compress/zstd"

	"headwater/connectors/driver"
)

// compressionOf returns the compression that the first bytes of a file show, ""
// for none, or an ErrUnsupported that names one that is not read.
func compressionOf(magic []byte, path string) (string, error) {
	is := func(m string) bool { return bytes.HasPrefix(magic, []byte(m)) }
	switch {
	case is("\x1f\x8b"):
		return "gzip", nil
	case is("\x28\xb5\x2f\xfd"), len(magic) >= 4 && magic[0]&0xf0 == 0x50 && string(magic[1:4]) == "\x2a\x4d\x18": // a frame to skip
		return "zstd", nil
	case is("BZh") && len(magic) >= 10 && (string(magic[4:10]) == "1AY&SY" || string(magic[4:10]) == "\x17rE8P\x90"):
		return "bzip2", nil
	}
	for _, other := range []struct{ magic, name string }{
		{"\xfd7zXZ\x00", "xz"}, {"\x04\x22\x4d\x18", "LZ4"}, {"7z\xbc\xaf\x27\x1c", "7z"}, {"Rar!\x1a\x07", "RAR"}, {"LZIP\x01", "lzip"}, {"\x1f\x9d", "compress (.Z)"}, {"\xff\x06\x00\x00sNaPpY", "Snappy"},
	} {
		if is(other.magic) {
			return "", driver.E(driver.ErrUnsupported, nil, "%s is compressed by %s, which is not supported; gzip, zstd and bzip2 are", path, other.name)
		}
	}
	return "", nil
}

// decompress sets the decoder of a file by the compression that is set or found.
func (in *Input) decompress(stored *bufio.Reader) error {
	magic, err := stored.Peek(16)
	if err != nil && err != io.EOF {
		return err
	}
	if len(magic) == 0 {
		return Empty(in.Name, "")
	}
	if in.Compression = in.Settings.Compression; in.Compression == "" {
		if in.Compression, err = compressionOf(magic, in.Name); err != nil {
			return err
		}
	}
	in.decoder = stored
	switch in.Compression {
	case "gzip":
		z, err := newMembers(stored, in.Name)
		if err != nil {
			return driver.E(driver.ErrBadData, err, "%s is no gzip file", in.Name)
		}
		in.decoder = z
		in.closers = append(in.closers, z.z.Close)
	case "zstd":
		z, err := zstd.NewReader(stored, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(128<<20), zstd.WithDecoderMaxMemory(256<<20))
		if err != nil {
			return driver.E(driver.ErrBadData, err, "%s is no zstd file", in.Name)
		}
		in.decoder = z
		in.closers = append(in.closers, func() error { z.Close(); return nil })
	case "bzip2":
		in.decoder = bzip2.NewReader(stored)
	default:
		in.Compression = ""
	}
	return nil
}
