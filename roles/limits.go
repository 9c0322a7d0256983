package roles

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

// SourceIdentitySession is the source_identity that stands for the session's name.
const SourceIdentitySession = "session"

// Limits of sts:AssumeRole, from the API reference; lengths in characters.
const (
	MinDuration = 15 * time.Minute
	MaxDuration = 12 * time.Hour
	// MaxChainedDuration is the most when a role session assumes the role.
	MaxChainedDuration = time.Hour

	minExternalID     = 2
	maxExternalID     = 1224
	minSourceIdentity = 2
	maxSourceIdentity = 64
	maxPolicy         = 2048
	maxPolicyARNs     = 10
	maxTags           = 50
	maxTagKey         = 128
	maxTagValue       = 256
)

// ownTagPrefix begins the keys of the session tags that EnvRole adds itself.
const ownTagPrefix = "envrole:"

// ownTagKeys are those keys: a rule's transitive_tags may name them, and they
// count among the 50 that AWS allows.
func ownTagKeys() []string {
	return []string{
		ownTagPrefix + "project", ownTagPrefix + "project_id", ownTagPrefix + "environment",
		ownTagPrefix + "tier", ownTagPrefix + "ref", ownTagPrefix + "ref_type", ownTagPrefix + "ref_protected",
		ownTagPrefix + "job_id", ownTagPrefix + "pipeline_id", ownTagPrefix + "user",
	}
}

// validateExternalID: the empty text is none.
func validateExternalID(s string) error {
	if s == "" {
		return nil
	}
	if len(s) < minExternalID || len(s) > maxExternalID {
		return fmt.Errorf("it has %d characters; %d to %d are allowed", len(s), minExternalID, maxExternalID)
	}
	// The value is as good as a password to some: it is not repeated here.
	if !only(s, func(c byte) bool { return nameChar(c) || c == ':' || c == '/' }) {
		return errors.New("it may hold letters, digits and _+=,.@:/- only")
	}
	return nil
}

// validateSourceIdentity: the empty text is none.
func validateSourceIdentity(s string) error {
	if s == "" {
		return nil
	}
	if len(s) < minSourceIdentity || len(s) > maxSourceIdentity {
		return fmt.Errorf("%s has %d characters; %d to %d are allowed",
			quote(s), len(s), minSourceIdentity, maxSourceIdentity)
	}
	if !only(s, nameChar) {
		return fmt.Errorf("%s may hold letters, digits and _+=,.@- only", quote(s))
	}
	return nil
}

// validatePolicy: the empty text is none. White space between JSON tokens does
// not count, because it is taken out before the policy is sent.
func validatePolicy(s string) error {
	if s == "" {
		return nil
	}
	var object map[string]json.RawMessage
	if err := json.Unmarshal([]byte(s), &object); err != nil {
		return fmt.Errorf("it is not a JSON object: %w", err)
	}
	if err := repeatedKey(s); err != nil {
		return err
	}
	if len(object["Statement"]) == 0 {
		return errors.New("it has no Statement")
	}
	if n := utf8.RuneCountInString(compacted(s)); n > maxPolicy {
		return fmt.Errorf("it has %d characters; %d is the most", n, maxPolicy)
	}
	for _, r := range s {
		if r > unicode.MaxLatin1 || r == utf8.RuneError {
			return fmt.Errorf("it holds the character %U; AWS allows none above U+00FF", r)
		}
	}
	return nil
}

// compacted is a JSON text without white space between its tokens, the text
// itself if it is no JSON.
func compacted(s string) string {
	var b bytes.Buffer
	if s == "" || json.Compact(&b, []byte(s)) != nil {
		return s
	}
	return b.String()
}

func validateTagKey(k string) error {
	switch n := tagLength(k); {
	case n < 1 || n > maxTagKey:
		return fmt.Errorf("the tag key %s has %d characters; 1 to %d are allowed", quote(k), n, maxTagKey)
	case hasPrefixFold(k, "aws:"):
		return fmt.Errorf("the tag key %s begins with aws:, which AWS keeps for itself", quote(k))
	case hasPrefixFold(k, ownTagPrefix):
		return fmt.Errorf("the tag key %s begins with %s, as EnvRole's own tags do", quote(k), ownTagPrefix)
	case !tagText(k):
		return fmt.Errorf("the tag key %s may hold letters, digits, spaces and _.:/=+-@ only", quote(k))
	}
	return nil
}

func validateTagValue(v string) error {
	switch n := tagLength(v); {
	case n > maxTagValue:
		return fmt.Errorf("the tag value %s has %d characters; %d is the most", quote(v), n, maxTagValue)
	case hasPrefixFold(v, "aws:"):
		return fmt.Errorf("the tag value %s begins with aws:, which AWS keeps for itself", quote(v))
	case !tagText(v):
		return fmt.Errorf("the tag value %s may hold letters, digits, spaces and _.:/=+-@ only", quote(v))
	}
	return nil
}

// tagLength counts UTF-16 units, the strictest reading of "characters".
func tagLength(s string) int { return len(utf16.Encode([]rune(s))) }

func hasPrefixFold(s, prefix string) bool {
	return len(s) >= len(prefix) && strings.EqualFold(s[:len(prefix)], prefix)
}

// tagText is AWS's [\p{L}\p{Z}\p{N}_.:/=+\-@]*.
func tagText(s string) bool {
	if !utf8.ValidString(s) {
		return false
	}
	for _, r := range s {
		if !unicode.In(r, unicode.L, unicode.Z, unicode.N) && !strings.ContainsRune("_.:/=+-@", r) {
			return false
		}
	}
	return true
}
