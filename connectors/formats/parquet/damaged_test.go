package parquet_test

import (
	"errors"
	"testing"

	"headwater/connectors/driver"
	"headwater/connectors/formats/formatstest"
)

func TestDamagedParquet(t *testing.T) {
	whole := formatstest.Parquet(t)
	for at := 0; at < len(whole); at += max(1, len(whole)/300) {
		damaged := append([]byte(nil), whole...)
		damaged[at] ^= 0x55
		if _, _, err := formatstest.Table(t, "x.parquet", string(damaged), `{"path":"x.parquet"}`, driver.Limits{}); err != nil && !isTyped(err) {
			t.Errorf("byte %d: %v", at, err)
		}
		if _, _, err := formatstest.Table(t, "x.parquet", string(whole[:at]), `{"path":"x.parquet"}`, driver.Limits{}); err == nil || !isTyped(err) {
			t.Errorf("cut at %d: %v", at, err)
		}
	}
}

func isTyped(err error) bool {
	var typed *driver.Error
	return errors.As(err, &typed)
}
