package settings

import (
	"time"

	"envrole/roles/settings/schema"
)

// The schema is the one list of what a configuration file may hold. The reader
// takes types, defaults, choices and bounds from it, and the tests hold the
// example file and docs/configuration.md against it.

// kind is the type of a key's value.
type kind uint8

const (
	text       kind = iota // "abc"
	texts                  // ["abc", "def"]
	ids                    // [4242, 4243]
	flag                   // true
	duration               // "30m"
	number                 // 512
	textTable              // { team = "shop" }
	subsection             // [executor.shell]
	sections               // [[role]]
)

// entry describes one key.
type entry struct {
	name     string
	kind     kind
	required bool
	// def is the default: text as it is, a flag or duration as it is written.
	def string
	// oneOf lists the values that work.
	oneOf []string
	// min and max bound a duration, both included; 0 is no bound.
	min, max time.Duration
	// least and most bound a number, both included.
	least, most int64
	// check gives what is wrong with a text, or "".
	check func(string) string
	// lines lets a text span several lines.
	lines bool
	// emptyOK accepts an empty list: it can only mean "none". An empty list
	// of conditions could be read as "nothing" or as "anything".
	emptyOK bool
	sub     *section
}

// section describes one table.
type section struct {
	name    string // "executor.shell"; "" is the file itself
	entries []entry
}

func (s *section) entry(name string) *entry {
	for i := range s.entries {
		if s.entries[i].name == name {
			return &s.entries[i]
		}
	}
	return nil
}

// baseSection is the table of a base executor.
func baseSection(t schema.Table) *section {
	kinds := map[schema.Kind]kind{
		schema.Text: text, schema.Texts: texts, schema.Flag: flag, schema.Duration: duration, schema.Number: number, schema.Pairs: textTable,
	}
	sec := &section{name: "executor." + t.Name}
	for _, k := range t.Keys {
		sec.entries = append(sec.entries, entry{
			name: k.Name, kind: kinds[k.Kind], def: k.Default, oneOf: k.OneOf, min: k.Min, max: k.Max,
			least: k.Least, most: k.Most, check: k.Check, emptyOK: k.EmptyOK,
		})
	}
	return sec
}

// The bounds of durations. AssumeRole takes 900 to 43,200 seconds. The timeouts
// of network calls stay far below the hour that GitLab Runner gives the prepare
// and cleanup stages.
const (
	minSession = 15 * time.Minute
	maxSession = 12 * time.Hour
	minTimeout = time.Second
	maxTimeout = 10 * time.Minute
)

// The keys that [session] and a rule share: the rule's value wins.
const (
	keyDuration    = "duration"
	keyRevoke      = "revoke"
	keySessionTags = "session_tags"
	keyShadowing   = "shadowing"
	keyDelivery    = "delivery"
)

// DefaultRevoker is the role that writes deny policies where the configuration
// names none; {partition} and {account} are those of the lent role.
const DefaultRevoker = "arn:{partition}:iam::{account}:role/envrole-revoker"
