// Package version says which EnvRole this is.
package version

import "runtime/debug"

// Number is the release, raised by hand with the changelog.
const Number = "0.1.0"

// String is the number and, where the build knows it, the commit.
func String() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return Number
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" && len(s.Value) >= 12 {
			return Number + " (" + s.Value[:12] + ")"
		}
	}
	return Number
}
