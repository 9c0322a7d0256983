package session

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"

	"envrole/roles"
	"envrole/roles/fault"
)

// Tag is one of EnvRole's own session tags: CloudTrail shows it at AssumeRole,
// and policies read it as aws:PrincipalTag/KEY.
type Tag struct {
	Key, Value string
	// Exact marks a tag that policies may rest on: its value is the fact
	// itself, and it is never dropped to make the session smaller.
	Exact bool
}

// The keys of EnvRole's own session tags. A rule's tags may not begin with
// TagPrefix, in any case.
const (
	TagPrefix       = "envrole:"
	TagProject      = TagPrefix + "project"       // full path; exact
	TagProjectID    = TagPrefix + "project_id"    // decimal
	TagEnvironment  = TagPrefix + "environment"   // name; exact
	TagTier         = TagPrefix + "tier"          // stored tier
	TagRef          = TagPrefix + "ref"           // branch, tag or merge-request ref; exact
	TagRefType      = TagPrefix + "ref_type"      // branch, tag or merge_request; exact
	TagRefProtected = TagPrefix + "ref_protected" // true or false
	TagJobID        = TagPrefix + "job_id"        // decimal
	TagPipelineID   = TagPrefix + "pipeline_id"   // decimal
	TagUser         = TagPrefix + "user"          // login
)

// AWS's limits on session tags (AssumeRole in the STS API reference; IAM and
// STS quotas). Lengths are counted in UTF-16 units, the strictest reading of
// "characters".
const (
	maxTags     = 50
	maxTagKey   = 128
	maxTagValue = 256
	// reservedByAWS begins no key and no value.
	reservedByAWS = "aws:"
)

// Tags makes EnvRole's own session tags from proven facts. An unknown fact
// gives no tag. Environment, project and ref are exact or the job is refused
// (fault.Refused): a policy that compares a tag must never see a value that two
// jobs could share. A job without environment is refused as well. Everything
// else is brought into AWS's character set, `_` for each character outside it,
// and cut to AWS's length.
func Tags(f roles.Facts) ([]Tag, error) {
	if !f.Environment.Known() {
		return nil, refuseTag("environment", errors.New("the job has no known environment"))
	}
	var tags []Tag
	for _, t := range []struct {
		what, key string
		fact      roles.Fact
	}{
		{"environment", TagEnvironment, f.Environment},
		{"project", TagProject, f.ProjectPath},
		{"ref", TagRef, f.Ref},
	} {
		if !t.fact.Known() {
			continue
		}
		if err := exactValue(t.fact.Value); err != nil {
			return nil, refuseTag(t.what, err)
		}
		tags = append(tags, Tag{Key: t.key, Value: t.fact.Value, Exact: true})
	}
	if f.Ref.Known() {
		// A branch and a tag may share a name: the kind is part of the ref.
		tags = append(tags, Tag{Key: TagRefType, Value: refType(f), Exact: true})
	}
	tags = append(tags, Tag{Key: TagRefProtected, Value: strconv.FormatBool(f.RefProtected)})
	tags = appendFact(tags, TagTier, f.Tier)
	tags = appendFact(tags, TagUser, f.UserLogin)
	tags = appendID(tags, TagProjectID, f.ProjectID)
	tags = appendID(tags, TagPipelineID, f.PipelineID)
	return appendID(tags, TagJobID, f.JobID), nil
}

func refuseTag(what string, err error) error {
	return fault.New(fault.Refused, "make session tag for the", what, err,
		"The session carries the job's environment, project and ref as tags, unchanged, so that AWS policies can rely on them. "+
			"AWS allows letters, digits, spaces and _ . : / = + - @ there, at most 256 characters. "+
			"Rename the "+what+" to lend it a role.")
}

func refType(f roles.Facts) string {
	switch {
	case f.MergeRequest || roles.IsMergeRequestRef(f.Ref.Value):
		return "merge_request"
	case f.Tag:
		return "tag"
	}
	return "branch"
}

// appendFact leaves out what is only the author's word: policies may rest on a
// tag.
func appendFact(tags []Tag, key string, f roles.Fact) []Tag {
	if !f.Proven() {
		return tags
	}
	return append(tags, Tag{Key: key, Value: sanitised(f.Value)})
}

func appendID(tags []Tag, key string, id int64) []Tag {
	if id <= 0 {
		return tags
	}
	return append(tags, Tag{Key: key, Value: strconv.FormatInt(id, 10)})
}

// tagRune says whether r is in AWS's set [\p{L}\p{Z}\p{N}_.:/=+\-@].
func tagRune(r rune) bool {
	return unicode.In(r, unicode.L, unicode.Z, unicode.N) || strings.ContainsRune("_.:/=+-@", r)
}

func tagLen(s string) int { return len(utf16.Encode([]rune(s))) }

func exactValue(v string) error {
	if v == "" {
		return errors.New("it is empty")
	}
	return allowedText(v, maxTagValue)
}

// allowedText says why AWS would not take s as a tag's key or value.
func allowedText(s string, limit int) error {
	if !utf8.ValidString(s) {
		return errors.New("it is not valid UTF-8")
	}
	for _, r := range s {
		if !tagRune(r) {
			return fmt.Errorf("%.80q contains %q, which AWS does not allow in a tag", s, r)
		}
	}
	if n := tagLen(s); n > limit {
		return fmt.Errorf("%d characters are more than AWS's limit of %d", n, limit)
	}
	if hasPrefixFold(s, reservedByAWS) {
		return fmt.Errorf("%.80q begins with %s, which AWS keeps for itself", s, reservedByAWS)
	}
	return nil
}

func sanitised(v string) string {
	v = strings.Map(func(r rune) rune {
		if r == utf8.RuneError || !tagRune(r) {
			return '_'
		}
		return r
	}, v)
	if hasPrefixFold(v, reservedByAWS) {
		v = "_" + v
	}
	n := 0
	for i, r := range v {
		if n += utf16.RuneLen(r); n > maxTagValue {
			return v[:i]
		}
	}
	return v
}

func hasPrefixFold(s, prefix string) bool {
	return len(s) >= len(prefix) && strings.EqualFold(s[:len(prefix)], prefix)
}
