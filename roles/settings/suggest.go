package settings

import "strings"

// suggest finds what an unknown key was meant to be: a key of the same table
// that is spelled nearly so, or a key of that name in another table. It gives
// "" if nothing is near.
func suggest(file, in *section, name string) string {
	best, least := "", 1+max(1, len(name)/3)
	for _, e := range in.entries {
		if d := distance(strings.ToLower(name), e.name); d < least {
			best, least = shown(&e), d
		}
	}
	if best != "" {
		return best
	}
	if where := owner(file, in, name); where != "" {
		return where
	}
	return ""
}

// shown is how a key is written: tables with their brackets.
func shown(e *entry) string {
	switch e.kind {
	case sections:
		return "[[" + e.sub.name + "]]"
	case subsection:
		return "[" + e.sub.name + "]"
	default:
		return e.name
	}
}

// owner looks for a key of exactly this name in the other tables of the file.
func owner(at, not *section, name string) string {
	for i := range at.entries {
		sub := at.entries[i].sub
		if sub == nil || sub == not {
			continue
		}
		if e := sub.entry(name); e != nil {
			return name + " in " + shown(&at.entries[i])
		}
		if where := owner(sub, not, name); where != "" {
			return where
		}
	}
	return ""
}

// maxCompared bounds the length of names that are compared.
const maxCompared = 64

// distance is the number of characters to insert, delete or replace to make b
// of a.
func distance(a, b string) int {
	if len(a) > maxCompared {
		return len(a)
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			replace := diagonal
			if a[i] != b[j] {
				replace++
			}
			diagonal = row[j+1]
			row[j+1] = min(replace, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
