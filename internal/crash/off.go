//go:build !crashpoints

// Package crash marks the instants at which a stage may be killed. In a normal
// build a point is nothing at all; a build with the tag "crashpoints", made
// only by tests, kills the process with SIGKILL at the point that
// ENVROLE_CRASH_AT names.
package crash

// Point does nothing in a normal build.
func Point(string) {}
