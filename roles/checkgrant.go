package roles

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// check looks at what a rule lends, before any fact is known.
func (g *Grant) check(p *problems) {
	if g.RoleARN == "" {
		p.errorf("role_arn", "the rule has no role_arn")
	}
	for _, t := range g.texts() {
		if t.text != "" {
			p.fail(t.key, t.check())
		}
	}
	g.checkRegion(p)
	g.checkDuration(p)
	if n := len(g.PolicyARNs); n > maxPolicyARNs {
		p.errorf("policy_arns", "there are %d; %d is the most", n, maxPolicyARNs)
	}
	g.checkTags(p)
	oneOf(p, "revoke", g.Revoke, RevokePolicy, RevokeLocal)
	oneOf(p, "session_tags", g.SessionTags, TagsRequired, TagsBestEffort)
	oneOf(p, "shadowing", g.Shadowing, ShadowingFail, ShadowingWarn)
	oneOf(p, "delivery", g.Delivery, DeliveryEnv, DeliveryEndpoint, DeliveryProfile)
}

// check looks at a text that may hold placeholders: they are known, stand where
// a value can do no harm, and with short values in their places the text is
// valid.
func (t grantText) check() error {
	names, err := Placeholders(t.text)
	if err != nil {
		return err
	}
	if len(names) > 0 {
		switch t.key {
		case "role_arn", "chain":
			err = placedAfter(t.text, ":role/")
		case "policy_arns":
			err = placedAfter(t.text, ":policy/")
		case "policy":
			err = placedInValues(t.text)
		}
		if err != nil {
			return err
		}
	}
	_, err = t.filled(sampleValue)
	return err
}

// sampleValue stands for the shortest values that placeholders get.
func sampleValue(name string) (string, error) {
	switch name {
	case phProjectID, phJobID:
		return "42", nil
	case phTier:
		return "other", nil
	}
	return "xx", nil
}

// placedAfter keeps placeholders out of an ARN's partition and account: a user
// may be named like an account.
func placedAfter(arn, mark string) error {
	start, _ := nextPlaceholder(arn)
	if at := strings.Index(arn, mark); at < 0 || start < at {
		return fmt.Errorf("%s: placeholders may stand behind %q only", quote(arn), mark)
	}
	return nil
}

// placedInValues keeps a policy's placeholders inside JSON strings that are
// values: a filled key could double another.
func placedInValues(policy string) error {
	var v any
	if err := json.Unmarshal([]byte(policy), &v); err != nil {
		return fmt.Errorf("it is not valid JSON (placeholders may stand inside strings only): %w", err)
	}
	if key, ok := placeholderKey(v); ok {
		return fmt.Errorf("a placeholder stands in the key %s; it may stand in values only", quote(key))
	}
	return nil
}

// placeholderKey finds a JSON object's key that holds a placeholder.
func placeholderKey(v any) (string, bool) {
	switch v := v.(type) {
	case map[string]any:
		for k, e := range v {
			if start, _ := nextPlaceholder(k); start >= 0 {
				return k, true
			}
			if key, ok := placeholderKey(e); ok {
				return key, true
			}
		}
	case []any:
		for _, e := range v {
			if key, ok := placeholderKey(e); ok {
				return key, true
			}
		}
	}
	return "", false
}

func (g *Grant) checkRegion(p *problems) {
	ok := func(c byte) bool { return slugChar(c) || c == '-' }
	if g.Region != "" && (!only(g.Region, ok) || !strings.Contains(g.Region, "-") || len(g.Region) > 32) {
		p.errorf("region", "%s is no AWS region", quote(g.Region))
	}
}

func (g *Grant) checkDuration(p *problems) {
	switch d := g.Duration; {
	case d == 0:
	case d < MinDuration || d > MaxDuration:
		p.errorf("duration", "%s is outside of AWS's limits, %s to %s", d, MinDuration, MaxDuration)
	case d%time.Second != 0:
		p.errorf("duration", "%s is not a number of whole seconds", d)
	case len(g.Chain) > 0 && d > MaxChainedDuration:
		p.warnf("duration", "AWS ends chained sessions after %s; %s is shortened to that", MaxChainedDuration, d)
	}
}

func (g *Grant) checkTags(p *problems) {
	seen := map[string]string{}
	for _, k := range slices.Sorted(maps.Keys(g.Tags)) {
		p.fail("tags", validateTagKey(k))
		if other, ok := seen[strings.ToLower(k)]; ok {
			p.errorf("tags", "the keys %s and %s are the same to AWS", quote(other), quote(k))
		}
		seen[strings.ToLower(k)] = k
	}
	own := ownTagKeys()
	if n := len(g.Tags); n > maxTags-len(own) {
		p.errorf("tags", "there are %d; %d is the most beside EnvRole's own %d", n, maxTags-len(own), len(own))
	}
	for _, k := range own {
		seen[k] = k
	}
	named := map[string]bool{}
	for _, k := range g.TransitiveTags {
		lower := strings.ToLower(k)
		switch _, ok := seen[lower]; {
		case !ok:
			p.errorf("transitive_tags", "%s is neither among the rule's tags nor EnvRole's own", quote(k))
		case named[lower]:
			p.errorf("transitive_tags", "%s stands there twice", quote(k))
		}
		named[lower] = true
	}
}

// oneOf: the empty value is one that a default will take.
func oneOf(p *problems, key, value string, allowed ...string) {
	if value != "" && !slices.Contains(allowed, value) {
		p.fail(key, errors.New(quote(value)+" is not "+list(allowed)))
	}
}
