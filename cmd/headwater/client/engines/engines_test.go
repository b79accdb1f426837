package engines

import "testing"

func TestDuckDBEscapes(t *testing.T) {
	for want, d := range map[string]struct {
		metadata string
		storage  map[string]string
	}{
		`INSTALL iceberg; LOAD iceberg; SELECT * FROM iceberg_scan('/data/it''s here/1.metadata.json') LIMIT 10;`: {metadata: "file:///data/it's%20here/1.metadata.json"},
		`INSTALL httpfs; LOAD httpfs; INSTALL aws; LOAD aws; CREATE SECRET (TYPE s3, PROVIDER credential_chain, REGION 'eu-1'); INSTALL iceberg; LOAD iceberg; SELECT * FROM iceberg_scan('s3://b/x/1.metadata.json') LIMIT 10;`: {
			metadata: "s3://b/x/1.metadata.json", storage: map[string]string{"region": "eu-1"}},
		`INSTALL httpfs; LOAD httpfs; INSTALL aws; LOAD aws; CREATE SECRET (TYPE s3, PROVIDER credential_chain, ENDPOINT 'h:9000', USE_SSL false, URL_STYLE 'path'); INSTALL iceberg; LOAD iceberg; SELECT * FROM iceberg_scan('s3://b/x/1.metadata.json') LIMIT 10;`: {
			metadata: "s3://b/x/1.metadata.json", storage: map[string]string{"endpoint": "http://h:9000", "use_path_style": "true"}},
	} {
		if got := DuckDB(d.metadata, d.storage); got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	}
}
