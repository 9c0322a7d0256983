package job

// This file collects what could be an ID token. It promises to look at a
// value's form alone, never at a variable's name, and to keep a bounded number
// of values of bounded length: authors can add as many as they like.

import (
	"bytes"
	"strings"

	"envrole/executor/job/strictjson"
	"envrole/roles/seal"
)

const (
	// MaxToken is the longest token that is kept, in bytes. GitLab's have 1.5
	// to 3 KiB, some more with many identities of a user.
	MaxToken = 32 << 10
	// MaxTokens is how many different ones are kept. A job has one for each
	// service that it talks to.
	MaxTokens = 16
)

// tokenStart begins every JWT: the base64url form of `{"`.
const tokenStart = "eyJ"

// tokens are the values that have a JWT's form; leftOut counts those that are
// too long or too many.
type tokens struct {
	found   []seal.Secret
	seen    map[string]bool
	leftOut int
}

// look takes the value of one variable.
func (t *tokens) look(r *reader, members map[string]strictjson.Value) {
	raw := bytes.TrimSpace(members["value"])
	if !bytes.HasPrefix(raw, []byte(`"`+tokenStart)) {
		return // most values: not worth a copy
	}
	value := r.text(members, "value")
	if t.seen[value] || !tokenShaped(value) {
		return
	}
	if t.seen == nil {
		t.seen = map[string]bool{}
	}
	t.seen[value] = true
	if len(value) > MaxToken || len(t.found) == MaxTokens {
		t.leftOut++
		return
	}
	t.found = append(t.found, seal.NewSecret(value))
}

// tokenShaped says whether s is header.payload.signature in base64url. The
// signature may be empty: such a token must be refused, not overlooked.
func tokenShaped(s string) bool {
	return strings.HasPrefix(s, tokenStart) && strings.Count(s, ".") == 2 && strings.Trim(s, base64url+".") == ""
}

const base64url = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
