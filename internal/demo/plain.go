package main

import (
	"regexp"
	"strings"
)

// What a runner puts into a log for GitLab's pages: colours and the sections that
// a page folds, and newer ones a time and a stream before each line. A "+" after
// these says that the line goes on with the one before.
var (
	decoration = regexp.MustCompile(`section_(?:start|end):[0-9]+:[^\r\n]*\r|\x1b\[[0-9;]*[a-zA-Z]`)
	goesOn     = regexp.MustCompile(`\n[0-9TZ:.-]{20,} [0-9a-f]{2}[OE]\+`)
	lineMark   = regexp.MustCompile(`(?m)^[0-9TZ:.-]{20,} [0-9a-f]{2}[OE] `)
)

// plain is a runner's log as a person reads it.
func plain(log string) string {
	if loc := lineMark.FindStringIndex(log); loc != nil && loc[0] == 0 {
		log = lineMark.ReplaceAllString(goesOn.ReplaceAllString(log, ""), "")
	}
	return strings.ReplaceAll(decoration.ReplaceAllString(log, ""), "\r", "")
}
