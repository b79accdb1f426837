package kvcatalog

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"

	"github.com/apache/iceberg-go/table"

	"headwater/bus/event"
)

// maxPart keeps every folder name below the 255 bytes that file systems take.
const maxPart = 200

// Token encodes any text as one catalog token and one part of an Iceberg
// identifier. It is event.Token, shortened by a hash where the token is too long
// for a folder; no Token holds the "=-" before the hash.
func Token(text string) string { return shorten(event.Token(text)) }

func shorten(token string) string {
	if len(token) <= maxPart {
		return token
	}
	sum := sha256.Sum256([]byte(token))
	return token[:maxPart-40] + "=-" + hex.EncodeToString(sum[:16])
}

// NamespaceOf returns the Iceberg namespace of a source: organization,
// workspace, owner and source.
func NamespaceOf(a event.Address) table.Identifier {
	owner := event.Shared
	if a.Owner != "" {
		owner = Token(a.Owner)
	}
	return table.Identifier{Token(a.Organization), Token(a.Workspace), owner, Token(a.Source)}
}

// IdentifierOf returns the Iceberg identifier of a source's table. The source's
// own namespace and the table's name are one part, joined by "==", which no
// Token holds.
func IdentifierOf(a event.Address, namespace, name string) table.Identifier {
	token := event.Token(name)
	if namespace != "" {
		token = event.Token(namespace) + "==" + token
	}
	return append(NamespaceOf(a), shorten(token))
}

// legalPart reports whether a part of an identifier may become a catalog key
// and a folder as it is.
func legalPart(s string) bool {
	for i := 0; i < len(s); i++ {
		c := s[i]
		if !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '_' || c == '-' || c == '=') {
			return false
		}
	}
	return s != "" && len(s) <= maxPart
}

func legal(ident table.Identifier) bool {
	for _, p := range ident {
		if !legalPart(p) {
			return false
		}
	}
	return len(ident) > 0
}

// Joined is an identifier as a part of a key.
func Joined(ident table.Identifier) string { return strings.Join(ident, ".") }

// TableKey is the key of a table.
func TableKey(ident table.Identifier) string { return "table." + Joined(ident) }

func namespaceKey(ident table.Identifier) string { return "namespace." + Joined(ident) }

// escape stands in a folder's name for an "=" that has no other beside it, which
// readers of Parquet files take for a partition: of ".../id=2Ev2/..." they make a
// column id. A name with several is none to them. No identifier holds it, so no
// two tables share a folder.
const escape = "~"

// Folders returns the folders of a namespace or table below the lake's root. A
// table that an earlier version has made lies where its metadata says.
func Folders(ident table.Identifier) string {
	parts := make([]string, len(ident))
	for i, part := range ident {
		if parts[i] = part; strings.Count(part, "=") == 1 {
			parts[i] = strings.Replace(part, "=", escape, 1)
		}
	}
	return strings.Join(parts, "/")
}

// FormerFolders is what folders was when folders were named like identifiers.
func FormerFolders(ident table.Identifier) string { return strings.Join(ident, "/") }
