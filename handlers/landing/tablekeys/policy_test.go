package tablekeys

import (
	"errors"
	"strings"
	"testing"
	"unicode/utf8"
)

// TestPolicyNamesOneTable evaluates the policies of tables whose names mean more to a
// policy than themselves: each opens its own files and nobody's beside.
func TestPolicyNamesOneTable(t *testing.T) {
	for folder, others := range map[string][]string{
		"a*":                   {"ab", "a", "a**", "abc/d"},
		"a?":                   {"ab", "a", "a??"},
		"*":                    {"ab", "**"},
		"a$b":                  {"ab", "a$$b"},
		"${aws:username}":      {"ada", "aws:username"},
		"a${*}":                {"ab", "a*", "a"},
		"a${b":                 {"a", "ab", "a${b}"},
		"x/y.z":                {"x/yaz", "x", "x/y", "x/y.z2"},
		"with space":           {"with", "with+space", "with%20space"},
		`quo"te\`:              {"quo", `quo"te`},
		"<&>":                  {"<>", "&lt;"},
		"acme/w/ada/s/=-o~2Ep": {"acme/w/ada/s/=-o=2Ep", "acme/w/ada/s/=-o", "acme/w/ada/s"},
	} {
		document, err := policy("aws", "lake", folder)
		if err != nil {
			t.Errorf("%q: %v", folder, err)
			continue
		}
		p := parsed(t, document)
		reads := func(key string) bool { return p.allows("s3:GetObject", "arn:aws:s3:::lake/"+key, nil) }
		lists := func(prefix string) bool { return p.allows("s3:ListBucket", "arn:aws:s3:::lake", &prefix) }
		if !reads(folder+"/data/x.parquet") || !lists(folder+"/") || !lists(folder+"/data/") {
			t.Errorf("%q is not opened by %s", folder, document)
		}
		for _, other := range others {
			if reads(other+"/data/x.parquet") || lists(other+"/") || lists(other) {
				t.Errorf("%q opens %q: %s", folder, other, document)
			}
		}
		if lists(folder) || lists("") || p.allows("s3:ListBucket", "arn:aws:s3:::lake", nil) || p.allows("s3:ListBucket", "arn:aws:s3:::lakes", &folder) {
			t.Errorf("%q lists beside itself: %s", folder, document)
		}
		for _, action := range []string{"s3:PutObject", "s3:DeleteObject", "s3:GetObjectAcl", "s3:GetBucketPolicy", "s3:ListAllMyBuckets", "sts:AssumeRole", "s3:AbortMultipartUpload"} {
			for _, resource := range []string{"arn:aws:s3:::lake/" + folder + "/data/x.parquet", "arn:aws:s3:::lake", "*"} {
				if inside := folder + "/"; p.allows(action, resource, &inside) {
					t.Errorf("%q allows %s: %s", folder, action, document)
				}
			}
		}
	}
	if document, err := policy("aws-cn", "lake", "a"); err != nil || !strings.Contains(document, `"arn:aws-cn:s3:::lake/a/*"`) {
		t.Errorf("%s %v", document, err)
	}
}

func TestPolicyRefuses(t *testing.T) {
	for folder, want := range map[string]error{
		"": errFolder, "/a": errFolder, "a/": errFolder, "a/../b": errFolder, "./a": errFolder, "a//b": errFolder,
		strings.Repeat("n", 900): nil, strings.Repeat("n", 920): errTooLong, strings.Repeat("*", 300): errTooLong,
	} {
		document, err := policy("aws", "lake", folder)
		if !errors.Is(err, want) || err == nil && utf8.RuneCountInString(document) > maxPolicy {
			t.Errorf("%.20q of %d bytes: %v", folder, len(folder), err)
		}
	}
}

// FuzzPolicy holds for any two names that a policy opens a file exactly if it is below
// the table's folder.
func FuzzPolicy(f *testing.F) {
	f.Add("a*", "ab/x")
	f.Add("${$}{*}", "${x}/y")
	f.Add("a/b", "a/b/c")
	f.Fuzz(func(t *testing.T, folder, key string) {
		if !utf8.ValidString(folder) || !utf8.ValidString(key) || len(folder) > 200 || len(key) > 200 {
			t.Skip()
		}
		document, err := policy("aws", "lake", folder)
		if err != nil {
			t.Skip()
		}
		p := parsed(t, document)
		for _, name := range []string{key, folder + "/" + key} {
			below := strings.HasPrefix(name, folder+"/")
			if got := p.allows("s3:GetObject", "arn:aws:s3:::lake/"+name, nil); got != below {
				t.Errorf("the policy of %q opens %q: %v", folder, name, got)
			}
			if got := p.allows("s3:ListBucket", "arn:aws:s3:::lake", &name); got != below {
				t.Errorf("the policy of %q lists %q: %v", folder, name, got)
			}
		}
	})
}
