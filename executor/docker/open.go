package docker

// This file says what of the configuration leaves the images of a host open to
// every job.

import (
	"strings"

	"envrole/roles/settings/schema"
)

// openLists names the lists of images that are not given. Services run what their
// images hold too.
func openLists(v schema.Values) string {
	var open []string
	for _, key := range []string{keyImages, keyServices} {
		if len(v.Texts(key)) == 0 {
			open = append(open, key)
		}
	}
	return strings.Join(open, " and ")
}

func containsNever(v schema.Values) bool {
	for _, policy := range append(v.Texts(keyPull), v.Texts(keyPulls)...) {
		if policy != pullAlways {
			return true
		}
	}
	return false
}
