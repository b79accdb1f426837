package api

import "testing"

func TestContractLoads(t *testing.T) {
	if _, err := loadContract(); err != nil {
		t.Fatal(err)
	}
}
