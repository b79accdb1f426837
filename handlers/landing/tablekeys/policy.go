package tablekeys

import (
	"bytes"
	"encoding/json"
	"strings"
	"unicode/utf8"
)

// maxPolicy is how many characters a session policy may have.
const maxPolicy = 2048

// literal writes a name so that a policy means that name: in policies of version
// 2012-10-17, "*" and "?" stand for other characters, and "${" begins a variable.
var literal = strings.NewReplacer("*", "${*}", "?", "${?}", "$", "${$}")

// statement is one of a policy.
type statement struct {
	Effect    string
	Action    string
	Resource  string
	Condition map[string]map[string]string `json:",omitempty"`
}

// policy returns a session policy that allows nothing but to read the objects below a
// folder and to list their names. The folder is a key without a slash at its end. A
// Refusal says why no policy can name it.
func policy(partition, bucket, folder string) (string, error) {
	for part := range strings.SplitSeq(folder, "/") {
		if part == "" || part == "." || part == ".." {
			return "", errFolder
		}
	}
	below := literal.Replace(folder) + "/*"
	resource := "arn:" + partition + ":s3:::" + literal.Replace(bucket)
	document := struct {
		Version   string
		Statement []statement
	}{"2012-10-17", []statement{
		{Effect: "Allow", Action: "s3:GetObject", Resource: resource + "/" + below},
		{Effect: "Allow", Action: "s3:ListBucket", Resource: resource, Condition: map[string]map[string]string{"StringLike": {"s3:prefix": below}}},
	}}
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false) // six characters for one, of few
	if err := encoder.Encode(document); err != nil {
		return "", err
	}
	written := strings.TrimSpace(text.String())
	if utf8.RuneCountInString(written) > maxPolicy {
		return "", errTooLong
	}
	return written, nil
}
