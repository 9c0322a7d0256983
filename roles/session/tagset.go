package session

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"envrole/roles"
	"envrole/roles/fault"
)

// tagSet is what goes into one AssumeRole call: EnvRole's own tags, the rule's,
// and which keys are transitive.
type tagSet struct {
	own        []Tag
	rule       []Tag // in order of their keys
	transitive []string
}

// newTagSet puts the tags of a request together and checks them as AWS would,
// so that a mistake is named by its key and not by a ValidationError.
func newTagSet(own []Tag, g roles.Grant) (tagSet, error) {
	set := tagSet{own: own, transitive: g.TransitiveTags}
	seen := map[string]string{}
	for _, t := range own {
		seen[strings.ToLower(t.Key)] = t.Key
	}
	for _, key := range slices.Sorted(maps.Keys(g.Tags)) {
		if err := ruleTag(key, seen); err != nil {
			return tagSet{}, fault.New(fault.Permanent, "check the rule's tag", fmt.Sprintf("%.80q", key), err,
				"Rename the key in the rule's tags.")
		}
		if err := allowedText(g.Tags[key], maxTagValue); err != nil {
			return tagSet{}, fault.New(fault.Refused, "check the rule's tag", fmt.Sprintf("%.80q", key), err,
				"Change the tag's value in the rule, or the name it is made from.")
		}
		seen[strings.ToLower(key)] = key
		set.rule = append(set.rule, Tag{Key: key, Value: g.Tags[key], Exact: true})
	}
	if n := len(set.own) + len(set.rule); n > maxTags {
		return tagSet{}, fault.New(fault.Permanent, "check the rule's tags", "",
			fmt.Errorf("%d session tags, %d of them EnvRole's own; AWS allows %d", n, len(set.own), maxTags),
			"Take some tags out of the rule.")
	}
	for _, key := range g.TransitiveTags {
		if _, ok := seen[strings.ToLower(key)]; !ok {
			return tagSet{}, fault.New(fault.Permanent, "check the rule's transitive tag", fmt.Sprintf("%.80q", key),
				errors.New("no such tag"), "List only keys of the rule's tags, or of EnvRole's own, in transitive_tags.")
		}
	}
	return set, nil
}

func ruleTag(key string, seen map[string]string) error {
	if key == "" {
		return errors.New("an empty key")
	}
	if err := allowedText(key, maxTagKey); err != nil {
		return err
	}
	if hasPrefixFold(key, TagPrefix) {
		return fmt.Errorf("keys that begin with %s are EnvRole's own", TagPrefix)
	}
	if other, ok := seen[strings.ToLower(key)]; ok {
		return fmt.Errorf("AWS does not tell it from %q: keys are compared without case", other)
	}
	return nil
}

// all gives every tag, EnvRole's own first.
func (s tagSet) all() []Tag { return slices.Concat(s.own, s.rule) }

// smaller leaves out EnvRole's own tags that are not exact and gives their
// keys. The rule's own tags always stay: the administrator asked for them.
func (s tagSet) smaller() (tagSet, []string) {
	return s.without(func(t Tag) bool { return !t.Exact })
}

// none leaves out all of EnvRole's own tags and gives their keys.
func (s tagSet) none() (tagSet, []string) {
	return s.without(func(Tag) bool { return true })
}

func (s tagSet) without(drop func(Tag) bool) (tagSet, []string) {
	out := tagSet{rule: s.rule}
	var dropped []string
	for _, t := range s.own {
		if drop(t) {
			dropped = append(dropped, t.Key)
		} else {
			out.own = append(out.own, t)
		}
	}
	// A transitive key without its tag would be a ValidationError.
	for _, key := range s.transitive {
		if !slices.ContainsFunc(dropped, func(d string) bool { return strings.EqualFold(d, key) }) {
			out.transitive = append(out.transitive, key)
		}
	}
	return out, dropped
}
