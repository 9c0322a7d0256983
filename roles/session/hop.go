package session

import (
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/aws-sdk-go-v2/service/sts/types"
)

// hop is one AssumeRole call: the role itself, or a role of its chain. It is a
// value; a second try is another hop.
type hop struct {
	roleARN, name, region string
	caller                string // the role of the hop before; "" is the runner itself
	externalID            string
	sourceIdentity        string // set by this call
	identity              bool   // set by this call or one before: both need sts:SetSourceIdentity
	policy                string
	policyARNs            []string
	tags                  tagSet
	bestEffort            bool
	duration              time.Duration
	ruleDuration          time.Duration

	dropped   []string
	warnings  []string
	refreshed bool
}

func (h hop) input() *sts.AssumeRoleInput {
	in := &sts.AssumeRoleInput{
		RoleArn:           aws.String(h.roleARN),
		RoleSessionName:   aws.String(h.name),
		DurationSeconds:   aws.Int32(int32(h.duration / time.Second)), //nolint:gosec // 900 to 43200
		ExternalId:        optional(h.externalID),
		SourceIdentity:    optional(h.sourceIdentity),
		Policy:            optional(h.policy),
		TransitiveTagKeys: h.tags.transitive,
	}
	for _, a := range h.policyARNs {
		in.PolicyArns = append(in.PolicyArns, types.PolicyDescriptorType{Arn: aws.String(a)})
	}
	for _, t := range h.tags.all() {
		in.Tags = append(in.Tags, types.Tag{Key: aws.String(t.Key), Value: aws.String(t.Value)})
	}
	return in
}

func optional(s string) *string {
	if s == "" {
		return nil
	}
	return aws.String(s)
}

// easier gives the hop to try after f, if an easier one is allowed. Each of its
// changes can happen once only, so a call ends after at most five tries:
//
//   - The runner's own credentials are stale: they are fetched again.
//   - The caller turns out to be a role session: one hour is asked.
//   - Under session_tags = "best-effort", AWS has no room for the tags: those
//     that are not exact are left out.
//   - Under session_tags = "best-effort", sts:TagSession is missing: no tag can
//     be passed at all, so all of EnvRole's own are left out. A policy that
//     wants a tag then does not match; none is ever inexact. Where the rule has
//     tags of its own the failure stands, because those were asked for; where
//     AWS names an explicit deny it stands too, because a deny may look at the
//     tags' values and leaving them out would be a way around it.
func (h hop) easier(f *failure) (hop, bool) {
	switch {
	case staleCredentials(f.Code) && h.caller == "" && !h.refreshed:
		h.refreshed = true
		return h, true
	case f.chainingLimit() && h.duration > chainedMax:
		h.duration = chainedMax
		h.warnings = append(slices.Clip(h.warnings), chainedWarning(h.ruleDuration, "the runner's own credentials are a role session"))
		return h, true
	case !h.bestEffort:
		return h, false
	case f.Code == codePackedTooLarge:
		tags, dropped := h.tags.smaller()
		return h.lacking(tags, dropped, "AWS has no room for them")
	case f.deniedAction() == actionTag && !f.explicitDeny() && len(h.tags.rule) == 0:
		tags, dropped := h.tags.none()
		return h.lacking(tags, dropped, actionTag+" is not allowed on the role")
	}
	return h, false
}

// lacking is h with fewer tags; it is no easier hop if none was left out.
func (h hop) lacking(tags tagSet, dropped []string, why string) (hop, bool) {
	h.tags = tags
	h.dropped = slices.Concat(h.dropped, dropped)
	h.warnings = append(slices.Clip(h.warnings), "The session lacks the tags "+strings.Join(dropped, ", ")+": "+why+".")
	return h, len(dropped) > 0
}
