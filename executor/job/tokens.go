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

// tokens reads the values that have a JWT's form; leftOut counts those that are
// too long or too many. An odd list of variables is reported by variables.
func (r *reader) tokens(top map[string]strictjson.Value) (found []seal.Secret, leftOut int) {
	list, err := top["variables"].Array()
	if err != nil {
		return nil, 0
	}
	seen := map[string]bool{}
	for _, element := range list {
		members, err := element.Object()
		if err != nil {
			return nil, 0
		}
		raw := bytes.TrimSpace(members["value"])
		if !bytes.HasPrefix(raw, []byte(`"`+tokenStart)) {
			continue // most values: not worth a copy
		}
		value := r.text(members, "value")
		if seen[value] || !tokenShaped(value) {
			continue
		}
		seen[value] = true
		if len(value) > MaxToken || len(found) == MaxTokens {
			leftOut++
			continue
		}
		found = append(found, seal.NewSecret(value))
	}
	return found, leftOut
}

// tokenShaped says whether s is header.payload.signature in base64url. The
// signature may be empty: such a token must be refused, not overlooked.
func tokenShaped(s string) bool {
	return strings.HasPrefix(s, tokenStart) && strings.Count(s, ".") == 2 && strings.Trim(s, base64url+".") == ""
}

const base64url = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
