package address

import (
	"encoding/json"
	"net/url"
	"strings"
	"testing"
)

func TestAddresses(t *testing.T) {
	const secret = "p@ss/w?rd#1"
	for text, want := range map[string]string{
		"postgres://ada:" + url.QueryEscape(secret) + "@db:5432/shop?sslmode=require&schema=public,sales": `postgresql {"database":"shop","host":"db","password":"` + secret + `","port":5432,"schemas":["public","sales"],"sslmode":"require","username":"ada"}`,
		"postgresql://ada:raw#p@ss@db/shop":                           `postgresql {"database":"shop","host":"db","password":"raw#p@ss","username":"ada"}`,
		"postgres://[::1]:5433/shop":                                  `postgresql {"database":"shop","host":"::1","port":5433}`,
		"jdbc:postgresql://db:5432/shop?user=ada&password=x&ssl=true": `postgresql {"database":"shop","host":"db","password":"x","port":5432,"sslmode":"require","username":"ada"}`,
		"host=db port=5433 dbname=shop user=ada password='it\\'s x'":  `postgresql {"database":"shop","host":"db","password":"it's x","port":5433,"username":"ada"}`,
		"mysql://ada:x@db/shop?ssl-mode=VERIFY_CA":                    `mysql {"database":"shop","host":"db","password":"x","sslmode":"verify-ca","username":"ada"}`,
		"jdbc:mariadb://db:3307/shop":                                 `mysql {"database":"shop","host":"db","port":3307}`,
		"ada:p@ss@tcp(db:3306)/shop?tls=skip-verify&parseTime=true":   `mysql {"database":"shop","host":"db","password":"p@ss","port":3306,"sslmode":"require","username":"ada"} left out parseTime`,
		"sqlite:///shop.db":                                           `sqlite {"path":"shop.db"}`,
		"sqlite:shop.db":                                              `sqlite {"path":"shop.db"}`,
		"jdbc:sqlite:data/shop.db":                                    `sqlite {"path":"data/shop.db"}`,
		"shop.sqlite3":                                                `sqlite {"path":"shop.sqlite3"}`,
		"orders.csv.gz":                                               `file {"path":"orders.csv.gz"}`,
		"https://ada:x@api.example.com/v1?key=k":                      `api {"base_url":"https://api.example.com/v1","params":{"key":"k"},"password":"x","username":"ada"}`,
	} {
		kind, config, leftOut, err := Parse(text)
		body, _ := json.Marshal(config)
		got := kind + " " + string(body)
		if leftOut != nil {
			got += " left out " + strings.Join(leftOut, ",")
		}
		if err != nil || got != want {
			t.Errorf("%s:\ngot  %s, %v\nwant %s", text, got, err, want)
		}
	}
	for _, text := range []string{"", "nothing", "mongodb://u:hunter2@h/d", "postgres://u:hunter2@h:port/d", "postgres://u:hunter2@a,b/d", "postgres:///d", "postgres://u:hunter2@h/d?sslmode=never", "mysql://u:hunter2@h/d?schema=x", "u:hunter2@tcp(h"} {
		if _, _, _, err := Parse(text); err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%q: %v", text, err)
		}
	}
}

// TestAnEndingIsAsked: a path without one is a file all the same, and is told what to say.
func TestAnEndingIsAsked(t *testing.T) {
	for text, want := range map[string]error{
		"/etc/passwd": errEnding, "./data": errEnding, "data/orders.txt": errEnding, "orders.": errEnding, "file:/etc/passwd": errEnding, `C\data`: errEnding,
		"nothing": errNoAddress, "": errNoAddress, "ada:hunter2@db/shop": errNoAddress, "db:5432/shop": errNoAddress, "password=hunter2": errNoAddress, "ftp://h/a.csv": errNoAddress,
	} {
		if _, _, _, err := Parse(text); err != want {
			t.Errorf("%q: %v, want %v", text, err, want)
		}
	}
	for _, part := range []string{".csv", ".parquet", ".sqlite", "--type file --config path=PATH"} {
		if !strings.Contains(errEnding.Error(), part) {
			t.Errorf("%v does not say %s", errEnding, part)
		}
	}
}
